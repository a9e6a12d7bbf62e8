//! Reports out (dex-upload 5.2, W-17 to W-19): what a folder, an HTTP endpoint and a stream of NATS get, while gateway
//! and sink are killed. Each report arrives, under the same id whenever it comes again, and in order for each upload.

mod health;

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::support::endpoint::{Endpoint, Reply};
use crate::support::gateway::Gateway;
use crate::support::nats::{NatsServer, SUBJECT, USER};
use crate::support::random::Random;
use crate::support::{files, postgres, tus, wait};

const ROUNDS: u64 = 3;
const UPLOADS: u64 = 4;

/// A report as a sink got it: its id (of a line in a file its text) and what it says.
type Arrived = (String, Value);

/// Uploads, kills the gateway after a while, disturbs the sink, and goes on; then waits until a sink has all reports.
fn run(
    settings: &[(&str, &str)],
    mut disturb: impl FnMut(u64),
    arrived: impl Fn(&Gateway) -> Vec<Arrived>,
) -> (Gateway, Vec<Arrived>) {
    let mut random = Random::new(Random::seed());
    let mut gateway = Gateway::with(settings);
    let mut uploads = Vec::new();
    for round in 0..ROUNDS {
        for _ in 0..UPLOADS {
            uploads.push(tus::upload(&gateway, tus::MANIFEST, b"abc").id);
        }
        disturb(round);
        wait::pause(std::time::Duration::from_millis(random.below(400)));
        gateway.kill();
        gateway.launch();
    }
    disturb(ROUNDS);
    for upload in &uploads {
        gateway.wait_delivered(upload, 1);
    }
    let told: BTreeMap<&str, Vec<Value>> =
        uploads.iter().map(|upload| (upload.as_str(), reports(&gateway, upload))).collect();
    let all = wait::until("every report to arrive", || {
        let arrived = arrived(&gateway);
        let bodies: HashSet<String> = arrived.iter().map(|(_, body)| body.to_string()).collect();
        told.values().flatten().all(|report| bodies.contains(&report.to_string())).then_some(arrived)
    });
    (gateway, all)
}

/// What `/upload/info` tells of an upload.
fn reports(gateway: &Gateway, upload: &str) -> Vec<Value> {
    let answer = gateway.get(&format!("/upload/info/{upload}?view=reports")).expect(200).json();
    answer["reports"].as_array().expect("a list").clone()
}

/// That of each upload the reports came in the order in which they became true, but for those that came again.
fn check_order(arrived: &[Arrived]) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seen: BTreeMap<&str, &Value> = BTreeMap::new();
    for (id, body) in arrived {
        let (upload, number) = id.rsplit_once('-').expect("upload and number");
        assert_eq!(body["upload_id"], upload);
        if let Some(before) = seen.insert(id, body) {
            assert_eq!(before, body, "the same id is the same report");
            continue;
        }
        let number = number.parse().expect("a number");
        let before = last.insert(upload, number);
        assert!(before.is_none_or(|before| before < number), "{id} came after {before:?}");
        check_envelope(body);
    }
}

/// W-17: every report says whose data it is about and when they came in.
fn check_envelope(report: &Value) {
    for key in ["sender_id", "data_stream_id", "data_stream_route", "jurisdiction", "dex_ingest_datetime"] {
        assert!(report[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {report}");
    }
}

/// W-17, W-18, W-19
#[test]
fn w_19_an_endpoint_gets_every_report_in_order_whoever_is_killed() {
    let databases = [None, postgres::fresh_database()];
    for database in
        databases.iter().enumerate().filter(|(at, url)| *at == 0 || url.is_some()).map(|(_, url)| url)
    {
        let endpoint = Endpoint::start();
        let url = endpoint.url();
        let mut settings = vec![
            ("CDEX_REPORT__SINK__STATUS__TYPE", "http"),
            ("CDEX_REPORT__SINK__STATUS__URL", url.as_str()),
            ("CDEX_REPORT__SINK__STATUS__TOKEN", "test-token"),
            ("CDEX_REPORT__POLL_INTERVAL_MS", "50"),
        ];
        settings.extend(database.as_deref().map(|url| ("CDEX_DATABASE__URL", url)));
        let disturb = |_| {
            endpoint.answer([Reply::new(200), Reply::new(503), Reply::new(429).header("Retry-After", "1")]);
        };
        let arrived = || {
            let taken = |request: &crate::support::endpoint::Received| {
                let id = request.header("Idempotency-Key").expect("each has an id").to_owned();
                (id, request.json())
            };
            endpoint.received().iter().map(taken).collect::<Vec<_>>()
        };
        let (_gateway, all) = run(&settings, disturb, |_| arrived());
        check_order(&all);
        let received = endpoint.received();
        assert!(received.iter().all(|request| request.header("Authorization") == Some("Bearer test-token")));
    }
}

/// W-18, W-19
#[test]
fn w_19_a_stream_of_nats_gets_every_report_once_and_in_order_whoever_is_killed() {
    let Some(mut server) = NatsServer::start() else { return };
    let url = server.url();
    let settings = [
        ("CDEX_REPORT__SINK__EVENTS__TYPE", "nats"),
        ("CDEX_REPORT__SINK__EVENTS__URL", url.as_str()),
        ("CDEX_REPORT__SINK__EVENTS__SUBJECT", SUBJECT),
        ("CDEX_REPORT__SINK__EVENTS__USER", USER.0),
        ("CDEX_REPORT__SINK__EVENTS__PASSWORD", USER.1),
        ("CDEX_REPORT__POLL_INTERVAL_MS", "50"),
    ];
    let server = std::cell::RefCell::new(&mut server);
    let disturb = |round| {
        let mut server = server.borrow_mut();
        if round % 2 == 0 {
            server.kill();
        } else {
            server.launch();
        }
    };
    let messages = |_: &Gateway| {
        let messages = server.borrow().messages().into_iter();
        messages.map(|(id, body)| (id, serde_json::from_slice(&body).expect("JSON"))).collect::<Vec<_>>()
    };
    let (_gateway, all) = run(&settings, disturb, messages);
    check_order(&all);
    let ids: HashSet<&str> = all.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "the stream knows by the id what it has");
}

/// W-19, dex-upload 5.2
#[test]
fn w_19_the_files_hold_whole_lines_each_once_whenever_the_gateway_is_killed() {
    let settings = [
        ("CDEX_REPORT__SINK__ARCHIVE__TYPE", "file"),
        ("CDEX_REPORT__SINK__ARCHIVE__FOLDER", "reports"),
        ("CDEX_REPORT__POLL_INTERVAL_MS", "1"),
    ];
    let lines = |gateway: &Gateway| {
        let mut lines = Vec::new();
        for file in files::below(&gateway.data_dir().join("reports")) {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).expect("a file of text");
            // The last line may be on its way.
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let report: Value = serde_json::from_str(line).expect("each line is JSON");
                let (upload, stage) = (&report["upload_id"], &report["stage_info"]["action"]);
                assert_eq!(name, format!("{}_{}", upload.as_str().unwrap(), stage.as_str().unwrap()));
                lines.push((line.to_owned(), report));
            }
        }
        lines
    };
    let (mut gateway, _) = run(&settings, |_| {}, lines);
    gateway.stop();
    let all = lines(&gateway);
    let once: HashSet<&str> = all.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(once.len(), all.len(), "no line stands there twice");
    for (_, report) in &all {
        check_envelope(report);
    }
    let bytes = files::below(&gateway.data_dir().join("reports"));
    assert!(bytes.iter().all(|file| std::fs::read(file).is_ok_and(|text| text.ends_with(b"\n"))));
}
