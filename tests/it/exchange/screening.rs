//! The safety gate: what is told, what is held, and how it is let go; with a scripted clamd, with the real one where it
//! is installed, and with a service over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::content::base64;
use crate::support::environment::skipped;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::submission::{accepted, document, parameters, submit};
use crate::support::{port, rows, tus, wait};

/// What every scanner takes for malicious, in two halves so that this file is not (EICAR).
fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}

/// Submits bytes that are said to be of this type; gives the answer's outcome and the upload.
fn submitted(gateway: &Gateway, tracking: &str, content_type: &str, bytes: &[u8]) -> (Value, String) {
    let attachment = json!({"contentType": content_type, "data": base64(bytes)});
    let answer = submit(gateway, parameters(tracking, vec![document(vec![attachment])]).to_string());
    let upload = accepted(&answer).remove(0);
    (answer.json(), upload)
}

fn warnings(outcome: &Value) -> Vec<&Value> {
    let issues = outcome["issue"].as_array().expect("issues").iter();
    issues.filter(|issue| issue["severity"] == "warning" && issue["code"] == "value").collect()
}

fn held(gateway: &Gateway) -> i64 {
    rows::count(gateway, "delivery WHERE status = 'held'")
}

/// What is told of the scanner.
fn scanner_health(gateway: &Gateway) -> String {
    let health = gateway.get("/health").expect(200).json();
    let services = health["services"].as_array().expect("services");
    let scanner =
        services.iter().find(|service| service["service"] == "File Scanner").expect("it is told of");
    scanner["status"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the scanner has said this of an upload.
fn verdict(gateway: &Gateway, upload: &str, expected: &str) -> Value {
    wait::until("the verdict of the scanner", || {
        let info = gateway.info(upload);
        (info["screening"]["verdict"] == expected).then_some(info)
    })
}

#[test]
fn a_mismatch_is_noted_and_delivered_and_unrecognised_bytes_are_none() {
    for_each_database(&[], |gateway| {
        for (tracking, content_type, bytes, found) in [
            ("1", "application/pdf", &b"%PDF-1.7 and so on"[..], None),
            ("2", "application/pdf", b"\x01\x02\x03\x04", None),
            ("3", "application/x-own", b"words", None),
            ("4", "text/plain", b"{\"json\": \"is text too\"}", None),
            ("5", "image/png", b"%PDF-1.7", Some("application/pdf")),
            ("6", "application/pdf", b"#!/bin/sh\nrm", Some("text/x-script")),
        ] {
            let (outcome, upload) = submitted(&gateway, tracking, content_type, bytes);
            let info = gateway.wait_delivered(&upload, 1);
            assert_eq!(gateway.delivered_bytes(&upload), bytes);
            assert_eq!(warnings(&outcome).len(), usize::from(found.is_some()), "{outcome}");
            match found {
                None => assert_eq!(info.get("screening"), None, "{info}"),
                Some(found) => {
                    let warning = warnings(&outcome)[0];
                    assert!(
                        warning["expression"][0].as_str().is_some_and(|at| at.ends_with("attachment.data"))
                    );
                    let screening = &info["screening"];
                    assert_eq!(
                        (&screening["declared"], &screening["found"]),
                        (&json!(content_type), &json!(found))
                    );
                    assert_eq!(screening["agreement"], "differs");
                    assert_eq!(
                        (&screening["verdict"], &screening["quarantined"]),
                        (&json!("skipped"), &json!(false))
                    );
                    let reports =
                        gateway.get(&format!("/upload/info/{upload}?view=reports")).expect(200).json();
                    let completed = reports["reports"].as_array().expect("reports").iter();
                    let mut completed =
                        completed.filter(|report| report["stage_info"]["action"] == "upload-completed");
                    let stage = &completed.next().expect("it is complete")["stage_info"];
                    assert_eq!(
                        (&stage["status"], &stage["issues"][0]["level"]),
                        (&json!("SUCCESS"), &json!("WARNING"))
                    );
                }
            }
        }
    });
}

#[test]
fn a_quarantined_upload_is_held_and_told_until_somebody_asks_for_it() {
    for_each_database(&[("CDEX_SCREENING__ON_MISMATCH", "quarantine")], |gateway| {
        let (outcome, upload) = submitted(&gateway, "held", "image/png", b"%PDF-1.7");
        assert_eq!(warnings(&outcome).len(), 1);
        // tus: the type is told by the name of the file.
        let manifest = tus::manifest_with(&[("received_filename", "scan.pdf")]);
        let tus = tus::upload(&gateway, &manifest, b"PK\x03\x04 no pdf at all");
        let (_, free) = submitted(&gateway, "free", "application/pdf", b"%PDF-1.7");
        gateway.wait_delivered(&free, 1);
        assert_eq!(held(&gateway), 2);
        for id in [&upload, &tus.id] {
            let info = gateway.info(id);
            assert_eq!(info["upload_status"]["status"], "Complete");
            assert_eq!(
                (&info["deliveries"], &info["screening"]["quarantined"]),
                (&Value::Null, &json!(true))
            );
            let reports = gateway.get(&format!("/upload/info/{id}?view=reports")).expect(200).text();
            assert!(reports.contains("the deliveries are held"), "{reports}");
        }
        // A restart changes nothing; an operator does.
        for id in [&upload, &tus.id] {
            let request = Request::new("POST", &format!("/upload/route/{id}"))
                .header("Content-Type", "application/json");
            gateway.ask(&request.body(r#"{"target":"local"}"#)).expect(200);
            gateway.wait_delivered(id, 1);
        }
        assert_eq!(gateway.delivered_bytes(&upload), b"%PDF-1.7");
        assert_eq!(held(&gateway), 0);
    });
}

#[test]
fn only_allowed_types_pass_and_they_are_judged_by_their_bytes() {
    let settings = [
        ("CDEX_SCREENING__ALLOW", r#"["application/pdf", "image/*"]"#),
        ("CDEX_SCREENING__ON_MISMATCH", "quarantine"),
    ];
    let gateway = Gateway::with(&settings);
    let (_, pdf) = submitted(&gateway, "pdf", "application/pdf", b"%PDF-1.7");
    gateway.wait_delivered(&pdf, 1);
    let (outcome, text) = submitted(&gateway, "text", "text/plain", b"words");
    assert_eq!(warnings(&outcome).len(), 1, "{outcome}");
    assert_eq!(gateway.info(&text)["screening"]["allowed"], false);
    assert_eq!(held(&gateway), 1);
}

#[test]
fn deliveries_wait_for_clamd_and_go_when_it_finds_nothing() {
    for_each_database(&[], |outer| {
        let clamd = FakeClamd::start();
        let database = outer.postgres_url().map(str::to_owned);
        drop(outer);
        let mut settings = vec![("CDEX_SCREENING__SCANNER", clamd.address.as_str())];
        settings.extend(database.as_deref().map(|url| ("CDEX_DATABASE__URL", url)));
        let gateway = Gateway::with(&settings);
        let (_, clean) = submitted(&gateway, "clean", "text/plain", b"nothing bad");
        let (_, infected) = submitted(&gateway, "infected", "text/plain", &eicar());
        let uploaded = tus::upload(&gateway, tus::MANIFEST, &eicar());
        verdict(&gateway, &clean, "clean");
        gateway.wait_delivered(&clean, 1);
        for id in [&infected, &uploaded.id] {
            let info = verdict(&gateway, id, "infected");
            assert_eq!(info["screening"]["signature"], "Eicar-Signature");
            assert_eq!(
                (&info["deliveries"], &info["screening"]["quarantined"]),
                (&Value::Null, &json!(true))
            );
        }
        assert_eq!(held(&gateway), 2);
    });
}

#[test]
fn what_waits_for_a_scanner_that_is_away_goes_when_it_is_back_even_after_a_kill() {
    let port = port::free();
    let address = format!("clamd:127.0.0.1:{port}");
    let mut gateway = Gateway::with(&[("CDEX_SCREENING__SCANNER", &address)]);
    let (_, upload) = submitted(&gateway, "waits", "text/plain", b"nothing bad");
    assert_eq!(gateway.info(&upload)["screening"]["verdict"], "pending");
    assert_eq!(held(&gateway), 1);
    assert_eq!(scanner_health(&gateway), "DOWN");
    gateway.get("/health/ready").expect(200);
    wait::until("the number of those that wait", || {
        gateway.get("/metrics").text().lines().any(|line| line == "cdex_scans_waiting 1").then_some(())
    });
    gateway.kill();
    let _clamd = FakeClamd::at(port);
    gateway.launch();
    gateway.wait_delivered(&upload, 1);
    assert_eq!(gateway.info(&upload)["screening"]["verdict"], "clean");
    assert_eq!(scanner_health(&gateway), "UP");
}

#[test]
fn a_finding_is_only_noted_where_the_setting_says_so() {
    let clamd = FakeClamd::start();
    let gateway = Gateway::with(&[
        ("CDEX_SCREENING__SCANNER", clamd.address.as_str()),
        ("CDEX_SCREENING__ON_INFECTED", "note"),
    ]);
    let (_, upload) = submitted(&gateway, "noted", "text/plain", &eicar());
    gateway.wait_delivered(&upload, 1);
    let info = verdict(&gateway, &upload, "infected");
    assert_eq!(info["screening"]["quarantined"], false);
}

#[test]
fn a_service_over_http_is_asked_too() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/scan", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = scan_over_http(stream);
        }
    });
    let gateway = Gateway::with(&[("CDEX_SCREENING__SCANNER", &url)]);
    let (_, clean) = submitted(&gateway, "clean", "text/plain", &vec![b'a'; 300_000]);
    let (_, infected) = submitted(&gateway, "infected", "text/plain", &eicar());
    gateway.wait_delivered(&clean, 1);
    let info = verdict(&gateway, &infected, "infected");
    assert_eq!(info["screening"]["signature"], "Test");
    assert_eq!(held(&gateway), 1);
}

#[test]
fn the_real_clamd_speaks_the_protocol() {
    let Some(clamd) = RealClamd::start() else { return };
    let address = format!("clamd:{}", clamd.socket().display());
    let gateway = Gateway::with(&[("CDEX_SCREENING__SCANNER", &address)]);
    let (_, clean) = submitted(&gateway, "clean", "text/plain", b"nothing bad");
    let (_, infected) = submitted(&gateway, "infected", "text/plain", &eicar());
    let (_, long) = submitted(&gateway, "long", "application/octet-stream", &vec![b'a'; 2 << 20]);
    gateway.wait_delivered(&clean, 1);
    let info = verdict(&gateway, &infected, "infected");
    assert!(
        info["screening"]["signature"].as_str().is_some_and(|name| name.contains("Test.EICAR")),
        "{info}"
    );
    let info = verdict(&gateway, &long, "failed");
    assert_eq!(info["screening"]["quarantined"], true, "beyond StreamMaxLength nothing can be said of it");
    assert_eq!(held(&gateway), 2);
}

/// Another program's clamd, with one signature of our own: EICAR's.
struct RealClamd {
    folder: tempfile::TempDir,
    child: Child,
}

impl RealClamd {
    fn start() -> Option<Self> {
        let program =
            ["/usr/sbin/clamd", "/usr/local/sbin/clamd"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            skipped("clamd is not installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path();
        let signatures = place.join("signatures");
        std::fs::create_dir(&signatures).expect("a fresh folder takes another");
        let hex = hex::encode(eicar());
        std::fs::write(signatures.join("test.ndb"), format!("Test.EICAR:0:0:{hex}\n"))
            .expect("a small file fits");
        let config = format!(
            "DatabaseDirectory {}\nLocalSocket {}\nForeground yes\nTemporaryDirectory {}\nStreamMaxLength 1M\n",
            signatures.display(),
            place.join("clamd.sock").display(),
            place.display()
        );
        std::fs::write(place.join("clamd.conf"), config).expect("a small file fits");
        let mut command = Command::new(program);
        command.arg(format!("--config-file={}", place.join("clamd.conf").display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let clamd = Self { child: child.expect("clamd runs"), folder };
        wait::until("clamd to be ready", || clamd.socket().exists().then_some(()));
        Some(clamd)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("clamd.sock")
    }
}

impl Drop for RealClamd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A clamd that knows one signature.
struct FakeClamd {
    address: String,
}

impl FakeClamd {
    fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn at(port: u16) -> Self {
        Self::on(wait::until("the port to be free", || TcpListener::bind(("127.0.0.1", port)).ok()))
    }

    fn on(listener: TcpListener) -> Self {
        let address = format!("clamd:{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = scan(stream);
            }
        });
        Self { address }
    }
}

/// One conversation: clamd(8), INSTREAM.
fn scan(mut stream: TcpStream) -> std::io::Result<()> {
    let mut command = Vec::new();
    while command.last() != Some(&0) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        command.extend(byte);
    }
    if command == b"zPING\0" {
        return stream.write_all(b"PONG\0");
    }
    assert_eq!(command, b"zINSTREAM\0");
    let mut content = Vec::new();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            break;
        }
        let mut chunk = vec![0; length];
        stream.read_exact(&mut chunk)?;
        content.extend(chunk);
    }
    let infected = memchr::memmem::find(&content, &eicar()).is_some();
    stream.write_all(if infected { b"stream: Eicar-Signature FOUND\0" } else { b"stream: OK\0" })
}

fn scan_over_http(mut stream: TcpStream) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while input.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        line.clear();
    }
    let mut content = vec![0; length];
    input.read_exact(&mut content)?;
    let body = match memchr::memmem::find(&content, &eicar()) {
        Some(_) => r#"{"verdict":"infected","signature":"Test"}"#,
        None => r#"{"verdict":"clean"}"#,
    };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
