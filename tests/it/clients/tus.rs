//! tus-js-client and Uppy's tus plugin (npm), tuspy and aiotus (`PyPI`) and curl upload a file: interrupted and
//! resumed, in parts side by side, and removed again; each into a folder, into S3 and into Azure.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::buckets::{Settings, azure_store, borrowed, s3_store};
use crate::support::environment::{large, skipped};
use crate::support::gateway::Gateway;
use crate::support::install::{available, node, python, run};
use crate::support::random::Random;
use crate::support::storage::{Azurite, S3Server};
use crate::support::{rows, tus, wait};

/// What happens when half of the file is sent.
#[derive(Clone, Copy, PartialEq)]
enum Interruption {
    /// The client gives up its request and later resumes.
    Abort,
    /// The gateway is killed and started again.
    Kill,
}

#[test]
fn tus_js_client_resumes_after_an_abort() {
    interrupted_uploads(tus_js, "/upload/files", Interruption::Abort);
}

#[test]
fn tus_js_client_resumes_after_the_gateway_was_killed() {
    interrupted_uploads(tus_js, "/files/", Interruption::Kill);
}

#[test]
fn tuspy_resumes_after_an_abort() {
    interrupted_uploads(tuspy, "/files/", Interruption::Abort);
}

#[test]
fn tuspy_resumes_after_the_gateway_was_killed() {
    interrupted_uploads(tuspy, "/upload/files", Interruption::Kill);
}

/// T-29, T-30, T-31, T-33
#[test]
fn tus_js_client_uploads_in_parallel_parts() {
    whole_uploads(|| javascript("tus-js-parallel.mjs"), "/upload/files", 1, |_| ());
}

/// T-15, T-30
#[test]
fn aiotus_uploads_whole_and_in_parts() {
    whole_uploads(|| python_client("aiotus_parts.py"), "/files", 2, |_| ());
}

/// T-28
#[test]
fn uppy_uploads_a_file_and_removes_one_that_is_under_way() {
    whole_uploads(
        || javascript("uppy.mjs"),
        "/files/",
        1,
        |gateway| {
            wait::until("the removed upload to be gone", || {
                let states = rows::texts(gateway, "SELECT state FROM upload ORDER BY state");
                (states == ["complete", "terminated"]).then_some(())
            });
        },
    );
}

/// T-16, T-17, T-18, T-19, T-26
#[test]
fn a_script_of_curl_uploads_with_checksums_and_a_deferred_length() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/tus_curl.sh");
    for (needed, version) in [("curl", "--version"), ("openssl", "version")] {
        if let Err(reason) = run(Command::new(needed).arg(version)) {
            return skipped(&format!("a client is not available: {reason}"));
        }
    }
    for_each_store(|settings| {
        let gateway = Gateway::with(&borrowed(settings));
        let (content, file) = content(&gateway);
        let mut command = Command::new("sh");
        command.arg(&script).arg(gateway.url()).arg("/upload/files").arg(&file);
        let ids = done(command.arg(tus::metadata(tus::MANIFEST)));
        assert_delivered(&gateway, &ids, &content);
    });
}

/// Runs a test with uploads in a folder, in a bucket of S3, and in a container of Azure where there is one.
fn for_each_store(mut test: impl FnMut(&Settings)) {
    test(&Settings::new());
    let server = S3Server::start();
    test(&s3_store(&server));
    if let Some(azurite) = Azurite::get() {
        test(&azure_store(&azurite.container()));
    }
}

/// Lets a client upload a file to its end, as often as it does, into every store.
fn whole_uploads(client: impl Fn() -> Option<Command>, door: &str, times: usize, look: impl Fn(&Gateway)) {
    for_each_store(|settings| {
        let Some(mut client) = client() else { return };
        let gateway = Gateway::with(&borrowed(settings));
        let (content, file) = content(&gateway);
        let ids = done(client.arg(format!("{}{door}", gateway.url())).arg(&file).arg(manifest()));
        assert_eq!(ids.len(), times);
        assert_delivered(&gateway, &ids, &content);
        look(&gateway);
    });
}

