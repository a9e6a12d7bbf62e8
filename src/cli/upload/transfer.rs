//! One file on its way: as one upload, or as several that the server puts together. What was begun is remembered before
//! its first byte, so that a run that is killed costs what was under way and nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::memory::{Known, Memory, Part};
use super::shown::Progress;
use super::{PATIENCE, UploadError};
use crate::outbound::tus::{Remedy, RemoteError, Sending, TusClient};

/// How often, at most, a server is asked whether it has put the parts together, and the wait between.
const ASKED: (u32, Duration) = (600, Duration::from_millis(500));

/// Bytes at either end of a file by which it is known again.
const END: u64 = 64 * 1024;

/// A file as it was when its upload began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How long it is.
    pub(super) length: u64,
    /// When it was written last, in nanoseconds.
    pub(super) modified: u128,
}

impl Fingerprint {
    /// That of a file now.
    pub(super) async fn of(path: &Path) -> Result<Self, UploadError> {
        let path = tokio::fs::canonicalize(path).await?;
        let metadata = tokio::fs::metadata(&path).await?;
        // What cannot be read twice cannot be gone on with, and a pipe that nobody writes to is waited for without end.
        if !metadata.is_file() {
            return Err(UploadError::Argument("it is no regular file; only those can be uploaded"));
        }
        Ok(Self { length: metadata.len(), modified: nanos(&metadata), path })
    }

    /// What tells its bytes from others of the same length and time, as far as that is cheap.
    async fn ends(&self) -> Result<String, UploadError> {
        let mut file = self.open().await?;
        let length = self.length.min(END);
        let mut hash = Sha256::new();
        for at in [0, self.length - length] {
            hash.update(self.read(&mut file, at, length).await?);
        }
        Ok(hex::encode(hash.finalize()))
    }

    /// Opens it.
    async fn open(&self) -> io::Result<File> {
        File::open(&self.path).await
    }

    /// The bytes at a place in it, if it is still the same file.
    async fn read(&self, file: &mut File, at: u64, length: u64) -> Result<Bytes, UploadError> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.seek(io::SeekFrom::Start(at)).await?;
        (&mut *file).take(length).read_to_end(&mut bytes).await?;
        let metadata = file.metadata().await?;
        let is_same = metadata.len() == self.length && nanos(&metadata) == self.modified;
        if is_same && bytes.len() as u64 == length { Ok(bytes.into()) } else { Err(UploadError::Changed) }
    }
}

fn nanos(metadata: &std::fs::Metadata) -> u128 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos())
}

/// A file that is uploaded.
#[derive(Debug)]
pub(super) struct Uploaded {
    /// Its upload.
    pub(super) url: String,
    /// How long it is.
    pub(super) length: u64,
    /// How much of it the server had before this run.
    pub(super) resumed_from: u64,
    /// In how many parts it was sent.
    pub(super) parts: usize,
    /// How long this run took.
    pub(super) time: Duration,
}

/// How files are sent.
pub(super) struct Transfer<'t> {
    /// The server.
    pub(super) client: &'t TusClient,
    /// Parts at once.
    pub(super) parallel: u64,
    /// Bytes in one request.
    pub(super) chunk_bytes: u64,
    /// `Upload-Metadata`.
    pub(super) metadata: &'t str,
    /// Who is told how far it is.
    pub(super) progress: &'t Progress,
}

