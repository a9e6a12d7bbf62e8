//! creation-defer-length: `dex-upload` T-16 to T-19.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::rows;
use crate::support::tus::{self, Created, append, created, head, offset_of, patch, request};

/// T-16
#[test]
fn a_length_is_deferred_by_one_and_by_nothing_else() {
    let gateway = Gateway::start();
    for value in ["0", "2", "01", "yes", "1, 1", "-1"] {
        gateway.ask(&creation().header("Upload-Defer-Length", value)).expect(400);
    }
    assert_eq!(rows::count(&gateway, "upload"), 0);
    // An empty field counts as absent: go-tus sends one.
    created(&gateway.ask(&creation().header("Upload-Defer-Length", "1").header("Upload-Length", "")));
    let options = gateway.ask(&Request::new("OPTIONS", "/files"));
    assert!(options.header("Tus-Extension").is_some_and(|told| told.contains("creation-defer-length")));
}

/// T-17, T-18
#[test]
fn the_length_is_told_by_head_once_a_patch_has_told_it() {
    for_each_database(&[], |gateway| {
        let upload = deferred(&gateway);
        let looked = |length: Option<&str>, deferred: Option<&str>| {
            let answer = gateway.ask(&request("HEAD", &upload.path)).expect(200);
            assert_eq!(answer.header("Upload-Length"), length);
            assert_eq!(answer.header("Upload-Defer-Length"), deferred);
        };
        looked(None, Some("1"));
        append(&gateway, &upload.path, 0, b"abc");
        looked(None, Some("1"));
        // Less than what is here, and what is no length, leave it open.
        for length in ["2", "-1", "three"] {
            gateway.ask(&patch(&upload.path, 3).header("Upload-Length", length).body("")).expect(400);
        }
        looked(None, Some("1"));
        // An empty PATCH may tell it.
        gateway.ask(&patch(&upload.path, 3).header("Upload-Length", "6").body("")).expect(204);
        looked(Some("6"), None);
        gateway.ask(&patch(&upload.path, 3).header("Upload-Length", "7").body("defg")).expect(400);
        assert_eq!(head(&gateway, &upload.path), 3);
        // Who repeats a request whose answer was lost says the same again.
        let last = gateway.ask(&patch(&upload.path, 3).header("Upload-Length", "6").body("def")).expect(204);
        assert_eq!(offset_of(&last), 6);
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), b"abcdef");
    });
}

/// T-18
#[test]
fn a_deferred_length_is_bounded_too() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__MAX_SIZE_BYTES", "10")]);
    let upload = deferred(&gateway);
    gateway.ask(&patch(&upload.path, 0).header("Upload-Length", "11").body("")).expect(413);
    gateway.ask(&patch(&upload.path, 0).body("eleven byte")).expect(413);
    assert_eq!(head(&gateway, &upload.path), 0);
    append(&gateway, &upload.path, 0, b"ten bytes.");
    gateway.ask(&patch(&upload.path, 10).header("Upload-Length", "10").body("")).expect(204);
    gateway.wait_delivered(&upload.id, 1);
}

/// T-19, T-14
#[test]
fn a_length_that_equals_the_offset_completes_the_upload_once() {
    for_each_database(&[], |gateway| {
        for content in [b"".as_slice(), b"abc"] {
            let upload = deferred(&gateway);
            append(&gateway, &upload.path, 0, content);
            let end = content.len().to_string();
            let last = patch(&upload.path, content.len() as u64).header("Upload-Length", &end).body("");
            for _ in 0..2 {
                gateway.ask(&last).expect(204);
            }
            gateway.wait_delivered(&upload.id, 1);
            assert_eq!(gateway.delivered_bytes(&upload.id), content);
        }
        assert_eq!(rows::count(&gateway, "delivery"), 2);
    });
}

fn creation() -> Request {
    let post = request("POST", "/upload/files").header("Upload-Metadata", &tus::metadata(tus::MANIFEST));
    post.header("Content-Length", "0")
}

fn deferred(gateway: &Gateway) -> Created {
    created(&gateway.ask(&creation().header("Upload-Defer-Length", "1")))
}
