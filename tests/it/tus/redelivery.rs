//! `POST /upload/route/{id}`: an operator's repeat, by the table of `dex-upload` §1.5, with routing from DEX YAML.

use serde_json::Value;

use crate::support::gateway::{Gateway, furnish};
use crate::support::http::{Answer, Request};
use crate::support::tus;
use crate::support::{rows, wait};

const ROUTING: &str = "\
version: 1.0
targets:
  edav:
    name: edav
    type: file
    path: ./delivered/edav
  archive:
    name: archive
    type: file
    path: ./delivered/archive
  elsewhere:
    name: elsewhere
    type: file
    path: ./delivered/elsewhere
routing_groups:
  - data_stream_id: dextesting
    data_stream_route: testevent1
    delivery_targets:
      - name: edav
        path_template: '{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}_{{.UploadId}}'
      - name: archive
        path_template: 'all/{{.UploadId}}'
  - data_stream_id: other
    data_stream_route: stream
    delivery_targets:
      - name: elsewhere
        path_template: '{{.UploadId}}'
";
const STREAM: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;
const ROUTED: &[(&str, &str)] = &[
    ("data_stream_id", "dextesting"),
    ("data_stream_route", "testevent1"),
    ("sender_id", "x"),
    ("received_filename", "note.txt"),
];

#[test]
fn a_stream_goes_to_every_target_of_its_group() {
    let gateway = routed();
    let upload = tus::upload(&gateway, ROUTED, b"abc");
    let info = gateway.wait_delivered(&upload.id, 2);
    let mut names: Vec<&str> =
        info["deliveries"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["archive", "edav"]);
    let files = gateway.delivered();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| std::fs::read(file).is_ok_and(|bytes| bytes == b"abc")));
    assert!(
        files.iter().any(|file| file.ends_with(format!("delivered/archive/all/{}.txt", upload.id))),
        "{files:?}"
    );
}

#[test]
fn a_repeat_brings_a_lost_file_back_and_is_told_as_one_more_delivery() {
    let gateway = routed();
    let upload = tus::upload(&gateway, ROUTED, b"abc");
    gateway.wait_delivered(&upload.id, 2);
    let lost = gateway.delivered().into_iter().find(|path| path.to_string_lossy().contains("edav"));
    let lost = lost.expect("it was delivered to edav");
    std::fs::remove_file(&lost).expect("a delivered file can be lost");
    let answer = repeat(&gateway, &upload.id, r#"{"target":"edav"}"#).expect(200);
    assert_eq!(answer.text(), upload.id);
    wait::until("the file to come back", || lost.exists().then_some(()));
    let info = gateway.wait_delivered(&upload.id, 3);
    assert_eq!(info["deliveries"].as_array().map(Vec::len), Some(3));
    assert_eq!(std::fs::read(&lost).expect("it is back"), b"abc");
    assert_eq!(gateway.delivered().len(), 2, "and not a second time under another name");
}

/// D-02
#[test]
fn a_repeat_of_what_lies_there_changes_nothing() {
    let gateway = routed();
    let upload = tus::upload(&gateway, ROUTED, b"abc");
    gateway.wait_delivered(&upload.id, 2);
    repeat(&gateway, &upload.id, r#"{"target":"archive","source":"upload"}"#).expect(200);
    gateway.wait_delivered(&upload.id, 3);
    assert_eq!(gateway.delivered().len(), 2);
}

/// W-29
#[test]
fn what_cannot_be_repeated_is_told_as_the_table_says() {
    let gateway = routed();
    let upload = tus::upload(&gateway, ROUTED, b"abc");
    gateway.wait_delivered(&upload.id, 2);
    let incomplete = {
        let metadata = tus::metadata(ROUTED);
        tus::created(&gateway.ask(&tus::creation("/upload/files", 9, &metadata)))
    };
    let unrouted = {
        let manifest = [("data_stream_id", "lonely"), ("data_stream_route", "stream"), ("sender_id", "x")];
        tus::upload(&gateway, &manifest, b"abc")
    };
    let unknown = uuid::Uuid::new_v4().to_string();
    let cases: [(&str, &str, u16, &str); 10] = [
        (&upload.id, "blah", 400, ""),
        (&upload.id, "", 400, ""),
        (&upload.id, r#"{"target":"edav","source":"tape"}"#, 400, "Could not find source"),
        (&unknown, r#"{"target":"edav"}"#, 404, ""),
        (&unknown, r#"{"target":"nowhere"}"#, 404, ""),
        ("blah", r#"{"target":"edav"}"#, 404, ""),
        (&incomplete.id, r#"{"target":"edav"}"#, 409, ""),
        (&upload.id, r#"{"target":"nowhere"}"#, 400, "Invalid target"),
        (&unrouted.id, r#"{"target":"edav"}"#, 400, "Invalid target for metadata"),
        (&upload.id, r#"{"target":"elsewhere"}"#, 400, "Invalid target for metadata"),
    ];
    let before = rows::count(&gateway, "attempt");
    for (id, body, status, text) in cases {
        let answer = repeat(&gateway, id, body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(text), "{body}: {}", answer.text());
    }
    gateway.get(&format!("/upload/route/{}", upload.id)).expect(400);
    assert_eq!(rows::count(&gateway, "attempt"), before);
    assert_eq!(gateway.delivered().len(), 2);
}

#[test]
fn the_bare_path_repeats_too() {
    let gateway = Gateway::start();
    let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
    gateway.wait_delivered(&upload.id, 1);
    let body = r#"{"target":"local"}"#;
    gateway.ask(&Request::new("POST", &format!("/route/{}", upload.id)).body(body)).expect(200);
    let info = gateway.wait_delivered(&upload.id, 2);
    assert!(info["deliveries"].as_array().into_iter().flatten().all(|one| one["issues"] == Value::Null));
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abc");
}

/// A gateway with two targets for one stream, one for another, and a stream that goes nowhere.
fn routed() -> Gateway {
    let mut gateway = Gateway::prepare(&[
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        ("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams"),
    ]);
    furnish(&gateway, "delivery.yml", ROUTING);
    for stream in ["dextesting_testevent1", "other_stream", "lonely_stream"] {
        furnish(&gateway, &format!("streams/{stream}.json"), STREAM);
    }
    gateway.launch();
    gateway
}

fn repeat(gateway: &Gateway, id: &str, body: &str) -> Answer {
    gateway.ask(&Request::new("POST", &format!("/upload/route/{id}")).body(body))
}
