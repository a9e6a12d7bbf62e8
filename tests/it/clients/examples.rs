//! The example clients for senders (`examples/clients`), each where its runtime is: a file whose upload was begun by
//! somebody is gone on with, its status told, and a second file begun anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::tus::tuspy_folder;
use crate::support::environment::skipped;
use crate::support::gateway::Gateway;
use crate::support::install::{available, node, run};
use crate::support::random::Random;
use crate::support::tus;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients").join(name)
}

/// More than one chunk of the examples.
fn content(seed: u64) -> Vec<u8> {
    Random::new(seed).bytes((9 << 20) + 13)
}

/// Runs an example as `command GATEWAY FILE`, once for an upload that is half there and once for a new one.
fn goes_on_and_begins(command: impl Fn() -> Command) {
    let gateway = Gateway::start();
    for (number, is_begun) in [(1, true), (2, false)] {
        let bytes = content(number);
        let file = gateway.scratch().join(format!("file-{number}.bin"));
        std::fs::write(&file, &bytes).expect("the test's folder takes files");
        let begun = is_begun.then(|| {
            let begun = tus::create(&gateway, bytes.len() as u64);
            tus::append(&gateway, &begun.path, 0, &bytes[..bytes.len() / 2]);
            let memory = gateway.scratch().join(format!("file-{number}.bin.upload"));
            let mut memory = std::fs::File::create(memory).expect("the test's folder takes files");
            writeln!(memory, "{}{}", gateway.url(), begun.path).expect("a short line");
            begun.id
        });
        let output = command().arg(gateway.url()).arg(&file).output().expect("an example runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let (url, info) = text.trim().split_once('\n').expect("the URL and the status");
        let id = url.trim().rsplit('/').next().expect("an id").to_owned();
        let info: Value = serde_json::from_str(info).expect("the status is JSON");
        assert_eq!(info["upload_status"]["status"], "Complete");
        assert!(begun.is_none_or(|begun| begun == id), "another upload was begun");
        gateway.wait_delivered(&id, 1);
        assert!(gateway.delivered_bytes(&id) == bytes, "other bytes arrived");
        assert!(!gateway.scratch().join(format!("file-{number}.bin.upload")).exists());
    }
}

#[test]
fn the_example_in_java_goes_on_and_begins_anew() {
    if let Err(reason) = run(Command::new("java").arg("--version")) {
        skipped(&format!("Java is not available: {reason}"));
        return;
    }
    goes_on_and_begins(|| {
        let mut command = Command::new("java");
        command.arg(example("Upload.java"));
        command
    });
}

#[test]
fn the_example_in_python_goes_on_and_begins_anew() {
    let Some(folder) = tuspy_folder() else { return };
    goes_on_and_begins(|| {
        let mut command = Command::new(folder.join("venv/bin/python"));
        command.arg(example("upload.py"));
        command
    });
}

#[test]
fn the_example_with_curl_goes_on_and_begins_anew() {
    if let Err(reason) = run(Command::new("curl").arg("--version")) {
        skipped(&format!("curl is not available: {reason}"));
        return;
    }
    goes_on_and_begins(|| {
        let mut command = Command::new("sh");
        command.arg(example("upload.sh"));
        command
    });
}

/// The page itself needs a browser; the module that does its work runs under Node.
#[test]
fn the_module_of_the_example_in_the_browser_goes_on_where_it_was_stopped() {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["package.json", "browser.mjs", "../../examples/clients/browser/upload.mjs"];
    let installed = INSTALLED.get_or_init(|| node("tus-browser", &files, "tus-js-client"));
    let Some(folder) = available(installed) else { return };
    let gateway = Gateway::start();
    let bytes = content(3);
    let file = gateway.scratch().join("file.bin");
    std::fs::write(&file, &bytes).expect("the test's folder takes files");
    let mut command = Command::new("node");
    command.arg(folder.join("browser.mjs")).arg(gateway.url()).arg(&file);
    let output = command.arg(gateway.scratch().join("storage.json")).output().expect("the module runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let (half, done) = text.trim().split_once('\n').expect("two lines");
    let url = done.strip_prefix("DONE ").and_then(|done| done.strip_suffix(" Complete")).expect("complete");
    assert!(half.starts_with(&format!("HALF {url} ")), "another upload was begun: {text}");
    let id = url.rsplit('/').next().expect("an id");
    gateway.wait_delivered(id, 1);
    assert!(gateway.delivered_bytes(id) == bytes, "other bytes arrived");
}
