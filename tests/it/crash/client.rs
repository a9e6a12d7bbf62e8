//! One client of the crash test: it uploads over tus in random pieces and submits attachments, writes down what
//! was acknowledged, and tries again what was not, as a real client must.

use std::io;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use crate::support::content::{base64, sha256_hex};
use crate::support::http::{Answer, Connection, Request};
use crate::support::random::Random;
use crate::support::submission::{self, accepted};
use crate::support::tus::{self, MANIFEST, created, metadata, offset_of};
use crate::support::wait;

/// The longest upload.
const UPLOAD: u64 = 4 << 20;
/// The longest that is acknowledged before it has a row.
const SMALL: u64 = 64 << 10;
/// The longest piece of one PATCH.
const PIECE: u64 = 512 << 10;
/// The longest attachment: small ones stay in the JSON, large ones are spooled.
const ATTACHMENT: u64 = 512 << 10;

/// A client and its ledger.
pub(super) struct Client {
    number: u64,
    random: Random,
    uploads: Vec<Upload>,
    submissions: Vec<Submission>,
}

struct Upload {
    id: String,
    path: String,
    content: Vec<u8>,
    acknowledged: u64,
}

impl Upload {
    fn is_complete(&self) -> bool {
        self.acknowledged == self.content.len() as u64
    }
}

/// A submission that was sent at least once; it has an id as soon as it is acknowledged.
struct Submission {
    body: String,
    sha256: String,
    id: Option<String>,
}

impl Client {
    pub(super) fn new(number: u64, random: Random) -> Self {
        Self { number, random, uploads: Vec::new(), submissions: Vec::new() }
    }

    /// Does one thing. An error is a connection that broke.
    pub(super) fn step(&mut self, address: SocketAddr) -> io::Result<()> {
        let unacknowledged = self.submissions.iter().position(|submission| submission.id.is_none());
        match (self.random.below(10), unacknowledged) {
            (0..4, Some(at)) => self.submit(address, at),
            (0..4, None) => {
                let at = self.write_submission();
                self.submit(address, at)
            }
            _ => match self.uploads.iter().position(|upload| !upload.is_complete()) {
                Some(at) if self.random.below(4) > 0 => self.append(address, at),
                _ => self.create(address),
            },
        }
    }

    /// Fails if the gateway has forgotten an acknowledged byte.
    pub(super) fn check_offsets(&mut self, address: SocketAddr) {
        for upload in &self.uploads {
            let offset = offset(address, upload).expect("a restarted gateway answers");
            assert!(
                offset >= upload.acknowledged,
                "{} fell from {} to {offset}",
                upload.id,
                upload.acknowledged
            );
        }
    }

    /// Brings everything that was begun to its end.
    pub(super) fn finish(&mut self, address: SocketAddr) {
        for at in 0..self.submissions.len() {
            if self.submissions[at].id.is_none() {
                self.submit(address, at).expect("nobody kills any more");
            }
        }
        for at in 0..self.uploads.len() {
            wait::until("an upload to be finished", || {
                self.append(address, at).expect("nobody kills any more");
                self.uploads[at].is_complete().then_some(())
            });
        }
    }

    /// Ids and hashes of all that was acknowledged in full.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (String, String)> {
        let uploads = self.uploads.iter().map(|upload| (upload.id.clone(), sha256_hex(&upload.content)));
        let submissions = self.submissions.iter();
        uploads.chain(submissions.filter_map(|one| Some((one.id.clone()?, one.sha256.clone()))))
    }

    /// How many different submissions it sent.
    pub(super) fn submissions(&self) -> usize {
        self.submissions.len()
    }

    fn write_submission(&mut self) -> usize {
        let length = usize::try_from(self.random.below(ATTACHMENT) + 1).expect("small");
        let bytes = self.random.bytes(length);
        let tracking_id = format!("client-{}-{}", self.number, self.submissions.len());
        let body = submission::note(&tracking_id, &bytes);
        self.submissions.push(Submission { body, sha256: sha256_hex(&bytes), id: None });
        self.submissions.len() - 1
    }

    fn submit(&mut self, address: SocketAddr, at: usize) -> io::Result<()> {
        let submission = &mut self.submissions[at];
        let answer = ask(address, &submission::request(submission.body.as_str()))?;
        let mut ids = accepted(&answer);
        assert_eq!(ids.len(), 1);
        submission.id = ids.pop();
        Ok(())
    }

    fn create(&mut self, address: SocketAddr) -> io::Result<()> {
        // At least one byte: an empty upload is finished without another request, and its answer may be lost.
        let longest = if self.random.below(2) == 0 { SMALL } else { UPLOAD };
        let length = usize::try_from(self.random.below(longest) + 1).expect("small");
        let content = self.random.bytes(length);
        let with_upload = self.random.below(3) == 0;
        let first = if with_upload { self.piece(length) } else { 0 };
        let mut post = tus::request("POST", "/upload/files")
            .header("Upload-Length", &length.to_string())
            .header("Upload-Metadata", &metadata(MANIFEST));
        if with_upload {
            post = post.header("Content-Type", "application/offset+octet-stream");
        }
        let answer = ask(address, &post.body(&content[..first]))?;
        let upload = created(&answer);
        let acknowledged = if with_upload { offset_of(&answer) } else { 0 };
        self.uploads.push(Upload { id: upload.id, path: upload.path, content, acknowledged });
        Ok(())
    }

    fn append(&mut self, address: SocketAddr, at: usize) -> io::Result<()> {
        let upload = &self.uploads[at];
        let offset = offset(address, upload)?;
        assert!(offset >= upload.acknowledged, "{} fell from {} to {offset}", upload.id, upload.acknowledged);
        let from = usize::try_from(offset).expect("small");
        let length = self.piece(self.uploads[at].content.len() - from);
        let cut = (self.random.below(6) == 0).then(|| self.piece(length));
        let is_checked = self.random.below(3) == 0;
        let upload = &mut self.uploads[at];
        let piece = &upload.content[from..from + length];
        let mut patch = tus::patch(&upload.path, offset);
        if is_checked {
            // Such a body counts as a whole or not at all; what a kill leaves of it must not count.
            let checksum = format!("sha256 {}", base64(Sha256::digest(piece)));
            patch = patch.header("Upload-Checksum", &checksum);
        }
        if let Some(cut) = cut {
            let mut connection = Connection::open(address)?;
            connection.begin(&patch.header("Content-Length", &length.to_string()))?;
            return connection.send(&piece[..cut.min(length)]);
        }
        let answer = ask(address, &patch.body(piece))?;
        match answer.status {
            204 => upload.acknowledged = offset_of(&answer),
            // A connection that this client cut still holds the upload: its next look will tell.
            409 | 423 => {}
            other => panic!("PATCH answered {other}: {}", answer.text()),
        }
        Ok(())
    }

    /// A random length up to this and up to a piece; often all of what is small.
    fn piece(&mut self, limit: usize) -> usize {
        let limit = PIECE.min(limit as u64);
        if limit <= SMALL && self.random.below(2) == 0 {
            return usize::try_from(limit).expect("small");
        }
        usize::try_from(self.random.below(limit + 1)).expect("small")
    }
}

fn offset(address: SocketAddr, upload: &Upload) -> io::Result<u64> {
    let answer = ask(address, &tus::request("HEAD", &upload.path))?;
    assert_eq!(answer.status, 200, "{} is gone", upload.id);
    Ok(offset_of(&answer))
}

fn ask(address: SocketAddr, request: &Request) -> io::Result<Answer> {
    Connection::open(address)?.exchange(request)
}
