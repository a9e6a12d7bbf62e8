//! Manifests are verified at creation: the published configurations give the published verdicts, word for word.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::environment::shared;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Answer;
use crate::support::tus::{self, created, creation, manifest_with, metadata};
use crate::support::{rows, wait};

#[test]
fn the_published_manifests_get_the_published_verdicts() {
    for (configs, manifests) in [("head", "head"), ("flat-v2.6.1", "flat-v2.7.4")] {
        let Some((gateway, folder)) = published(configs, manifests) else { return };
        for file in ["missing_required_with_expected_errors.json", "invalid_values_with_expected_errors.json"]
        {
            for case in cases(&folder.join(file)) {
                let answer = verdict(&gateway, &case["metadata"]);
                assert_eq!(Value::from(answer.status), case["expectedStatusCode"], "{}", case["name"]);
                assert_eq!(messages(&answer), texts(&case["expectedErrorMessages"]), "{}", case["name"]);
            }
        }
        assert_eq!(rows::count(&gateway, "upload"), 0, "nothing of the refused is stored");
        let valid =
            if manifests == "head" { "valid_with_delivery_targets.json" } else { "valid_metadata.json" };
        for case in cases(&folder.join(valid)) {
            created(&verdict(&gateway, &case["manifest"]));
        }
    }
}

#[test]
fn the_older_published_manifests_are_told_apart() {
    let Some((gateway, folder)) = published("flat-v2.6.1", "flat-v2.6.1") else { return };
    for case in cases(&folder.join("valid_with_delivery_targets.json")) {
        created(&verdict(&gateway, &case["manifest"]));
    }
    let accepted = rows::count(&gateway, "upload");
    for (file, pattern) in
        [("invalid_required_fields.json", "field "), ("invalid_value.json", "had disallowed value")]
    {
        for case in cases(&folder.join(file)) {
            let told = messages(&verdict(&gateway, &case).expect(400));
            assert!(told.iter().any(|message| message.contains(pattern)), "{case}: {told:?}");
        }
    }
    assert_eq!(rows::count(&gateway, "upload"), accepted);
}

#[test]
fn a_refusal_is_json_with_every_message_and_leaves_only_its_two_reports() {
    for_each_database(&[], |gateway| {
        let manifest = [("data_stream_id", "cdex"), ("data_stream_route", "attachment"), ("sender_id", "x")];
        let answer = gateway.ask(&creation("/upload/files", 3, &metadata(&manifest))).expect(400);
        assert!(answer.header("Content-Type").is_some_and(|kind| kind.starts_with("application/json")));
        assert_eq!(answer.header("Location"), None);
        let body = answer.json();
        let id = body["upload_id"].as_str().expect("it names the id that never was");
        assert!(uuid::Uuid::try_parse(id).is_ok());
        let list: Vec<&str> =
            body["validation_errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for field in ["data_producer_id", "jurisdiction", "received_filename"] {
            let message = format!("field {field} was missing");
            let at = list.iter().position(|told| *told == message);
            let at = at.unwrap_or_else(|| panic!("{message} is not told: {list:?}"));
            assert_eq!(list[at - 1], "validation failure", "each is marked as it always was");
        }
        gateway.get(&format!("/upload/info/{id}")).expect(404);
        assert_eq!(rows::count(&gateway, "upload"), 0);
        assert_eq!(rows::count(&gateway, "delivery"), 0);
        assert_eq!(rows::count(&gateway, "report"), 2, "metadata-transform and metadata-verify");
        wait::until("the upload store to be swept", || gateway.stored().is_empty().then_some(()));
    });
}

#[test]
fn a_missing_stream_is_told_alone() {
    let gateway = Gateway::start();
    for field in ["data_stream_id", "data_stream_route"] {
        let manifest: Vec<_> = tus::MANIFEST.iter().filter(|(name, _)| *name != field).collect();
        let entries: Vec<(&str, &str)> = manifest.into_iter().copied().collect();
        let told = messages(&gateway.ask(&creation("/upload/files", 3, &metadata(&entries))).expect(400));
        assert_eq!(told, BTreeSet::from([format!("field {field} was missing")]));
    }
}

#[test]
fn file_names_that_climb_are_refused_or_stay_inside() {
    let gateway = Gateway::start();
    let names = [
        "../../x",
        "/etc/x",
        r"..\..\x",
        "%2e%2e/x",
        "a/../../b",
        "..",
        ".",
        "",
        "CON",
        "x. ",
        "\u{202e}txt.exe",
        "nul\u{1}",
    ];
    let long = "n".repeat(300);
    let target = gateway.data_dir().join("delivered/local");
    for key in ["received_filename", "filename", "original_filename", "meta_ext_filename"] {
        for name in names.iter().copied().chain([long.as_str()]) {
            let manifest = manifest_with(&[(key, name)]);
            let answer = gateway.ask(&creation("/upload/files", 0, &metadata(&manifest)));
            if answer.status == 400 {
                continue;
            }
            assert!(!name.contains('/'), "dex-upload W-05: {key} = {name}");
            gateway.wait_delivered(&created(&answer).id, 1);
        }
    }
    let target = target.canonicalize().expect("the target is there");
    for file in gateway.delivered() {
        let file = file.canonicalize().expect("a delivered file is there");
        assert!(file.starts_with(&target), "one climbed out");
    }
}

/// A gateway with published stream configurations, and the folder of the manifests that belong to them.
fn published(configs: &str, manifests: &str) -> Option<(Gateway, std::path::PathBuf)> {
    let configs = shared(&format!("dex/upload-configs/{configs}"))?;
    let manifests = shared(&format!("dex/test-manifests/{manifests}"))?;
    let folder = configs.to_str().expect("a path of plain text");
    Some((Gateway::with(&[("CDEX_MANIFEST__CONFIG_DIR", folder)]), manifests))
}

fn cases(file: &Path) -> Vec<Value> {
    let text = std::fs::read(file).expect("a published file is readable");
    serde_json::from_slice(&text).expect("a published file is JSON")
}

/// What a creation with this manifest is answered.
fn verdict(gateway: &Gateway, manifest: &Value) -> Answer {
    let entries: Vec<(&String, &str)> = manifest
        .as_object()
        .expect("a manifest is an object")
        .iter()
        .map(|(name, value)| (name, value.as_str().expect("its values are strings")))
        .collect();
    gateway.ask(&creation("/upload/files", 3, &metadata(&entries)))
}

/// The messages of a refusal without the marker that stands before each.
fn messages(answer: &Answer) -> BTreeSet<String> {
    let mut told = texts(&answer.json()["validation_errors"]);
    told.remove("validation failure");
    told
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