impl Transfer<'_> {
    /// Uploads a file: goes on with what is remembered, and begins anew if the server has forgotten it.
    pub(super) async fn run(&self, file: &Fingerprint, memory: &Memory) -> Result<Uploaded, UploadError> {
        let begun = Instant::now();
        let ends = file.ends().await?;
        let is_same = |known: &Known| known.ends.as_ref().is_none_or(|known| *known == ends);
        let mut known = memory.recall().filter(is_same);
        loop {
            let is_resumed = known.is_some();
            let mut at = match known.take() {
                Some(known) => known,
                None => self.plan(file.length, &ends).await,
            };
            match self.go_on(file, memory, &mut at).await {
                Ok((url, resumed_from)) => {
                    memory.forget()?;
                    let (length, parts) = (file.length, at.parts.len());
                    return Ok(Uploaded { url, length, resumed_from, parts, time: begun.elapsed() });
                }
                Err(UploadError::Tus(error)) if is_resumed && error.remedy() == Remedy::NewUpload => {
                    memory.forget()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Divides the file: into parts that are worth a request each, if the server puts parts together.
    async fn plan(&self, length: u64, ends: &str) -> Known {
        let can_concatenate = self.parallel > 1 && self.client.features().await.concatenation;
        let count = if can_concatenate { self.parallel.min(length / self.chunk_bytes).max(1) } else { 1 };
        let start = |part: u64| length / count * part + (length % count).min(part);
        let part = |at| Part { start: start(at), length: start(at + 1) - start(at), url: None };
        let parts = (0..count).map(part).collect();
        Known { parts, is_joining: false, whole: None, ends: Some(ends.to_owned()) }
    }

    /// Does what is left to do; gives the URL, and how much the server had.
    async fn go_on(
        &self,
        file: &Fingerprint,
        memory: &Memory,
        known: &mut Known,
    ) -> Result<(String, u64), UploadError> {
        if let Some(whole) = &known.whole {
            self.wait_for(whole, file.length).await?;
            self.remove_parts(known).await;
            return Ok((whole.clone(), file.length));
        }
        if known.is_joining {
            return Err(UploadError::Uncertain);
        }
        let (sendings, resumed_from) = self.sendings(file, memory, known).await?;
        self.progress.begin(file.length, resumed_from);
        let done: Vec<u64> = sendings.iter().map(Sending::offset).collect();
        let watched = sendings.into_iter().zip(self.progress.watches(&done)).zip(&known.parts);
        try_join_all(
            watched.map(|((sending, watch), part)| self.send(file, part, sending.watched_by(watch))),
        )
        .await?;
        let urls: Vec<String> = known.parts.iter().filter_map(|part| part.url.clone()).collect();
        if let [only] = &urls[..] {
            return Ok((only.clone(), resumed_from));
        }
        let whole = self.join(&urls, memory, known).await?;
        self.wait_for(&whole, file.length).await?;
        self.remove_parts(known).await;
        Ok((whole, resumed_from))
    }

    /// Has the parts put together. That is remembered before it is asked for: a second upload of the same file would be
    /// delivered, too.
    async fn join(&self, urls: &[String], memory: &Memory, known: &mut Known) -> Result<String, UploadError> {
        known.is_joining = true;
        memory.keep(known)?;
        let joined = self.patiently(|| self.client.concatenate(urls, self.metadata), is_refused).await;
        match joined {
            Ok(whole) => {
                known.whole = Some(whole.clone());
                memory.keep(known)?;
                Ok(whole)
            }
            Err(error) => {
                if is_refused(&error) {
                    known.is_joining = false;
                    memory.keep(known)?;
                }
                Err(error.into())
            }
        }
    }

    /// Removes what the whole was made of, where the server lets that be done; where it fails they expire there.
    async fn remove_parts(&self, known: &Known) {
        if !self.client.features().await.termination {
            return;
        }
        for url in known.parts.iter().filter_map(|part| part.url.as_ref()) {
            let _ = self.client.terminate(url).await;
        }
    }

    /// An upload for each part: as it stands where there is one, else a new one, which is remembered at once.
    async fn sendings(
        &self,
        file: &Fingerprint,
        memory: &Memory,
        known: &mut Known,
    ) -> Result<(Vec<Sending<'_>>, u64), UploadError> {
        let mut sendings = Vec::new();
        let mut resumed_from = 0;
        let mut at = 0;
        while at < known.parts.len() {
            let is_whole = known.parts.len() == 1;
            let Part { length, url, .. } = known.parts[at].clone();
            if let Some(url) = url {
                let sending = Sending::resume(self.client, url, length).await?;
                resumed_from += sending.offset();
                sendings.push(sending);
                at += 1;
                continue;
            }
            // The second part brings the metadata, so that a server that judges them does so before the first byte. The
            // first goes without: that tells who wants them of each part.
            let metadata = if is_whole || at == 1 { self.metadata } else { "" };
            match self.create(length, is_whole, metadata).await {
                Ok(url) => {
                    known.parts[at].url = Some(url.clone());
                    memory.keep(known)?;
                    sendings.push(Sending::begin(self.client, url, length));
                    at += 1;
                }
                // DEX itself wants a manifest of each part and delivers it (dex-upload W-06): then not in parts.
                Err(RemoteError::Refused(refusal)) if !is_whole && at == 0 && refusal.status == 400 => {
                    known.parts = vec![Part { start: 0, length: file.length, url: None }];
                }
                Err(error @ RemoteError::Refused(_))
                    if resumed_from == 0 && error.remedy() == Remedy::Nothing =>
                {
                    self.remove_parts(known).await;
                    memory.forget()?;
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((sendings, resumed_from))
    }

    /// Creates an upload. A line that breaks meanwhile may leave an empty one that nobody knows.
    async fn create(&self, length: u64, is_whole: bool, metadata: &str) -> Result<String, RemoteError> {
        if is_whole {
            self.patiently(|| self.client.create(length, metadata), |_| true).await
        } else {
            self.patiently(|| self.client.create_partial(length, metadata), |_| true).await
        }
    }

    /// Asks for something until it is done, or asking again does not help or may not be. A server that is not there at
    /// all is not waited for.
    async fn patiently<F>(
        &self,
        ask: impl Fn() -> F,
        may_be_repeated: impl Fn(&RemoteError) -> bool,
    ) -> Result<String, RemoteError>
    where
        F: Future<Output = Result<String, RemoteError>>,
    {
        let mut failures = 0;
        loop {
            let error = match ask().await {
                Ok(url) => return Ok(url),
                Err(error) => error,
            };
            let is_absent = matches!(error, RemoteError::Call(error) if error.nothing_was_sent());
            failures += 1;
            match error.remedy() {
                Remedy::Wait(asked)
                    if !is_absent
                        && may_be_repeated(&error)
                        && failures <= PATIENCE.failures
                        && asked.is_none_or(|asked| asked <= PATIENCE.longest) =>
                {
                    let wait = PATIENCE.wait(failures, self.metadata).max(asked.unwrap_or_default());
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn send(
        &self,
        file: &Fingerprint,
        part: &Part,
        mut sending: Sending<'_>,
    ) -> Result<(), UploadError> {
        let mut open = file.open().await?;
        while !sending.is_complete() {
            let offset = sending.offset();
            let length = self.chunk_bytes.min(part.length - offset);
            let chunk = file.read(&mut open, part.start + offset, length).await?;
            sending.append(chunk).await?;
        }
        Ok(())
    }

    /// Waits until the server has put the parts together: it may do so after its answer, and gives no offset until then
    /// (tus 1.0.0, Concatenation).
    async fn wait_for(&self, url: &str, length: u64) -> Result<(), UploadError> {
        let (times, pause) = ASKED;
        let mut last = RemoteError::Protocol("says that the parts are not put together yet");
        for _ in 0..times {
            match self.client.standing(url).await {
                Ok(standing) if standing.offset == length => return Ok(()),
                Ok(_) => {}
                Err(error) if matches!(error.remedy(), Remedy::Wait(_)) => last = error,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(pause).await;
        }
        Err(last.into())
    }
}

/// Whether the server certainly did not do what it was asked for.
fn is_refused(error: &RemoteError) -> bool {
    match error {
        RemoteError::Refused(refusal) => !matches!(refusal.status, 500 | 502 | 504),
        RemoteError::Call(error) => error.nothing_was_sent(),
        RemoteError::Token(_) => true,
        _ => false,
    }
}
