//! A tus server in memory on a real socket, which fails as it is told (dex-upload F-13), for tests of whatever uploads.
//! Its contents are text.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use async_trait::async_trait;
use base64_simd::STANDARD;
use sha1::Sha1;

use super::{Identity, Patience};
use crate::outbound::testing::{FakeServer, Received, Reply};

/// Bears a few failures, with hardly a wait between them.
pub(crate) const HASTY: Patience =
    Patience { failures: 3, first: Duration::from_micros(100), longest: Duration::from_millis(2) };

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is not looked at; this is the answer.
    Answer(Reply),
    /// So many bytes of its body arrive, then the line breaks.
    Cut(usize),
    /// It is done, and the line breaks before the answer.
    Mute,
}

impl Fault {
    /// An answer with a status and nothing else.
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(Reply::new(status, "", ""))
    }
}

/// An upload at the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeUpload {
    /// What arrived.
    pub(crate) content: String,
    /// How long it is to be.
    pub(crate) length: usize,
    /// `Upload-Metadata` as it came.
    pub(crate) metadata: String,
    /// Whether it is a part of another.
    pub(crate) is_partial: bool,
    /// Whether it is not there any more.
    pub(crate) is_gone: bool,
}

impl FakeUpload {
    /// Whether all of it arrived, to be processed on its own.
    pub(crate) fn is_complete(&self) -> bool {
        self.content.len() == self.length && !self.is_partial && !self.is_gone
    }
}

/// How the server behaves and what it has.
#[derive(Default)]
pub(crate) struct State {
    /// What it lists in `Tus-Extension`.
    pub(crate) extensions: String,
    /// What stands before the id in a `Location`; `/files/` if empty.
    pub(crate) locations: String,
    /// The `Authorization` that it wants, if it wants one.
    pub(crate) authorization: Option<String>,
    /// All uploads; the id of one is its number from 0 on.
    pub(crate) uploads: Vec<FakeUpload>,
    faults: VecDeque<(&'static str, Fault)>,
}

/// The server. It ends with the runtime of its test.
pub(crate) struct FakeTus {
    server: FakeServer,
    state: Arc<Mutex<State>>,
}

impl FakeTus {
    /// Starts one at `/files` that knows concatenation and checksums.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_, _| None).await
    }

    /// The same; `more` answers what it wants to.
    pub(crate) async fn start_with(
        more: impl Fn(&Received, &State) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let extensions = "creation,checksum,concatenation".to_owned();
        let state = Arc::new(Mutex::new(State { extensions, ..State::default() }));
        let shared = state.clone();
        let server = FakeServer::start(move |request| {
            let mut state = shared.lock().expect("no test panics in here");
            more(request, &state).unwrap_or_else(|| state.answer(request))
        })
        .await;
        Self { server, state }
    }

    /// Where uploads are created.
    pub(crate) fn create_url(&self) -> String {
        format!("{}/files", self.server.url())
    }

    /// Its URL without a path.
    pub(crate) fn url(&self) -> &str {
        self.server.url()
    }

    /// How it behaves and what it has.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }

