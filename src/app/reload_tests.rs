//! Tests of following the files of DEX (W-26): what is in force after each change, in a folder and in a bucket.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::app::lifecycle::Lifecycle;
use crate::app::{dex_files, exchange};
use crate::clock::SystemClock;
use crate::config::{Secret, StoreConfig};
use crate::db::Db;
use crate::exchange::check_health::Part;
use crate::manifest::SenderManifest;
use crate::outbound::Reach;
use crate::outbound::bucket::testing::{S3Server, s3_settings};
use crate::outbound::bucket::{Bucket, BucketSettings, Labels, Place};

const FREE: &str = r#"{"metadata_config":{"fields":[]}}"#;
const STRICT: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;

/// A gateway without a listener, and its files.
struct Scene {
    folder: TempDir,
    reloader: Reloader,
}

impl Scene {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let streams = folder.path().join("streams");
        std::fs::create_dir(&streams).expect("a fresh folder takes another");
        let mut config = Config::defaults_in(&folder.path().join("data")).expect("the defaults are sound");
        config.manifest.config_dir = Some(streams.display().to_string());
        let delivery = folder.path().join("delivery.yml");
        std::fs::write(&delivery, "").expect("a small file fits");
        config.delivery.config_file = Some(delivery);
        change(&mut config);
        let (source, dex) = dex_files(&config).await;
        let (source, seen) = source.expect("the settings name places");
        let files = wiring::files(&config, dex).expect("the files are sound");
        std::fs::create_dir_all(&config.data_dir).expect("a fresh folder takes another");
        let db = Db::open(&wiring::db_settings(&config, true)).await.expect("a database");
        let lifecycle = Lifecycle::new(Duration::ZERO);
        let clock = Arc::new(SystemClock) as crate::clock::SharedClock;
        let exchange = exchange(&config, "http://gateway.example", files, &db, &clock, &lifecycle).await;
        let exchange = exchange.expect("a gateway");
        Self { folder, reloader: Reloader::new(config, source, exchange, seen) }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a small file fits");
    }

    async fn reload(&mut self, is_asked: bool) -> &'static str {
        let outcome = self.reloader.reload(is_asked).await;
        let word = match &outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Taken => "taken",
            Outcome::Unsettled => "unsettled",
            Outcome::Refused(_) => "refused",
        };
        self.reloader.tell(outcome, is_asked);
        word
    }

    /// How many rules the stream has that is in force, if there is one.
    fn rules_of(&self, id: &str, route: &str) -> Option<usize> {
        let rules = self.reloader.exchange.rules.current();
        rules.streams.find(id, route).map(|stream| stream.fields.len())
    }

    async fn is_healthy(&self) -> bool {
        let found = self.reloader.exchange.check_parts(|part| *part == Part::Configuration).await;
        found.iter().all(|checked| checked.issue.is_none())
    }
}

/// W-26: DEX reads its configurations once for the life of the process.
#[tokio::test]
async fn w_26_what_changes_is_in_force_and_what_is_wrong_leaves_in_force_what_was() {
    let mut scene = Scene::with(|_| {}).await;
    assert_eq!(scene.reload(false).await, "unchanged");
    assert_eq!(scene.reload(true).await, "taken", "whoever asks gets it");
    scene.write("streams/lab_csv.json", FREE);
    assert_eq!(scene.rules_of("lab", "csv"), None);
    assert_eq!(scene.reload(false).await, "taken");
    assert_eq!(scene.rules_of("LAB", "csv"), Some(0));

    // A good file beside a bad one: neither.
    scene.write("streams/lab_csv.json", STRICT);
    scene.write("streams/flu_csv.json", "{");
    assert_eq!(scene.reload(false).await, "refused");
    assert_eq!((scene.rules_of("lab", "csv"), scene.rules_of("flu", "csv")), (Some(0), None));
    assert!(!scene.is_healthy().await);
    assert_eq!(scene.reload(false).await, "refused", "it is tried again");
    scene.write("delivery.yml", "targets: 5");
    scene.write("streams/flu_csv.json", FREE);
    assert_eq!(scene.reload(false).await, "refused", "the delivery file counts like the others");
    assert_eq!(scene.rules_of("flu", "csv"), None);
    scene.write("delivery.yml", "");
    assert_eq!(scene.reload(false).await, "taken");
    assert_eq!((scene.rules_of("lab", "csv"), scene.rules_of("flu", "csv")), (Some(1), Some(0)));
    assert!(scene.is_healthy().await);
    assert_eq!(scene.reload(false).await, "unchanged");

    std::fs::remove_file(scene.folder.path().join("streams/lab_csv.json")).expect("it is there");
    assert_eq!(scene.reload(false).await, "taken");
    assert_eq!(scene.rules_of("lab", "csv"), None);
    std::fs::remove_dir_all(scene.folder.path().join("streams")).expect("it is there");
    assert_eq!(scene.reload(false).await, "refused", "a folder that is gone is no wish to have no streams");
    assert_eq!(scene.rules_of("flu", "csv"), Some(0));
}

