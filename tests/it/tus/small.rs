//! Uploads that come whole with their creation and are small: they exist all at once, and nobody can tell from outside.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::tus::{self, MANIFEST, append, created, head, metadata, offset_of};

fn creation_with(length: u64) -> Request {
    tus::request("POST", "/upload/files")
        .header("Upload-Length", &length.to_string())
        .header("Upload-Metadata", &metadata(MANIFEST))
        .header("Content-Type", "application/offset+octet-stream")
}

/// T-22: below, at and above what is gathered.
#[test]
fn an_upload_that_comes_with_its_creation_is_delivered_and_reported_like_any_other() {
    for_each_database(&[], |gateway| {
        let trail = |id: &str| -> Vec<String> {
            let reports = gateway.get(&format!("/upload/info/{id}?view=reports")).expect(200).json();
            let reports = reports["reports"].as_array().cloned().unwrap_or_default();
            reports.iter().map(|report| report["stage_info"]["action"].to_string()).collect()
        };
        let plain = tus::upload(&gateway, MANIFEST, b"in two requests");
        gateway.wait_delivered(&plain.id, 1);
        for length in [1, 64 * 1024, 64 * 1024 + 1] {
            let content = vec![b'x'; length];
            let answer = gateway.ask(&creation_with(length as u64).body(content.clone())).expect(201);
            assert_eq!(offset_of(&answer), length as u64);
            let upload = created(&answer);
            assert_eq!(head(&gateway, &upload.path), length as u64);
            gateway.wait_delivered(&upload.id, 1);
            assert!(gateway.delivered_bytes(&upload.id) == content, "{length} bytes");
            assert_eq!(trail(&upload.id), trail(&plain.id), "{length} bytes");
        }
    });
}

/// D-01: nothing but the row says that it exists.
#[test]
fn what_came_with_a_creation_survives_a_kill() {
    let mut gateway = Gateway::start();
    let upload = created(&gateway.ask(&creation_with(12).body("acknowledged")));
    gateway.kill();
    gateway.launch();
    assert_eq!(head(&gateway, &upload.path), 12);
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"acknowledged");
}

/// D-01: neither is there a row of what was created, nor of what came behind it.
#[test]
fn what_was_created_and_sent_at_once_survives_a_kill() {
    let mut gateway = Gateway::start();
    let begun = tus::create(&gateway, 12);
    let whole = tus::create(&gateway, 12);
    append(&gateway, &whole.path, 0, b"acknowledged");
    gateway.kill();
    gateway.launch();
    assert_eq!(head(&gateway, &begun.path), 0);
    assert_eq!(head(&gateway, &whole.path), 12);
    append(&gateway, &begun.path, 0, b"gone on with");
    for (upload, content) in [(&begun, b"gone on with"), (&whole, b"acknowledged")] {
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), content);
    }
}

/// What is known of an upload is complete as soon as it is acknowledged, whoever asks for it and how.
#[test]
fn an_upload_that_was_just_acknowledged_is_found_everywhere() {
    for_each_database(&[], |gateway| {
        for _ in 0..5 {
            let upload = created(&gateway.ask(&creation_with(5).body("bytes")).expect(201));
            assert_eq!(head(&gateway, &upload.path), 5);
            let again = gateway.ask(&tus::patch(&upload.path, 5).body(""));
            assert_eq!(again.status, 204, "{}", again.text());
            let listed = gateway.get("/upload/deliveries").expect(200).text();
            assert!(listed.contains(&upload.id), "{listed}");
            let upload = created(&gateway.ask(&creation_with(5).body("bytes")).expect(201));
            assert_eq!(gateway.info(&upload.id)["upload_status"]["status"], "Complete");
            let upload = created(&gateway.ask(&creation_with(5).body("bytes")).expect(201));
            gateway.wait_delivered(&upload.id, 1);
            gateway.ask(&tus::request("DELETE", &upload.path)).expect(204);
            assert_eq!(gateway.ask(&tus::request("HEAD", &upload.path)).status, 410);
        }
    });
}

/// T-22: fewer bytes than the upload has are its beginning, however few it has.
#[test]
fn a_beginning_that_comes_with_the_creation_is_gone_on_with() {
    let gateway = Gateway::start();
    let answer = gateway.ask(&creation_with(10).body("0123")).expect(201);
    assert_eq!(offset_of(&answer), 4);
    let upload = created(&answer);
    append(&gateway, &upload.path, 4, b"456789");
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"0123456789");
}