    /// The next requests with this method go wrong, in this order.
    pub(crate) fn fail(&self, method: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults.into_iter().map(|fault| (method, fault)));
    }

    /// What was uploaded in whole.
    pub(crate) fn complete(&self) -> Vec<FakeUpload> {
        self.state().uploads.iter().filter(|upload| upload.is_complete()).cloned().collect()
    }

    /// What it was sent.
    pub(crate) fn seen(&self) -> Vec<Received> {
        self.server.seen()
    }

    /// The methods of what it was sent.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.server.lines().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        let (method, path) = request.line().split_once(' ').expect("a request line");
        let fails = self.faults.iter().any(|(failing, _)| *failing == method);
        if method == "OPTIONS" && !fails {
            let fields = format!(
                "Tus-Version: 1.0.0\r\nTus-Extension: {}\r\nTus-Checksum-Algorithm: md5,sha1,sha256\r\n",
                self.extensions
            );
            return Reply::new(204, &fields, "");
        }
        let fault = self.faults.iter().position(|(failing, _)| *failing == method);
        let fault = fault.and_then(|at| self.faults.remove(at)).map(|(_, fault)| fault);
        let hung_up = Reply::Bytes(String::new());
        match fault {
            Some(Fault::Answer(reply)) => reply,
            Some(Fault::Cut(bytes)) => {
                let mut half = request.clone();
                half.body.truncate(bytes);
                self.act(method, path, &half, false);
                hung_up
            }
            Some(Fault::Mute) => {
                self.act(method, path, request, true);
                hung_up
            }
            None => self.act(method, path, request, true),
        }
    }

    fn act(&mut self, method: &str, path: &str, request: &Received, is_whole: bool) -> Reply {
        let bare = |status| Reply::new(status, "", "");
        if request.header("tus-resumable") != Some("1.0.0") {
            return bare(412);
        }
        if self.authorization.is_some() && self.authorization.as_deref() != request.header("authorization") {
            return bare(401);
        }
        if method == "POST" {
            return self.create(request);
        }
        let id: Option<usize> = path.rsplit('/').next().and_then(|id| id.parse().ok());
        let upload = id.and_then(|id| self.uploads.get_mut(id)).filter(|upload| !upload.is_gone);
        let Some(upload) = upload else { return bare(404) };
        match method {
            "HEAD" => {
                let mut fields = String::new();
                let _ = write!(
                    fields,
                    "Upload-Offset: {}\r\nUpload-Length: {}\r\n",
                    upload.content.len(),
                    upload.length
                );
                Reply::new(200, &fields, "")
            }
            "PATCH" if request.header("upload-offset") != Some(&upload.content.len().to_string()) => {
                bare(409)
            }
            "PATCH" if is_whole && !is_intact(request) => bare(460),
            "PATCH" => {
                upload.content.push_str(&request.body);
                Reply::new(204, &format!("Upload-Offset: {}\r\n", upload.content.len()), "")
            }
            _ => bare(405),
        }
    }

    fn create(&mut self, request: &Received) -> Reply {
        if request.header("content-length") != Some("0") {
            return Reply::new(411, "", "");
        }
        let mut upload = FakeUpload {
            metadata: request.header("upload-metadata").unwrap_or_default().to_owned(),
            ..FakeUpload::default()
        };
        match request.header("upload-concat") {
            Some(parts) if parts.starts_with("final;") => {
                for part in parts["final;".len()..].split(' ') {
                    let id: usize = part.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
                    upload.content.push_str(&self.uploads[id].content);
                }
                upload.length = upload.content.len();
            }
            concat => {
                upload.is_partial = concat == Some("partial");
                let length = request.header("upload-length").and_then(|text| text.parse().ok());
                upload.length = length.expect("a length");
            }
        }
        let base = if self.locations.is_empty() { "/files/" } else { &self.locations };
        let location = format!("Location: {base}{}\r\n", self.uploads.len());
        self.uploads.push(upload);
        Reply::new(201, &location, "")
    }
}

fn is_intact(request: &Received) -> bool {
    let bytes = request.body.as_bytes();
    match request.header("upload-checksum").and_then(|checksum| checksum.split_once(' ')) {
        Some(("sha256", sum)) => sum == STANDARD.encode_to_string(Sha256::digest(bytes)),
        Some(("sha1", sum)) => sum == STANDARD.encode_to_string(Sha1::digest(bytes)),
        _ => true,
    }
}

/// Somebody whose tokens are numbered: one that is refused is followed by the next.
#[derive(Default)]
pub(crate) struct Numbered(Mutex<usize>);

#[async_trait]
impl Identity for Numbered {
    async fn authorization(
        &self,
        refused: Option<&str>,
    ) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        let mut number = self.0.lock().expect("no test panics in here");
        if refused == Some(&format!("Bearer {number}")) {
            *number += 1;
        }
        Ok(Some(format!("Bearer {number}")))
    }
}

/// Nobody.
pub(crate) struct Nobody;

#[async_trait]
impl Identity for Nobody {
    async fn authorization(
        &self,
        _: Option<&str>,
    ) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(None)
    }
}
