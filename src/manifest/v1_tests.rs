//! Tests of manifests of version 1.0: those that DEX published with the rules of their age and its own table of what
//! became of them, and the places where something could get lost.

use serde_json::{Value, json};

use super::*;
use crate::manifest::testing::{dex_folder, files};
use crate::manifest::{StreamFile, stream_files, verify};

/// The published rules of both ages, in the folders where DEX had them.
fn published() -> Option<StreamConfigs> {
    let folder = dex_folder("upload-configs")?;
    let mut all = Vec::new();
    for (age, place) in [("v1-v2.3.0", "v1"), ("v1-v2.5.0", "v1"), ("v2-v2.3.0", "v2"), ("v2-v2.5.0", "v2")] {
        let files = stream_files(&folder.join(age)).expect("a published folder is readable");
        all.extend(
            files.into_iter().map(|file| StreamFile { name: format!("{place}/{}", file.name), ..file }),
        );
    }
    // Of the variables only path templates use some.
    Some(StreamConfigs::read(&all, true, &|_| Some("x".to_owned())).expect("the published files load"))
}

fn manifests() -> Vec<Value> {
    let folder = dex_folder("test-manifests").expect("it was there a moment ago");
    let text = std::fs::read(folder.join("v1/valid.json")).expect("a published file is readable");
    serde_json::from_slice(&text).expect("a published file is JSON")
}

fn fields(manifest: &Value) -> ManifestFields {
    serde_json::from_value(manifest.clone()).expect("its values are strings")
}

fn migrated(configs: &StreamConfigs, manifest: &Value) -> Result<ManifestFields, Vec<String>> {
    match verify(configs, fields(manifest)) {
        Ok(manifest) => Ok(manifest.fields().clone()),
        Err(rejected) => Err(rejected.legacy_messages()),
    }
}

#[test]
fn published_manifests_of_version_1_become_what_dex_made_of_them() {
    let Some(configs) = published() else { return };
    let table = dex_folder("").expect("it is there").join("metadata_mapping.v1-to-v2.json");
    let table: Value =
        serde_json::from_slice(&std::fs::read(table).expect("it is readable")).expect("it is JSON");
    let table = table["v2"].as_object().expect("a table").iter();
    let table: BTreeMap<String, &Value> = table.map(|(name, row)| (name.to_lowercase(), row)).collect();
    let mut compared = 0;
    for sent in manifests() {
        let made = migrated(&configs, &sent).unwrap_or_else(|messages| panic!("{sent}: {messages:?}"));
        for (key, value) in sent.as_object().expect("an object") {
            assert_eq!(made.get(key), value.as_str(), "{key} is kept as it came");
        }
        let [id, event] = STREAM_KEYS.map(|key| sent[key].as_str().expect("a stream"));
        for (key, value) in [("version", "2.0"), ("data_stream_id", id), ("data_stream_route", event)] {
            assert_eq!(made.get(key), Some(value), "{sent}");
        }
        for (key, source) in table[&format!("{id}-{event}")].as_object().expect("a row") {
            let Some(value) = source.as_str().and_then(|source| sent.get(source)?.as_str()) else { continue };
            assert_eq!(made.get(key), Some(value), "{key} of {sent}");
            compared += 1;
        }
    }
    assert_eq!(compared, 19);
}

#[test]
fn where_version_1_is_not_taken_it_is_refused_as_dex_does() {
    let Some(folder) = dex_folder("upload-configs") else { return };
    let files = stream_files(&folder.join("flat-v2.6.1")).expect("a published folder is readable");
    let configs = StreamConfigs::read(&files, false, &|_| Some("x".to_owned())).expect("it loads");
    for sent in manifests() {
        let refused = migrated(&configs, &sent);
        assert_eq!(
            refused,
            Err(vec!["validation failure".to_owned(), "field data_stream_id was missing".to_owned()])
        );
    }
}

