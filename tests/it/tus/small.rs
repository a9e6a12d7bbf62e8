//! Small uploads: their bytes lie beside their rows, and nobody can tell from outside.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;
use crate::support::tus::{self, MANIFEST, create, created, head, metadata, offset_of, patch};

/// With a limit that some of the uploads below are above.
const LIMIT: &[(&str, &str)] = &[("CDEX_UPLOAD__SMALL_BYTES", "1000")];

fn with_bytes(gateway: &Gateway, content: &[u8]) -> tus::Created {
    let creation = tus::request("POST", "/upload/files")
        .header("Upload-Length", &content.len().to_string())
        .header("Upload-Metadata", &metadata(MANIFEST))
        .header("Content-Type", "application/offset+octet-stream");
    let answer = gateway.ask(&creation.body(content)).expect(201);
    assert_eq!(offset_of(&answer), content.len() as u64);
    created(&answer)
}

fn in_two_requests(gateway: &Gateway, content: &[u8]) -> tus::Created {
    let upload = create(gateway, content.len() as u64);
    let answer = gateway.ask(&patch(&upload.path, 0).body(content)).expect(204);
    assert_eq!(offset_of(&answer), content.len() as u64);
    upload
}

#[test]
fn what_comes_at_once_and_is_small_lies_in_the_database_and_is_delivered() {
    for_each_database(LIMIT, |mut gateway| {
        let cases = [(1, 1), (1_000, 1), (1_001, 0)];
        for send in [with_bytes, in_two_requests] {
            for (length, small) in cases {
                let (rows_before, files_before) =
                    (rows::count(&gateway, "small_blob"), gateway.stored().len());
                let content = vec![b'x'; length];
                let upload = send(&gateway, &content);
                assert_eq!(head(&gateway, &upload.path), length as u64);
                gateway.wait_delivered(&upload.id, 1);
                assert_eq!(gateway.delivered_bytes(&upload.id), content);
                let rows = rows::count(&gateway, "small_blob") - rows_before;
                let files = gateway.stored().len() - files_before;
                assert_eq!((rows, files), (small, usize::from(small == 0)), "{length} bytes");
            }
        }
        gateway.stop();
    });
}

#[test]
fn a_small_upload_that_was_acknowledged_survives_a_kill() {
    // Nothing is delivered before the kill.
    let mut gateway = Gateway::with(&[("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[3600]")]);
    let upload = with_bytes(&gateway, b"acknowledged");
    gateway.kill();
    gateway.launch();
    assert_eq!(head(&gateway, &upload.path), 12);
    let queued = format!("/upload/route/{}", upload.id);
    let body = br#"{"target":"local"}"#;
    gateway.ask(&crate::support::http::Request::new("POST", &queued).body(body)).expect(200);
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"acknowledged");
}

#[test]
fn a_small_upload_that_breaks_keeps_what_arrived_and_is_gone_on_with() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 10);
    let mut connection = gateway.connect().expect("it takes connections");
    connection.begin(&patch(&upload.path, 0).header("Content-Length", "10")).expect("it is sent");
    connection.send(b"0123").expect("it is sent");
    drop(connection);
    crate::support::wait::until("the beginning to be kept", || {
        (head(&gateway, &upload.path) == 4).then_some(())
    });
    tus::append(&gateway, &upload.path, 4, b"456789");
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"0123456789");
    assert_eq!(rows::count(&gateway, "small_blob"), 0, "it did not come at once");
}

#[test]
fn the_bytes_of_a_small_upload_go_with_it() {
    for_each_database(&[], |gateway| {
        let upload = with_bytes(&gateway, b"to be removed");
        gateway.wait_delivered(&upload.id, 1);
        gateway.ask(&tus::request("DELETE", &upload.path)).expect(204);
        assert_eq!(rows::count(&gateway, "small_blob"), 0);
        gateway.ask(&tus::request("HEAD", &upload.path)).expect(410);
    });
}
