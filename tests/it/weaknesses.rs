//! Weaknesses of DEX (`dex-upload` §13), replayed from outside where the tests of a single part do not.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::buckets::{borrowed, s3_store};
use crate::support::gateway::{Gateway, furnish};
use crate::support::http::Request;
use crate::support::storage::S3Server;
use crate::support::{files, postgres, rows, tus, wait};

const STREAM: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;
const ROUTED: &[(&str, &str)] = &[
    ("data_stream_id", "dextesting"),
    ("data_stream_route", "testevent1"),
    ("sender_id", "x"),
    ("received_filename", "note.txt"),
];
/// One stream to three folders that differ in what they do about a name that is taken.
const CLASHES: &str = "\
targets:
  keep: { name: keep, type: file, path: ./delivered/keep }
  last: { name: last, type: file, path: ./delivered/last, clash_policy: overwrite }
  first: { name: first, type: file, path: ./delivered/first, clash_policy: fail }
routing_groups:
  - data_stream_id: dextesting
    data_stream_route: testevent1
    delivery_targets:
      - { name: keep, path_template: '{{.Filename}}' }
      - { name: last, path_template: '{{.Filename}}' }
      - { name: first, path_template: '{{.Filename}}' }
";

/// A gateway with one stream, whose route is `routing`.
fn routed(routing: &str, settings: &[(&str, &str)]) -> Gateway {
    let paths = [
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        ("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams"),
    ];
    let mut gateway = Gateway::prepare(&[&paths[..], settings].concat());
    furnish(&gateway, "delivery.yml", routing);
    furnish(&gateway, "streams/dextesting_testevent1.json", STREAM);
    gateway.launch();
    gateway
}

#[test]
fn w_03_what_would_go_nowhere_is_refused_where_that_was_set() {
    let gateway = routed("targets: {}\nrouting_groups: []\n", &[("CDEX_DELIVERY__UNROUTED", "refuse")]);
    let creation = tus::creation("/upload/files", 3, &tus::metadata(ROUTED));
    let answer = gateway.ask(&creation).expect(400).json();
    assert!(answer["validation_errors"].to_string().contains("the data stream has no destination"));
    assert_eq!(rows::count(&gateway, "upload"), 0);
}

#[test]
fn d_07_w_10_a_name_that_is_taken_loses_nothing_unless_that_was_set() {
    let gateway = routed(CLASHES, &[]);
    let first = tus::upload(&gateway, ROUTED, b"one");
    gateway.wait_delivered(&first.id, 3);
    let other = tus::upload(&gateway, ROUTED, b"two");
    gateway.wait_delivered(&other.id, 2);
    wait::until("the last delivery to be given up", || {
        let dead = gateway.get("/upload/deliveries?status=dead").expect(200).json();
        (dead["total"] == 1 && dead["deliveries"][0]["target"] == "first").then_some(())
    });
    let lies_at = |target: &str| -> BTreeSet<Vec<u8>> {
        let files = files::below(&gateway.data_dir().join("delivered").join(target));
        files.iter().map(|path| std::fs::read(path).expect("a delivered file is readable")).collect()
    };
    assert_eq!(lies_at("keep"), BTreeSet::from([b"one".to_vec(), b"two".to_vec()]));
    assert_eq!(lies_at("last"), BTreeSet::from([b"two".to_vec()]));
    assert_eq!(lies_at("first"), BTreeSet::from([b"one".to_vec()]));
}

/// DEX takes the times of its files for those of events, and fails where they are in another order.
#[test]
fn w_20_w_21_times_of_files_say_nothing_of_an_upload() {
    let mut gateway = Gateway::start();
    let upload = tus::create(&gateway, 6);
    tus::append(&gateway, &upload.path, 0, b"abc");
    let before = gateway.info(&upload.id);
    assert_eq!(before["upload_status"]["status"], "In Progress", "within the second of its creation");
    gateway.kill();
    for (age, path) in (1..).zip(files::below(&gateway.data_dir())) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * age);
        let file = File::options().append(true).open(path).expect("a file of the gateway opens");
        file.set_modified(time).expect("its time can be set");
    }
    gateway.launch();
    assert_eq!(gateway.info(&upload.id), before);
    tus::append(&gateway, &upload.path, 3, b"def");
    gateway.wait_delivered(&upload.id, 1);
}

