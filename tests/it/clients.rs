//! Unmodified clients from their registries, tus-js-client (npm) and tuspy (`PyPI`), upload a file with an
//! interruption and resume. They are installed once into a cache outside the checkout; where Node, Python or the
//! registry is missing that is said.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::environment::{large, skipped, variable};
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
    let folder = available(INSTALLED.get_or_init(|| {
        let folder = prepare("tus-js", &["package.json", "tus-js.mjs"])?;
        run(Command::new("node").arg("--version"))?;
        if !folder.join("node_modules/tus-js-client").exists() {
            run(Command::new("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
        }
        Ok(folder)
    }))?;
    let mut command = Command::new("node");
    command.arg(folder.join("tus-js.mjs"));
    Some(command)
}

/// tuspy in a virtual environment of its own.
fn tuspy() -> Option<Command> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = available(INSTALLED.get_or_init(|| {
        let folder = prepare("tuspy", &["requirements.txt", "tus_py.py"])?;
        let python = folder.join("venv/bin/python");
        if run(Command::new(&python).args(["-c", "import tusclient"])).is_err() {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
            let install = ["-m", "pip", "install", "--quiet", "--requirement"];
            run(Command::new(&python).args(install).arg(folder.join("requirements.txt")))?;
        }
        Ok(folder)
    }))?;
    let mut command = Command::new(folder.join("venv/bin/python"));
    command.arg(folder.join("tus_py.py"));
    Some(command)
}

fn available(installed: &Result<PathBuf, String>) -> Option<PathBuf> {
    match installed {
        Ok(folder) => Some(folder.clone()),
        Err(reason) => {
            skipped(&format!("a tus client is not available: {reason}"));
            None
        }
    }
}

/// A folder in the cache with copies of these files: clients are resolved from where the script lies.
fn prepare(name: &str, files: &[&str]) -> Result<PathBuf, String> {
    let cache = variable("CDEX_CI_CACHE").map(PathBuf::from);
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache/cdex-ci"));
    let cache = cache.or_else(home).unwrap_or_else(|| std::env::temp_dir().join("cdex-ci"));
    let folder = cache.join(name);
    let told = |error: std::io::Error| format!("the cache folder cannot be written: {error}");
    std::fs::create_dir_all(&folder).map_err(told)?;
    for file in files {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(file);
        std::fs::copy(source, folder.join(file)).map_err(told)?;
    }
    Ok(folder)
}

/// Runs a command to its end; its last line tells what went wrong.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{program}: {}", text.lines().last().unwrap_or("failed")))
}
