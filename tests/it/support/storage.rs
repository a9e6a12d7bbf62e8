//! Storage services that others have written: S3 as `s3s-fs` in this process, Azure Blob Storage as Azurite under Node.
//! They outlive the gateways that use them, and end with the test. The tests inside the library use this file too.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::environment::skipped;
use super::install::node;

/// The credentials of both services, as user and key.
pub(crate) const S3_KEYS: (&str, &str) = ("test-access-key", "test-secret-key");
/// Azurite's one published account.
pub(crate) const AZURE_ACCOUNT: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);
/// The one bucket of an S3 server.
pub(crate) const BUCKET: &str = "bucket";

/// An S3 server with one empty bucket.
pub(crate) struct S3Server {
    endpoint: String,
    folder: TempDir,
    sent: Sent,
    calls: TaskTracker,
    stop: CancellationToken,
}

/// The paths of the calls, and how many bytes came with each.
type Sent = Arc<Mutex<Vec<(String, u64)>>>;

impl S3Server {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a fresh folder takes another");
        let mut service =
            S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("the folder is there"));
        service.set_auth(SimpleAuth::from_single(S3_KEYS.0, S3_KEYS.1));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be asked without waiting");
        let endpoint = format!("http://{}", listener.local_addr().expect("it has an address"));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (sent, calls) = (Sent::default(), TaskTracker::new());
        let (seen, tracker) = (sent.clone(), calls.clone());
        // A runtime of its own: the tests come with several, or none.
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it becomes asynchronous");
                while let Some(Ok((stream, _))) = stopped.run_until_cancelled(listener.accept()).await {
                    let io = TokioIo::new(stream);
                    let (service, calls, seen) = (service.clone(), tracker.clone(), seen.clone());
                    // Like a real service it ends what it has begun, although nobody waits for the answer any more:
                    // its files have their names before their labels.
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let body =
                            request.headers().get("content-length").and_then(|length| length.to_str().ok());
                        let body = body.and_then(|length| length.parse().ok()).unwrap_or_default();
                        let call = (request.uri().path().to_owned(), body);
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push(call);
                        let answer = calls.spawn(Service::call(&service, request));
                        async { answer.await.expect("a call does not panic") }
                    });
                    tracker.spawn(async move {
                        let _ = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(io, service)
                            .await;
                    });
                }
            });
        });
        Self { endpoint, folder, sent, calls, stop }
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The folder of the bucket: an object is a file in it.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// Makes another bucket.
    #[allow(dead_code, reason = "the tests of the program do without")]
    pub(crate) fn make(&self, bucket: &str) {
        std::fs::create_dir(self.folder.path().join(bucket)).expect("there is none of that name");
    }

    /// How many bytes it was sent for objects whose names begin so and do not end so.
    #[allow(dead_code, reason = "the tests inside the library ask by other means")]
    pub(crate) fn sent(&self, begin: &str, no_end: &str) -> u64 {
        let begin = format!("/{BUCKET}/{begin}");
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = sent.iter().filter(|(path, _)| path.starts_with(&begin) && !path.ends_with(no_end));
        meant.map(|(_, bytes)| bytes).sum()
    }

    /// Waits until it has ended what it has begun for clients that did not wait for it.
    #[allow(dead_code, reason = "the tests of the program do without")]
    pub(crate) fn settle(&self) {
        while !self.is_settled() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether it has.
    #[allow(dead_code, reason = "the tests of the program do without")]
    pub(crate) fn is_settled(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes all that it has away until what this returns is called: it answers, and everything fails.
    pub(crate) fn go_away(&self) -> impl FnOnce() {
        let (here, there) = (self.folder.path().to_owned(), self.folder.path().with_extension("away"));
        std::fs::rename(&here, &there).expect("the folder is there");
        move || std::fs::rename(there, here).expect("the folder comes back")
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Azurite, one for all tests of this process.
pub(crate) struct Azurite {
    endpoint: String,
    service: Mutex<Talk>,
}

struct Talk {
    /// Azurite ends when this does.
    asks: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _folder: TempDir,
}

impl Azurite {
    /// The one of this process, or `None` (and a line that says so) where Node or the registry is missing.
    pub(crate) fn get() -> Option<&'static Self> {
        static AZURITE: OnceLock<Result<Azurite, String>> = OnceLock::new();
        let started = AZURITE.get_or_init(|| {
            let folder = node("azurite", &["azurite/package.json", "azurite/azurite.mjs"], "azurite")?;
            Self::start(folder).map_err(|error| error.to_string())
        });
        started.as_ref().inspect_err(|reason| skipped(&format!("Azurite is not available: {reason}"))).ok()
    }

    fn start(program: PathBuf) -> std::io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let mut child = Command::new("node")
            .arg("azurite.mjs")
            .arg(port.to_string())
            .arg(folder.path())
            .current_dir(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = child.stdin.take().expect("its standard input is a pipe");
        let says = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        let service = Mutex::new(Talk { asks, says, _child: child, _folder: folder });
        Ok(Self { endpoint: format!("http://127.0.0.1:{port}/{}", AZURE_ACCOUNT.0), service })
    }

    /// A new and empty container.
    pub(crate) fn container(&'static self) -> Container {
        let name = format!("c{}", uuid::Uuid::new_v4());
        self.ask(&format!("make {name}"));
        Container { azurite: self, name }
    }

    /// What it says to a line before it says the line itself.
    fn ask(&self, line: &str) -> Vec<String> {
        let mut talk = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(talk.asks, "{line}").expect("Azurite listens");
        let lines = talk.says.by_ref().map(|said| said.expect("its lines are text"));
        let mut done = false;
        let said = lines.take_while(|said| {
            done = said == line;
            !done
        });
        let said = said.collect();
        assert!(done, "Azurite has ended");
        said
    }
}

/// A container at Azurite.
pub(crate) struct Container {
    azurite: &'static Azurite,
    name: String,
}

impl Container {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The URL of its account.
    pub(crate) fn endpoint(&self) -> &str {
        &self.azurite.endpoint
    }

    /// The blobs in it, each with the SHA-256 of its bytes.
    #[allow(dead_code, reason = "the tests inside the library look into it by other means")]
    pub(crate) fn blobs(&self) -> Vec<(String, String)> {
        let said = self.azurite.ask(&format!("list {}", self.name));
        let blobs = said.iter().filter_map(|line| line.rsplit_once(' '));
        blobs.map(|(name, sha256)| (name.to_owned(), sha256.to_owned())).collect()
    }
}