/// A file that a client can upload.
fn content(gateway: &Gateway) -> (Vec<u8>, PathBuf) {
    let content = Random::new(17).bytes(if large() { 100 << 20 } else { 20 << 20 });
    let file = gateway.scratch().join("content");
    std::fs::write(&file, &content).expect("the test's folder takes files");
    (content, file)
}

/// The manifest as clients want their metadata.
fn manifest() -> String {
    let manifest: serde_json::Map<String, serde_json::Value> =
        tus::MANIFEST.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    serde_json::Value::from(manifest).to_string()
}

/// Runs a client; the ids of the uploads that it says are done.
fn done(client: &mut Command) -> Vec<String> {
    let output = client.output().expect("an installed client runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let urls = said.lines().filter_map(|line| line.strip_prefix("DONE "));
    urls.map(|url| url.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

fn assert_delivered(gateway: &Gateway, ids: &[String], content: &[u8]) {
    for id in ids {
        let info = gateway.wait_delivered(id, 1);
        assert_eq!(info["upload_status"]["status"], "Complete");
        assert!(gateway.delivered_bytes(id) == content, "other bytes arrived");
    }
}

/// Interrupts a client in the middle of a file that it uploads into every store.
fn interrupted_uploads(client: fn() -> Option<Command>, door: &str, interruption: Interruption) {
    for_each_store(|settings| {
        if let Some(client) = client() {
            interrupted_upload(client, door, interruption, settings);
        }
    });
}

fn interrupted_upload(mut client: Command, door: &str, interruption: Interruption, settings: &Settings) {
    let mut gateway = Gateway::with(&borrowed(settings));
    let (content, file) = content(&gateway);
    let mut child = client
        .arg(format!("{}{door}", gateway.url()))
        .arg(&file)
        .arg(manifest())
        .arg(if interruption == Interruption::Abort { "abort" } else { "kill" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an installed client runs");
    let mut go = child.stdin.take().expect("its standard input is a pipe");
    let mut lines = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
    let mut told = |word: &str| {
        let line = lines.next().expect("the client goes on").expect("its lines are text");
        let url = line.strip_prefix(word).unwrap_or_else(|| panic!("the client said {line}"));
        url.rsplit('/').next().unwrap_or_default().to_owned()
    };

    let id = told("HALF ");
    wait::until("the first bytes to be known", || {
        let info = gateway.info(&id);
        (info["upload_status"]["status"] == "In Progress").then_some(())
    });
    if interruption == Interruption::Kill {
        gateway.kill();
        writeln!(go, "go").expect("the client listens");
        gateway.launch();
    } else {
        writeln!(go, "go").expect("the client listens");
    }
    assert_eq!(told("DONE "), id, "it was resumed, not begun anew");
    assert!(child.wait().expect("the client ends").success());
    assert_delivered(&gateway, &[id], &content);
}

/// tus-js-client under Node.
fn tus_js() -> Option<Command> {
    javascript("tus-js.mjs")
}

/// The script that uses tuspy.
fn tuspy() -> Option<Command> {
    python_client("tus_py.py")
}

/// A script that uses tus-js-client or Uppy, under Node.
fn javascript(script: &str) -> Option<Command> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["package.json", "tus-js.mjs", "tus-js-parallel.mjs", "uppy.mjs"];
    let folder = available(INSTALLED.get_or_init(|| node("tus-js", &files, "@uppy/tus")))?;
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    Some(command)
}

/// A script that uses tuspy or aiotus, in a virtual environment of their own.
fn python_client(script: &str) -> Option<Command> {
    let folder = tuspy_folder()?;
    let mut command = Command::new(folder.join("venv/bin/python"));
    command.arg(folder.join(script));
    Some(command)
}

/// The folder whose virtual environment has tuspy.
pub(super) fn tuspy_folder() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["requirements.txt", "tus_py.py", "aiotus_parts.py"];
    available(INSTALLED.get_or_init(|| python("tuspy", &files, "aiotus, tusclient")))
}
