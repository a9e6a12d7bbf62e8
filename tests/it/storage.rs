//! Buckets as the place of uploads and as targets, end to end: what lies where, what is told of it, and what happens
//! while a bucket is gone.

use crate::support::buckets::{azure_store, azure_target, borrowed, s3_store, s3_target};
use crate::support::content::sha256_hex;
use crate::support::files;
use crate::support::gateway::{Gateway, PATIENT, furnish};
use crate::support::http::Request;
use crate::support::random::Random;
use crate::support::storage::{Azurite, BUCKET, S3Server};
use crate::support::submission::{accepted, note, submit};
use crate::support::{tus, wait};

const STREAM: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;
const ROUTED: &[(&str, &str)] = &[
    ("data_stream_id", "dextesting"),
    ("data_stream_route", "testevent1"),
    ("sender_id", "x"),
    ("received_filename", "a note (1).txt"),
];
const MIB: usize = 1024 * 1024;

/// A gateway whose one stream goes to these targets.
fn routed(settings: &[(&'static str, String)], targets: &[(&str, String)]) -> Gateway {
    let entries: String = targets.iter().map(|(_, entry)| entry.as_str()).collect();
    let routes: Vec<String> = targets
        .iter()
        .map(|(name, _)| format!("      - {{ name: {name}, path_template: 'in/{{{{.Filename}}}}' }}\n"))
        .collect();
    let yaml = format!(
        "targets:\n{entries}routing_groups:\n  - data_stream_id: dextesting\n    data_stream_route: testevent1\n    \
         delivery_targets:\n{}",
        routes.concat()
    );
    let folder = "{data}/..";
    let mut settings = borrowed(settings);
    let (file, streams) = (format!("{folder}/delivery.yml"), format!("{folder}/streams"));
    settings.push(("CDEX_DELIVERY__CONFIG_FILE", &file));
    settings.push(("CDEX_MANIFEST__CONFIG_DIR", &streams));
    settings.push(PATIENT);
    let mut gateway = Gateway::prepare(&settings);
    furnish(&gateway, "delivery.yml", &yaml);
    furnish(&gateway, "streams/dextesting_testevent1.json", STREAM);
    gateway.launch();
    gateway
}

/// Creates an upload on the routed stream and sends its content.
fn send(gateway: &Gateway, content: &[u8]) -> String {
    let creation = tus::creation("/upload/files", content.len() as u64, &tus::metadata(ROUTED));
    let upload = tus::created(&gateway.ask(&creation));
    tus::append(gateway, &upload.path, 0, content);
    upload.id
}

/// W-34, W-40, D-04: one upload to buckets of both services, and to the one that it lies in.
#[test]
fn an_upload_in_a_bucket_arrives_in_every_bucket() {
    let [store, other] = [S3Server::start(), S3Server::start()];
    let mut targets = vec![
        ("lake", s3_target("lake", &other, "")),
        ("same", s3_target("same", &store, ", metadata: sidecar")),
    ];
    targets.extend(Azurite::get().map(|azurite| ("blob", azure_target("blob", &azurite.container()))));
    // Objects are short where a second passes before they are full; what is short is not copied but sent.
    let mut settings = s3_store(&store);
    settings.push(("CDEX_UPLOAD__CHECKPOINT_INTERVAL_MS", "600000".to_owned()));
    let gateway = routed(&settings, &targets);
    for length in [100 * 1024, 20 * MIB] {
        let content = Random::new(7).bytes(length);
        let id = send(&gateway, &content);
        let info = gateway.wait_delivered(&id, targets.len());
        let deliveries = info["deliveries"].as_array().expect("a list");
        for delivery in deliveries {
            let location = delivery["location"].as_str().expect("a text");
            let (name, key) = (delivery["name"].as_str().expect("a name"), location.rsplit('/').next());
            let key = key.unwrap_or_default();
            if name == "blob" {
                assert!(location.starts_with("http://127.0.0.1:") && location.contains("a%20note%20%281%29"));
                continue;
            }
            let server = if name == "lake" { &other } else { &store };
            assert_eq!(location, format!("s3://{BUCKET}/in/{key}"));
            assert!(std::fs::read(server.folder().join("in").join(key)).expect("it is there") == content);
        }
        // The first is short and sent; of the second a list of parts goes to the service.
        assert!(store.sent("in/", ".meta.json") < 101 * 1024, "it was copied there");
        let sidecars = files::below(&store.folder().join("in"));
        assert!(sidecars.iter().any(|path| path.to_string_lossy().ends_with(".meta.json")));
    }
}

#[test]
fn a_submission_is_kept_in_a_bucket_and_found_after_a_kill() {
    let server = S3Server::start();
    let settings = s3_store(&server);
    let mut gateway = Gateway::with(&borrowed(&settings));
    let content = Random::new(9).bytes(3 * MIB);
    let ids = accepted(&submit(&gateway, note("in a bucket", &content)));
    gateway.kill();
    gateway.launch();
    gateway.wait_delivered(&ids[0], 1);
    assert!(gateway.delivered_bytes(&ids[0]) == content);
    assert_eq!(gateway.stored(), Vec::<std::path::PathBuf>::new(), "nothing lies in the data folder");
}

/// The upload comes in pieces that are not those of its objects, and is delivered into the container that it lies in.
#[test]
fn an_upload_lies_in_a_container_of_azure() {
    let Some(azurite) = Azurite::get() else { return };
    let container = azurite.container();
    let mut gateway = routed(&azure_store(&container), &[("same", azure_target("same", &container))]);
    let content = Random::new(8).bytes(20 * MIB);
    let creation = tus::creation("/upload/files", content.len() as u64, &tus::metadata(ROUTED));
    let upload = tus::created(&gateway.ask(&creation));
    tus::append(&gateway, &upload.path, 0, &content[..9 * MIB]);
    gateway.kill();
    gateway.launch();
    let offset = tus::head(&gateway, &upload.path);
    assert_eq!(offset, 9 * MIB as u64);
    tus::append(&gateway, &upload.path, offset, &content[9 * MIB..]);
    gateway.wait_delivered(&upload.id, 1);
    let delivered = container.blobs().into_iter().find(|(name, _)| name.starts_with("in/"));
    assert_eq!(delivered.map(|(_, sha256)| sha256), Some(sha256_hex(&content)));
}

/// W-33: what could not be kept after the last byte is refused before the first.
#[test]
fn w_33_a_manifest_that_a_bucket_cannot_keep_is_refused_at_creation() {
    let server = S3Server::start();
    let gateway = routed(&[], &[("lake", s3_target("lake", &server, ", metadata: object"))]);
    let with = |name: &'static str, value: &'static str| {
        let manifest: Vec<(&str, &str)> = ROUTED.iter().copied().chain([(name, value)]).collect();
        gateway.ask(&tus::creation("/upload/files", 1, &tus::metadata(&manifest)))
    };
    assert_eq!(with("meta_note", "plain").status, 201);
    for (name, value) in [("meta_note", "naïve"), ("MetaNote", "plain")] {
        let answer = with(name, value);
        assert_eq!(answer.status, 400, "{name}");
        assert!(
            answer.text().contains(&format!("{name} cannot be kept at a target of the data stream: ")),
            "{}",
            answer.text()
        );
    }
}

/// W-30, D-01: a target that is gone stops nobody else and gets what is its own when it is back; without the store
/// nothing is accepted.
#[test]
fn w_30_a_bucket_that_is_gone_is_told_and_waited_for() {
    let [store, target] = [S3Server::start(), S3Server::start()];
    let gateway = routed(&s3_store(&store), &[("lake", s3_target("lake", &target, ""))]);
    let back = target.go_away();
    let id = send(&gateway, b"a note");
    wait::until("an attempt to fail", || {
        gateway.info(&id)["deliveries"]
            .as_array()
            .is_some_and(|deliveries| !deliveries.is_empty())
            .then_some(())
    });
    assert_eq!(gateway.get("/health/ready").status, 200);
    let health = gateway.get("/upload/health").expect(200).json();
    assert_eq!(health["status"], "DEGRADED");
    let of = |name: &str| {
        let mut rows = health["services"].as_array().into_iter().flatten();
        rows.find(|row| row["service"] == name).map(|row| row["status"].clone())
    };
    assert_eq!(of("S3 deliver target lake"), Some("DOWN".into()), "{health}");
    assert_eq!(of(&format!("Tus storage S3 Bucket {BUCKET}")), Some("UP".into()), "{health}");
    back();
    gateway.wait_delivered(&id, 1);

    let back = store.go_away();
    assert_eq!(gateway.get("/health/ready").status, 503);
    let creation = tus::creation("/upload/files", 1, &tus::metadata(ROUTED));
    let upload = tus::created(&gateway.ask(&creation));
    let answer = gateway.ask(&tus::patch(&upload.path, 0).body("x"));
    assert!(answer.status >= 500, "{}", answer.status);
    back();
    tus::append(&gateway, &upload.path, 0, b"x");
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.get("/health/ready").status, 200);
}

/// A gateway started with an empty database does not sweep the bucket of another one.
#[test]
fn a_bucket_belongs_to_one_database() {
    let server = S3Server::start();
    let settings = s3_store(&server);
    let gateway = Gateway::with(&borrowed(&settings));
    gateway.ask(&Request::new("GET", "/health/live")).expect(200);
    let stranger = Gateway::prepare(&borrowed(&settings));
    let output = stranger.command().output().expect("the binary under test runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("belongs to another database"));
}
