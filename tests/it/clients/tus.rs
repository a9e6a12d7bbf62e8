//! tus-js-client (npm) and tuspy (`PyPI`) upload a file with an interruption and resume.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{available, node, python};
use crate::support::environment::large;
use crate::support::gateway::Gateway;
use crate::support::random::Random;
use crate::support::{tus, wait};

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
    let Some(client) = tus_js() else { return };
    interrupted_upload(client, "/upload/files", Interruption::Abort);
}

#[test]
fn tus_js_client_resumes_after_the_gateway_was_killed() {
    let Some(client) = tus_js() else { return };
    interrupted_upload(client, "/files/", Interruption::Kill);
}

#[test]
fn tuspy_resumes_after_an_abort() {
    let Some(client) = tuspy() else { return };
    interrupted_upload(client, "/files/", Interruption::Abort);
}

#[test]
fn tuspy_resumes_after_the_gateway_was_killed() {
    let Some(client) = tuspy() else { return };
    interrupted_upload(client, "/upload/files", Interruption::Kill);
}

fn interrupted_upload(mut client: Command, door: &str, interruption: Interruption) {
    let mut gateway = Gateway::start();
    let content = Random::new(17).bytes(if large() { 100 << 20 } else { 20 << 20 });
    let file = gateway.scratch().join("content");
    std::fs::write(&file, &content).expect("the test's folder takes files");
    let manifest: serde_json::Map<String, serde_json::Value> =
        tus::MANIFEST.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let mut child = client
        .arg(format!("{}{door}", gateway.url()))
        .arg(&file)
        .arg(serde_json::Value::from(manifest).to_string())
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
    let info = gateway.wait_delivered(&id, 1);
    assert_eq!(info["upload_status"]["status"], "Complete");
    assert!(gateway.delivered_bytes(&id) == content, "other bytes arrived");
}

/// tus-js-client under Node.
fn tus_js() -> Option<Command> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let installed = || node("tus-js", &["package.json", "tus-js.mjs"], "tus-js-client");
    let folder = available(INSTALLED.get_or_init(installed))?;
    let mut command = Command::new("node");
    command.arg(folder.join("tus-js.mjs"));
    Some(command)
}

/// The script that uses tuspy.
fn tuspy() -> Option<Command> {
    let folder = tuspy_folder()?;
    let mut command = Command::new(folder.join("venv/bin/python"));
    command.arg(folder.join("tus_py.py"));
    Some(command)
}

/// The folder whose virtual environment has tuspy.
pub(super) fn tuspy_folder() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let installed = || python("tuspy", &["requirements.txt", "tus_py.py"], "tusclient");
    available(INSTALLED.get_or_init(installed))
}
