//! The command `upload` from outside: against our gateway and `@tus/server`, over lines that break, killed and run
//! again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::endpoint::{Endpoint, Reply};
use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::random::Random;
use crate::support::relay::{Break, Relay};
use crate::support::tus;
use crate::support::tus_server::TusServer;

const CHUNK: usize = 1 << 20;

/// A file, and a folder that remembers uploads of it.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("the test's folder takes files");
        path
    }

    /// The command for files, with the manifest of the built-in stream.
    fn command(&self, files: &[&Path], to: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
        command.arg("upload").args(files).args(["--to", to, "--json"]);
        command.args(["--chunk-bytes", &CHUNK.to_string()]);
        command.arg("--state-dir").arg(self.folder.path().join("state"));
        for (key, value) in tus::MANIFEST.iter().filter(|(key, _)| *key != "received_filename") {
            command.args(["--meta", &format!("{key}={value}")]);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// How many uploads are remembered.
    fn remembered(&self) -> usize {
        let files = crate::support::files::below(&self.folder.path().join("state"));
        files.iter().filter(|path| path.extension().is_some_and(|end| end == "json")).count()
    }
}

fn content(megabytes: usize) -> Vec<u8> {
    Random::new(29).bytes((megabytes << 20) + 77)
}

/// The lines that a run printed.
#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The one result of a run that succeeded.
#[track_caller]
fn result(output: &Output) -> Value {
    let mut lines = lines(output);
    assert!(output.status.success() && lines.len() == 1, "{output:?}");
    lines.remove(0)
}

/// Kills a run when the line has carried half of the file, and runs it again; then the line breaks at each turn.
fn interrupted(server: SocketAddr, collection: &str, bytes: &[u8]) -> Value {
    let files = Files::new();
    let file = files.write("large.bin", bytes);
    let breaks = [
        Break::Stall(bytes.len() / 2),
        Break::Cut(CHUNK / 2),
        Break::Cut(2 * CHUNK),
        Break::Cut(30),
        Break::Cut(CHUNK),
    ];
    let relay = Relay::to(server, breaks);
    let to = format!("{}{collection}", relay.url());
    let command = || {
        let mut command = files.command(&[&file], &to);
        command.args(["--parallel", "1"]);
        command
    };
    let mut first = command().stdout(Stdio::null()).spawn().expect("the binary runs");
    relay.wait_broken(1);
    first.kill().expect("our child can be killed");
    first.wait().expect("our child can be waited for");
    assert_eq!(files.remembered(), 1);
    let result = result(&command().output().expect("the binary runs"));
    assert_eq!(relay.broken(), breaks.len());
    let from = usize::try_from(result["resumed_from"].as_u64().expect("a number")).expect("a number");
    assert!(from > 0 && from <= bytes.len() / 2, "{result}");
    assert_eq!(result["bytes"], bytes.len());
    assert_eq!(files.remembered(), 0);
    result
}

#[test]
fn a_run_that_is_killed_is_gone_on_with_at_our_gateway() {
    let gateway = Gateway::start();
    let bytes = content(20);
    let result = interrupted(gateway.address(), "/upload/files", &bytes);
    let id = result["id"].as_str().expect("an id");
    gateway.wait_delivered(id, 1);
    assert!(gateway.delivered_bytes(id) == bytes, "other bytes arrived");
    assert_eq!(gateway.info(id)["manifest"]["received_filename"], "large.bin");
    assert_eq!(gateway.stored().len(), 1, "no other upload was begun");
}

#[test]
fn a_run_that_is_killed_is_gone_on_with_at_a_foreign_server() {
    let Some(server) = TusServer::start() else { return };
    let bytes = content(20);
    interrupted(server.address(), "/files", &bytes);
    let uploads = server.uploads();
    assert!(uploads.len() == 1 && uploads[0] == bytes, "{} uploads", uploads.len());
}

#[test]
fn parts_go_at_once_where_the_server_puts_them_together() {
    let gateway = Gateway::start();
    let files = Files::new();
    let bytes = content(5);
    let file = files.write("parts.bin", &bytes);
    let to = format!("{}/files", gateway.url());
    let output = files.command(&[&file], &to).args(["--parallel", "3"]).output();
    let result = result(&output.expect("the binary runs"));
    let options = gateway.ask(&Request::new("OPTIONS", "/files"));
    let is_offered = options.header("Tus-Extension").is_some_and(|list| list.contains("concatenation"));
    assert_eq!(result["parts"], if is_offered { 3 } else { 1 });
    let id = result["id"].as_str().expect("an id");
    gateway.wait_delivered(id, 1);
    assert!(gateway.delivered_bytes(id) == bytes, "other bytes arrived");
    assert_eq!(gateway.delivered().len(), 1, "parts are not delivered");
}

#[test]
fn exit_codes_say_whether_another_run_is_worth_it() {
    let gateway = Gateway::start();
    let files = Files::new();
    let (good, empty) = (files.write("good.txt", b"abc"), files.write("empty.txt", b""));
    let missing = files.folder.path().join("missing.txt");
    let to = format!("{}/files", gateway.url());

    let mixed = files.command(&[&missing, &good, &empty], &to).output().expect("the binary runs");
    assert_eq!(mixed.status.code(), Some(1));
    let told: Vec<Value> = lines(&mixed).iter().map(|line| line["status"].clone()).collect();
    assert_eq!(told, ["failed", "uploaded", "uploaded"]);
    for line in &lines(&mixed)[1..] {
        gateway.wait_delivered(line["id"].as_str().expect("an id"), 1);
    }

    let mut refused = files.command(&[&good], &to);
    let refused = refused.args(["--meta", "data_stream_id=nowhere"]).output().expect("the binary runs");
    assert_eq!(refused.status.code(), Some(1), "a key that stands twice: {refused:?}");
    let mut refused = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
    refused
        .args(["upload", "good.txt", "--to", &to, "--state-dir", "state"])
        .current_dir(files.folder.path());
    let refused = refused.output().expect("the binary runs");
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(reason.contains("field data_stream_id was missing") && !reason.contains("again"), "{reason}");

    let nobody = files.command(&[&good], "http://127.0.0.1:1/files").output().expect("the binary runs");
    assert_eq!((nobody.status.code(), &lines(&nobody)[0]["again"]), (Some(75), &Value::from(true)));
}

#[test]
fn what_cannot_be_uploaded_is_told_in_a_sentence() {
    let gateway = Gateway::start();
    let files = Files::new();
    let good = files.write("good.txt", b"abc");
    let to = format!("{}/files", gateway.url());
    let told = |command: &mut Command| {
        let output = command.output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        lines(&output)[0]["error"].as_str().expect("a text").to_owned()
    };
    for special in [Path::new("/dev/null"), files.folder.path()] {
        assert!(told(&mut files.command(&[special], &to)).contains("no regular file"));
    }
    let error = told(files.command(&[&good], &to).args(["--token-file", "absent.token"]));
    assert!(error.contains("absent.token"), "{error}");
    assert!(told(&mut files.command(&[&good], "ftp://h/files")).contains("http://"));
    assert_eq!(gateway.stored().len(), 0);
}

#[test]
fn a_bad_manifest_is_told_before_the_first_byte_of_any_part_and_parts_do_not_stay() {
    let gateway = Gateway::start();
    let files = Files::new();
    let file = files.write("parts.bin", &content(3));
    let to = format!("{}/files", gateway.url());
    let mut bad = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
    bad.arg("upload").arg(&file).args(["--to", &to, "--json", "--parallel", "3"]);
    bad.args(["--chunk-bytes", &CHUNK.to_string(), "--state-dir", "state"]).current_dir(files.folder.path());
    let output = bad.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((gateway.stored().len(), files.remembered()), (0, 0));

    let output = files.command(&[&file], &to).args(["--parallel", "3"]).output().expect("the binary runs");
    let id = result(&output)["id"].as_str().expect("an id").to_owned();
    gateway.wait_delivered(&id, 1);
    assert_eq!((gateway.stored().len(), files.remembered()), (1, 0), "the parts are removed");
}

/// F-01
#[test]
fn f_01_a_login_brings_the_token_that_goes_with_each_request_but_options() {
    let endpoint = Endpoint::start();
    let token = json!({ "access_token": "t1", "token_type": "bearer", "expires_in": 3600 });
    endpoint.answer([
        Reply::new(204).header("Tus-Extension", "creation"),
        Reply::new(200).resource(&token),
        Reply::new(201).header("Location", "/files/1"),
        Reply::new(204).header("Upload-Offset", "3"),
    ]);
    let files = Files::new();
    let (file, password) = (files.write("good.txt", b"abc"), files.write("password", b"secret\n"));
    let mut command = files.command(&[&file], &format!("{}/files", endpoint.url()));
    command.args(["--oauth", &format!("{}/oauth", endpoint.url()), "--user", "me"]);
    let output = command.arg("--password-file").arg(&password).output().expect("the binary runs");
    assert_eq!(result(&output)["url"], format!("{}/files/1", endpoint.url()));
    let received = endpoint.received();
    let seen: Vec<(&str, Option<&str>)> =
        received.iter().map(|request| (&*request.line, request.header("authorization"))).collect();
    let bearer = Some("Bearer t1");
    assert_eq!(
        seen,
        [
            ("OPTIONS /files", None),
            ("POST /oauth", None),
            ("POST /files", bearer),
            ("PATCH /files/1", bearer)
        ]
    );
    assert_eq!(received[1].body, b"username=me&password=secret");
    assert_eq!(received[3].body, b"abc");
}