/// Of an upload that lies in a bucket another gateway on the same database tells the same, and goes on with it.
#[test]
fn w_22_what_is_told_of_an_upload_lies_on_nobodys_disk() {
    let Some(url) = postgres::fresh_database() else { return };
    let server = S3Server::start();
    let mut settings = s3_store(&server);
    settings.push(("CDEX_DATABASE__URL", url));
    let mut gone = Gateway::with(&borrowed(&settings));
    let whole = tus::upload(&gone, tus::MANIFEST, b"whole");
    let told = gone.wait_delivered(&whole.id, 1);
    let half = tus::create(&gone, 8);
    tus::append(&gone, &half.path, 0, b"half");
    let told = [told, gone.info(&half.id)];
    gone.kill();

    let other = Gateway::with(&borrowed(&settings));
    assert_eq!([&whole, &half].map(|upload| other.info(&upload.id)), told);
    tus::append(&other, &half.path, 4, b"full");
    other.wait_delivered(&half.id, 1);
    assert_eq!(other.delivered_bytes(&half.id), b"halffull");
}

#[test]
fn w_31_an_error_inside_is_told_by_the_id_of_its_request_alone() {
    let server = S3Server::start();
    let settings = s3_store(&server);
    let gateway = Gateway::with(&borrowed(&settings));
    let upload = tus::create(&gateway, 3);
    let back = server.go_away();
    let answer = gateway.ask(&tus::patch(&upload.path, 0).body("abc"));
    assert!(answer.status >= 500, "{}", answer.status);
    assert!(answer.header("X-Request-Id").is_some_and(|id| !id.is_empty()));
    let told = answer.everything();
    for inside in
        [server.endpoint(), "bucket", "NoSuch", "object_store", "S3", "received_filename", "note.txt"]
    {
        assert!(!told.contains(inside), "{inside}: {told}");
    }
    back();
}

#[test]
fn w_32_labels_are_bounded_and_gauges_tell_what_is_there() {
    let mut gateway = Gateway::start();
    let series = |gateway: &Gateway| -> BTreeSet<String> {
        let text = gateway.get("/metrics").expect(200).text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let rush = |gateway: &Gateway, round: &str| {
        for number in 0..5 {
            let upload = tus::upload(gateway, tus::MANIFEST, format!("{round} {number}").as_bytes());
            gateway.wait_delivered(&upload.id, 1);
            gateway.get(&format!("/nothing/{round}/{number}")).expect(404);
            gateway.get(&format!("/upload/info/{round}-{number}")).expect(404);
            gateway.ask(&Request::new(&format!("M{round}{number}"), "/upload/files"));
        }
    };
    rush(&gateway, "one");
    // The first look makes the series of looks.
    series(&gateway);
    let before = series(&gateway);
    rush(&gateway, "two");
    let fresh: Vec<String> = series(&gateway).difference(&before).cloned().collect();
    assert_eq!(fresh, [""; 0], "the same kinds of requests make no more series");
    assert!(before.iter().all(|line| !line.contains("one")), "{before:?}");
    // Counted anew from what is there, so that a restart changes nothing.
    for _ in 0..2 {
        wait::until("the gauges to tell what is there", || {
            let text = gateway.get("/metrics").expect(200).text();
            let has = |sample: &str| text.lines().any(|line| line == sample);
            let states = [("delivered", 10), ("pending", 0), ("leased", 0), ("dead", 0)];
            let all = states
                .iter()
                .all(|(status, count)| has(&format!("cdex_deliveries{{status=\"{status}\"}} {count}")));
            (all && has("cdex_http_connections 1")).then_some(())
        });
        gateway.kill();
        gateway.launch();
    }
    assert_eq!(
        gateway.get("/upload/deliveries?status=delivered").expect(200).json()["total"],
        Value::from(10)
    );
}
