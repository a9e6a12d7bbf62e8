//! The gateway as a process: started, asked, stopped, killed and started again on the same folder and port.
//! What it writes to stderr is kept in a file and shown when the test fails.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::environment::{self, note};
use super::files;
use super::http::{Answer, Connection, Request};
use super::port;
use super::postgres;
use super::process::{Memory, memory};
use super::wait;

/// Tries deliveries again soon, and as often as may be: for tests that do not mean a delivery to be given up, however
/// long another server is away.
pub(crate) const PATIENT: (&str, &str) = (
    "CDEX_DELIVERY__RETRY_SCHEDULE_SECS",
    "[0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,\
      1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
);

/// A running gateway with a folder of its own. Dropping it kills it.
pub(crate) struct Gateway {
    folder: TempDir,
    port: u16,
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl Gateway {
    /// Starts one with nothing set but its folder and port, and short pauses where a target fails.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with settings. `{port}` and `{data}` in a value stand for its port and data folder.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let mut gateway = Self::prepare(settings);
        gateway.launch();
        gateway
    }

    /// The same, not started yet: its data folder can be furnished first.
    pub(crate) fn prepare(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = port::free();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a fresh folder takes another");
        let settings = settings
            .iter()
            .map(|(name, value)| {
                let value = value.replace("{port}", &port.to_string());
                ((*name).to_owned(), value.replace("{data}", &data.to_string_lossy()))
            })
            .collect();
        Self { folder, port, settings, child: None }
    }

    /// Starts it, or starts it again, and waits until it is ready.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("a log file");
        let child = self
            .command()
            .stdout(Stdio::from(log.try_clone().expect("a file handle can be copied")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the binary under test runs");
        self.child = Some(child);
        wait::until("the gateway to be ready", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the gateway ended before it was ready: {ended:?}");
            let answer = self.try_ask(&Request::new("GET", "/health/ready")).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// The program with its settings, not run yet: a second one beside it, for instance.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
        for name in environment::inherited_settings() {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .env("CDEX_DATA_DIR", self.data_dir())
            .env("CDEX_SERVER__LISTEN", self.address().to_string())
            // Targets fail on purpose here, and often.
            .env("CDEX_DELIVERY__BREAKER_PAUSE_SECS", "1")
            .env("CDEX_DELIVERY__BREAKER_LONGEST_PAUSE_SECS", "1")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.try_ask(request).expect("the gateway answers")
    }

    /// The same where the gateway may be dead.
    pub(crate) fn try_ask(&self, request: &Request) -> io::Result<Answer> {
        self.connect()?.exchange(request)
    }

    /// GET of a path.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&Request::new("GET", path))
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.address())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its URL without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its data folder.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for the test beside the data folder.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The PostgreSQL database it was given, if it was.
    pub(crate) fn postgres_url(&self) -> Option<&str> {
        let url =
            self.settings.iter().find(|(name, _)| name == "CDEX_DATABASE__URL").map(|(_, url)| url.as_str());
        url.filter(|url| url.starts_with("postgres"))
    }

    /// Files in the upload store.
    pub(crate) fn stored(&self) -> Vec<PathBuf> {
        files::below(&self.data_dir().join("uploads"))
    }

    /// Files below the delivery folder, those being written included.
    pub(crate) fn delivered(&self) -> Vec<PathBuf> {
        files::below(&self.data_dir().join("delivered"))
    }

    /// The one file delivered for an upload, as bytes.
    #[track_caller]
    pub(crate) fn delivered_bytes(&self, upload_id: &str) -> Vec<u8> {
        let files = self.delivered();
        let mut mine = files.iter().filter(|path| path.to_string_lossy().contains(upload_id));
        let file = mine.next().expect("a delivered file carries the upload id");
        assert!(mine.next().is_none(), "delivered more than once: {files:?}");
        std::fs::read(file).expect("a delivered file is readable")
    }

    /// `/upload/info/{id}`, which must be there.
    #[track_caller]
    pub(crate) fn info(&self, upload_id: &str) -> Value {
        self.get(&format!("/upload/info/{upload_id}")).expect(200).json()
    }

    /// Waits until so many deliveries of an upload have succeeded, and gives its info.
    #[track_caller]
    pub(crate) fn wait_delivered(&self, upload_id: &str, count: usize) -> Value {
        wait::until("a delivery to succeed", || {
            let info = self.info(upload_id);
            let done = info["deliveries"].as_array().map_or(0, |deliveries| {
                deliveries.iter().filter(|delivery| delivery["status"] == "SUCCESS").count()
            });
            (done >= count).then_some(info)
        })
    }

    /// Its memory, or `None` where the kernel does not tell.
    pub(crate) fn memory(&self) -> Option<Memory> {
        memory(self.child.as_ref()?.id())
    }

    /// Asks it to stop (SIGTERM) and waits for it.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut child = self.child.take().expect("it runs");
        wait::until("the gateway to stop", || child.try_wait().expect("our child can be waited for"))
    }

    /// Asks it to read its files anew (SIGHUP).
    pub(crate) fn signal_reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).expect("our child can be signalled");
    }

    /// Ends it without a word (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// All that it wrote to standard output and standard error so far.
    pub(crate) fn wrote(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read(self.log()).unwrap_or_default();
            let tail = log.len().saturating_sub(16 * 1024);
            note(&format!("the gateway wrote:\n{}", String::from_utf8_lossy(&log[tail..])));
        }
    }
}

/// Runs a test on SQLite, and on PostgreSQL where there is one.
pub(crate) fn for_each_database(settings: &[(&str, &str)], mut test: impl FnMut(Gateway)) {
    test(Gateway::with(settings));
    if let Some(url) = postgres::fresh_database() {
        let mut settings = settings.to_vec();
        settings.push(("CDEX_DATABASE__URL", &url));
        test(Gateway::with(&settings));
    }
}

/// Writes a file below the data folder of a gateway that is not started yet, and gives its path.
pub(crate) fn furnish(gateway: &Gateway, name: &str, text: &str) -> PathBuf {
    let path = gateway.scratch().join(name);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("the test's folder takes others");
    }
    let mut file = File::create(&path).expect("the test's folder takes files");
    io::Write::write_all(&mut file, text.as_bytes()).expect("a small file fits");
    path
}
