//! `/upload/info/{id}` tells the truth at each moment, in the DEX shape.

use serde_json::Value;

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::{rows, tus};

/// W-20
#[test]
fn info_follows_an_upload_from_creation_to_delivery() {
    for_each_database(&[], |gateway| {
        let upload = tus::create(&gateway, 6);
        let info = gateway.info(&upload.id);
        assert_state(&info, "Initiated", 0);
        assert_eq!(info["deliveries"], Value::Null);
        let manifest = &info["manifest"];
        assert_eq!(manifest["upload_id"], upload.id);
        assert_eq!(manifest["received_filename"], "note.txt");
        assert_instant(&manifest["dex_ingest_datetime"]);
        assert!(manifest.as_object().is_some_and(|map| map.values().all(Value::is_string)));

        tus::append(&gateway, &upload.path, 0, b"abc");
        let info = gateway.info(&upload.id);
        assert_state(&info, "In Progress", 3);
        assert_instant(&info["upload_status"]["chunk_received_at"]);
        assert_eq!(info["deliveries"], Value::Null);

        tus::append(&gateway, &upload.path, 3, b"def");
        assert_state(&gateway.info(&upload.id), "Complete", 6);
        let info = gateway.wait_delivered(&upload.id, 1);
        assert_state(&info, "Complete", 6);
        let deliveries = info["deliveries"].as_array().expect("it was delivered");
        assert_eq!(deliveries.len(), 1);
        let delivery = &deliveries[0];
        assert_eq!(delivery["name"], "local");
        assert_eq!(delivery["issues"], Value::Null);
        assert_instant(&delivery["delivered_at"]);
        let location = delivery["location"].as_str().expect("a success has a location");
        assert!(location.contains(&upload.id), "{location}");
        assert_eq!(std::fs::read(location).expect("the location is the file"), b"abcdef");
    });
}

#[test]
fn info_answers_under_both_prefixes() {
    let gateway = Gateway::start();
    let upload = tus::create(&gateway, 1);
    let long = gateway.get(&format!("/upload/info/{}", upload.id)).expect(200);
    let short = gateway.get(&format!("/info/{}", upload.id)).expect(200);
    assert_eq!(long.json(), short.json());
    assert!(long.header("Content-Type").is_some_and(|kind| kind.starts_with("application/json")));
}

#[test]
fn info_of_an_unknown_upload_is_404_with_the_known_text() {
    let gateway = Gateway::start();
    for id in ["blah", "1234", "8f40fed6-4431-4ee3-8506-2e08871af41d"] {
        let answer = gateway.get(&format!("/upload/info/{id}")).expect(404);
        assert_eq!(answer.text(), "error getting file manifest\n");
    }
}

#[test]
fn a_small_upload_has_the_six_reports_of_its_stages() {
    for_each_database(&[], |gateway| {
        let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
        gateway.wait_delivered(&upload.id, 1);
        // metadata-transform, metadata-verify, upload-started, upload-status, upload-completed, blob-file-copy.
        assert_eq!(rows::count(&gateway, "report"), 6);
    });
}

#[test]
fn an_upload_without_a_destination_reads_complete_and_is_never_pending() {
    let mut gateway = Gateway::prepare(&[("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams")]);
    let config = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;
    crate::support::gateway::furnish(&gateway, "streams/lonely_stream.json", config);
    gateway.launch();
    let manifest = [("data_stream_id", "lonely"), ("data_stream_route", "stream"), ("sender_id", "x")];
    let upload = tus::upload(&gateway, &manifest, b"abc");
    let info = gateway.info(&upload.id);
    assert_state(&info, "Complete", 3);
    let reports = gateway.get(&format!("/upload/info/{}?view=reports", upload.id)).expect(200).json();
    let last = reports["reports"].as_array().and_then(|reports| reports.last()).expect("there are reports");
    assert_eq!(last["stage_info"]["action"], "blob-file-copy", "{last}");
    assert_eq!(last["stage_info"]["status"], "FAILURE", "somebody must be able to see it (W-03): {last}");
    assert_eq!(rows::count(&gateway, "delivery"), 0);
    assert!(gateway.delivered().is_empty());
    assert!(gateway.get("/metrics").expect(200).text().contains("cdex_uploads_unrouted_total 1"));
}

#[track_caller]
fn assert_state(info: &Value, status: &str, size: u64) {
    assert_eq!(info["upload_status"]["status"], status, "{info}");
    assert_eq!(info["file_info"]["size_bytes"].to_string(), size.to_string(), "{info}");
    assert_instant(&info["file_info"]["updated_at"]);
}

/// RFC 3339 in UTC.
#[track_caller]
fn assert_instant(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("an instant is a string, not {value}"));
    assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "{text} is no instant in UTC");
}