fn two_ages() -> StreamConfigs {
    let v1 = r#"{"metadata_config":{"version":"1.0","fields":[
        {"field_name":"meta_ext_filename","required":true},{"field_name":"route","allowed_values":["R"]}]},
        "compat_config_filename":"lab-CSV.json"}"#;
    let today = r#"{"metadata_config":{"version":"2.0","fields":[
        {"field_name":"received_filename","required":true,"compat_field_name":"meta_ext_filename"},
        {"field_name":"custom","compat_field_name":"meta_program"},
        {"field_name":"data_producer_id","required":true,"compat_field_name":null}]}}"#;
    let files = files([("v1/old-lab.json", v1), ("v2/Lab-csv.json", today), ("other_lab.json", today)]);
    StreamConfigs::read(&files, true, &|_| None).expect("they load")
}

#[test]
fn what_a_sender_wrote_is_never_replaced() {
    let configs = two_ages();
    let sent = json!({
        "meta_destination_id": "OLD", "meta_ext_event": "Lab", "meta_ext_filename": "f", "meta_program": "p",
        "version": "1.0", "sender_id": "own", "meta_username": "user", "reporting_jurisdiction": "j",
    });
    let made = migrated(&configs, &sent).expect("it is taken");
    let expected = json!({
        "meta_destination_id": "OLD", "meta_ext_event": "Lab", "meta_ext_filename": "f", "meta_program": "p",
        "version": "2.0", "sender_id": "own", "meta_username": "user", "reporting_jurisdiction": "j",
        "received_filename": "f", "custom": "p", "jurisdiction": "j", "cdex_sent_version": "1.0",
        "data_stream_id": "OLD", "data_stream_route": "Lab",
    });
    assert_eq!(serde_json::to_value(&made).expect("JSON"), expected);
    assert_eq!(made.filename(), Some("f"), "the file is called what it was called");
}

#[test]
fn a_manifest_of_version_1_is_judged_by_the_rules_of_its_age() {
    let configs = two_ages();
    let unknown = |name: &str| {
        let open = format!("open {name}.json: no such file or directory");
        vec![open, "validation failure".to_owned(), "manifest validation config file not found".to_owned()]
    };
    let marked = |text: &str| vec!["validation failure".to_owned(), text.to_owned()];
    let cases = [
        (json!({"meta_destination_id": "old"}), marked("field meta_ext_event was missing")),
        (json!({"meta_ext_event": "lab"}), marked("field meta_destination_id was missing")),
        (json!({"meta_destination_id": "old", "meta_ext_event": "x"}), unknown("old-x")),
        (json!({"meta_destination_id": "../old", "meta_ext_event": "lab"}), unknown("../old-lab")),
        (
            json!({"meta_destination_id": "old", "meta_ext_event": "lab"}),
            marked("field meta_ext_filename was missing"),
        ),
        (
            json!({"meta_destination_id": "old", "meta_ext_event": "lab", "meta_ext_filename": "f", "route": "r"}),
            marked("route had disallowed value r"),
        ),
        (
            json!({"meta_destination_id": "old", "meta_ext_event": "lab", "meta_ext_filename": "f", "filename": "/x"}),
            vec!["invalid character found in /x validation failure".to_owned()],
        ),
        // Who names a stream of today is of today, whatever else is there.
        (
            json!({"meta_destination_id": "old", "data_stream_route": "lab"}),
            marked("field data_stream_id was missing"),
        ),
    ];
    for (sent, expected) in cases {
        assert_eq!(migrated(&configs, &sent), Err(expected), "{sent}");
    }
    let today = json!({"data_stream_id": "lab", "data_stream_route": "csv", "received_filename": "f", "data_producer_id": "p"});
    assert_eq!(migrated(&configs, &today), Ok(fields(&today)), "a manifest of today is left alone");
}

#[test]
fn a_file_of_today_that_is_not_there_is_told_and_the_usual_names_count() {
    let v1 = r#"{"metadata_config":{"fields":[]},"compat_config_filename":"gone.json"}"#;
    let configs = StreamConfigs::read(&files([("v1/old-lab.json", v1)]), true, &|_| None).expect("it loads");
    let warnings = configs.warnings();
    assert_eq!(
        warnings,
        ["data stream file old-lab.json names gone.json as its file of today, which is not there"]
    );
    let sent = json!({"meta_destination_id": "old", "meta_ext_event": "lab", "original_filename": "f", "filename": "g"});
    let made = migrated(&configs, &sent).expect("it is taken");
    assert_eq!(made.get("received_filename"), Some("f"));
    assert_eq!(made.get("sender_id"), None);
}