#[tokio::test]
async fn targets_that_change_are_new_and_the_others_stay_what_they_are() {
    let file = |more: &str| {
        format!(
            "targets:\n  a: {{ name: a, type: file, path: a }}\n  b: {{ name: b, type: file, path: b{more} }}\n\
             routing_groups:\n  - {{ data_stream_id: lab, data_stream_route: csv, delivery_targets: [{{ name: b }}] }}\n"
        )
    };
    let mut scene = Scene::with(|_| {}).await;
    scene.write("delivery.yml", &file(""));
    assert_eq!(scene.reload(false).await, "taken");
    let exchange = scene.reloader.exchange.clone();
    let destination = |name: &str| exchange.deliveries.destination(name);
    let [a, b] = ["a", "b"].map(|name| destination(name).expect("it is a target now"));
    assert!(destination("local").is_some(), "the built-in route stays");
    let manifest = br#"{"data_stream_id":"Lab","data_stream_route":"CSV"}"#;
    let manifest = SenderManifest::from_json(manifest).expect("a manifest");
    assert!(exchange.is_routed(&manifest));

    scene.write("delivery.yml", &file(", clash_policy: fail"));
    assert_eq!(scene.reload(false).await, "taken");
    assert!(Arc::ptr_eq(&a, &destination("a").expect("it is still there")));
    assert!(!Arc::ptr_eq(&b, &destination("b").expect("it is still there")));

    scene.write("delivery.yml", "");
    assert_eq!(scene.reload(false).await, "taken");
    assert!(destination("a").is_none() && destination("b").is_none());
    assert!(!exchange.is_routed(&manifest));
}

#[tokio::test]
async fn streams_in_a_bucket_are_followed_by_their_tags() {
    let server = S3Server::start();
    let BucketSettings::S3(s3) = s3_settings(server.endpoint()) else { panic!("an S3 server") };
    let bucket =
        Bucket::open(BucketSettings::S3(s3.clone()), Reach::Everywhere, Place::Over).expect("a bucket");
    let put = async |name: &str, text: &str| {
        let content = vec![bytes::Bytes::copy_from_slice(text.as_bytes())];
        bucket.put(name, content, &Labels::default(), Place::Over).await.expect("it takes an object");
    };
    put("dex/lab_csv.json", FREE).await;
    put("elsewhere/bad_csv.json", "{").await;
    put("dex/notes.txt", "{").await;
    let mut scene = Scene::with(|config| {
        config.manifest.config_dir = Some(format!("s3://{}/dex", s3.bucket));
        config.manifest.store = StoreConfig {
            endpoint: s3.endpoint.clone(),
            access_key_id: Some(s3.access_key_id.reveal().to_owned()),
            secret_access_key: Some(Secret::new(s3.secret_access_key.reveal())),
            ..StoreConfig::default()
        };
    })
    .await;
    assert_eq!(scene.rules_of("lab", "csv"), Some(0));
    assert_eq!(scene.reload(false).await, "unchanged");
    put("dex/lab_csv.json", STRICT).await;
    put("dex/empty_csv.json", "").await;
    assert_eq!(scene.reload(false).await, "refused", "an empty object is no configuration");
    assert_eq!(scene.rules_of("lab", "csv"), Some(0));
    put("dex/empty_csv.json", FREE).await;
    assert_eq!(scene.reload(false).await, "taken");
    assert_eq!((scene.rules_of("lab", "csv"), scene.rules_of("empty", "csv")), (Some(1), Some(0)));
    assert_eq!(scene.rules_of("bad", "csv"), None);

    let come_back = server.go_away();
    assert_eq!(scene.reload(false).await, "refused");
    assert_eq!(scene.rules_of("lab", "csv"), Some(1));
    assert!(!scene.is_healthy().await);
    come_back();
    assert_eq!(scene.reload(false).await, "taken");
    assert!(scene.is_healthy().await);
}

/// What is on this machine is all that `check-config` looks at.
#[test]
fn a_bucket_is_not_asked_where_nothing_is_to_be_started() {
    let mut config = Config::defaults_in(Path::new("/srv/gateway")).expect("the defaults are sound");
    config.manifest.config_dir = Some("s3://streams/dex".to_owned());
    config.manifest.store.access_key_id = Some("k".to_owned());
    config.manifest.store.secret_access_key = Some(Secret::new("s"));
    let files = dex_files::at_hand(&config).expect("the settings make a bucket");
    assert_eq!(files.warnings().len(), 1);
    config.manifest.store.secret_access_key = None;
    let problems = dex_files::at_hand(&config).err().expect("a key is missing");
    assert_eq!(problems[0].place, "manifest.store.secret_access_key");
}
