//! termination and expiration: `dex-upload` T-23, T-24, T-28, W-23, W-28. What the clock does is tested with the use
//! case, where it can be turned.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::tus::{self, append, create, created, creation, head, metadata, patch, request};
use crate::support::{rows, wait};

/// T-28
#[test]
fn what_is_removed_is_gone_with_its_bytes() {
    for_each_database(&[], |gateway| {
        let upload = create(&gateway, 6);
        append(&gateway, &upload.path, 0, b"abc");
        assert_eq!(gateway.stored().len(), 1);
        gateway.ask(&request("DELETE", &upload.path)).expect(204);
        assert!(gateway.stored().is_empty(), "{:?}", gateway.stored());
        let head = gateway.ask(&request("HEAD", &upload.path)).expect(410);
        assert_eq!(head.header("Upload-Offset"), None, "tus 1.0.0, HEAD");
        gateway.ask(&patch(&upload.path, 3).body("def")).expect(410);
        gateway.ask(&request("DELETE", &upload.path)).expect(410);
        let info = gateway.info(&upload.id);
        assert_eq!(info["upload_status"]["status"], "Terminated");
        let last = last_report(&gateway, &upload.id);
        assert_eq!(last["stage_info"]["action"], "upload-status");
        assert_eq!(last["stage_info"]["status"], "FAILURE");
        assert!(rows::audit_trail(&gateway).iter().any(|line| line.contains("terminate")));
    });
}

/// T-28, T-09
#[test]
fn unknown_uploads_are_404_and_the_method_may_come_as_an_override() {
    let gateway = Gateway::start();
    gateway.ask(&request("DELETE", &format!("/files/{}", uuid::Uuid::new_v4()))).expect(404);
    gateway.ask(&request("DELETE", "/files/blah")).expect(404);
    let upload = create(&gateway, 6);
    gateway.ask(&Request::new("DELETE", &upload.path)).expect(412);
    let post = request("POST", &upload.path).header("X-HTTP-Method-Override", "DELETE");
    gateway.ask(&post.header("Content-Length", "0")).expect(204);
    gateway.ask(&request("HEAD", &upload.path)).expect(410);
}

/// T-28: whoever is writing is stopped first.
#[test]
fn an_upload_can_be_removed_while_somebody_writes_it() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 100_000);
    let mut writing = gateway.connect().expect("it listens");
    writing.begin(&patch(&upload.path, 0).header("Content-Length", "100000")).expect("a head goes out");
    writing.send(&vec![b'a'; 50_000]).expect("a part goes out");
    gateway.ask(&request("DELETE", &upload.path)).expect(204);
    let answer = writing.answer(false).expect("the writer is told");
    assert!(matches!(answer.status, 410 | 423), "{}", answer.status);
    assert!(gateway.stored().is_empty());
}

/// W-28
#[test]
fn a_delivered_upload_can_be_removed_and_what_was_delivered_stays() {
    let gateway = Gateway::start();
    let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
    gateway.wait_delivered(&upload.id, 1);
    gateway.ask(&request("DELETE", &upload.path)).expect(204);
    assert!(gateway.stored().is_empty());
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abc");
    let again = Request::new("POST", &format!("/upload/route/{}", upload.id)).body(r#"{"target":"local"}"#);
    assert!(gateway.ask(&again).status >= 400, "nothing can be delivered again");
}

/// T-28, W-28
#[test]
fn a_delivery_that_is_under_way_keeps_its_upload_unless_it_is_called_off() {
    for (setting, query) in [("false", "?force"), ("true", "")] {
        let mut gateway = Gateway::prepare(&[("CDEX_UPLOAD__TERMINATE_DURING_DELIVERY", setting)]);
        // Where the folder of the target should be made there is a file: each attempt fails and is repeated.
        std::fs::write(gateway.data_dir().join("delivered"), "in the way").expect("the folder takes files");
        gateway.launch();
        let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
        wait::until("a first attempt to fail", || {
            gateway.info(&upload.id)["deliveries"]
                .as_array()
                .filter(|attempts| !attempts.is_empty())
                .map(drop)
        });
        if setting == "false" {
            let refused = gateway.ask(&request("DELETE", &upload.path)).expect(423);
            assert!(refused.header("Retry-After").is_some());
            assert_eq!(head(&gateway, &upload.path), 3);
        }
        gateway.ask(&request("DELETE", &format!("{}{query}", upload.path))).expect(204);
        let statuses = rows::texts(&gateway, "SELECT status FROM delivery");
        assert_eq!(statuses, ["cancelled"]);
        assert!(gateway.stored().is_empty());
    }
}

/// T-23
#[test]
fn an_unfinished_upload_says_when_it_expires() {
    let gateway = Gateway::start();
    let options = gateway.ask(&Request::new("OPTIONS", "/files"));
    assert!(options.header("Tus-Extension").is_some_and(|told| told.contains("expiration")));
    let answer = gateway.ask(&creation("/files", 6, &metadata(tus::MANIFEST))).expect(201);
    let upload = created(&answer);
    let first = gateway.ask(&patch(&upload.path, 0).body("abc")).expect(204);
    let looked = gateway.ask(&request("HEAD", &upload.path)).expect(200);
    for answer in [answer, first, looked] {
        assert!((167 * 60..=168 * 60).contains(&minutes_left(&answer)), "a week");
    }
    let last = gateway.ask(&patch(&upload.path, 3).body("def")).expect(204);
    assert_eq!(last.header("Upload-Expires"), None, "a finished one never expires");
}

/// T-23
#[test]
fn the_time_is_a_setting_also_of_a_single_stream() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__EXPIRY_HOURS", "0")]);
    let answer = gateway.ask(&creation("/files", 6, &metadata(tus::MANIFEST))).expect(201);
    assert_eq!(answer.header("Upload-Expires"), None);
    let gateway = Gateway::with(&[("CDEX_UPLOAD__STREAM_EXPIRY_HOURS__CDEX_ATTACHMENT", "1")]);
    let answer = gateway.ask(&creation("/files", 6, &metadata(tus::MANIFEST))).expect(201);
    assert!(minutes_left(&answer) <= 60);
}

/// The time from an answer to the expiry that it tells.
#[track_caller]
fn minutes_left(answer: &Answer) -> i64 {
    let at = |name| {
        let date = answer.header(name).unwrap_or_else(|| panic!("{name} is told"));
        assert!(date.ends_with("GMT"), "RFC 9110, 5.6.7: {date}");
        jiff::fmt::rfc2822::parse(date).expect("a date").timestamp()
    };
    at("Upload-Expires").duration_since(at("Date")).as_mins()
}

fn last_report(gateway: &Gateway, id: &str) -> serde_json::Value {
    let reports = gateway.get(&format!("/upload/info/{id}?view=reports")).expect(200).json();
    reports["reports"].as_array().and_then(|all| all.last()).cloned().expect("there are reports")
}
