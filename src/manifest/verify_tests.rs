//! Tests of verification: DEX's shipped configurations and manifests of every age, with their documented
//! verdicts, and the places where DEX itself was wrong.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::manifest::testing::{self, dex_folder, files};

/// None is set: some of DEX's files have one, where nothing is read any more.
fn variables(_: &str) -> Option<String> {
    None
}

fn load(folder: &Path) -> StreamConfigs {
    testing::load(folder, &variables).unwrap_or_else(|problems| panic!("{folder:?}: {problems:?}"))
}

fn json_files(folder: &Path) -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else {
            let json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            files.push((path.display().to_string(), json));
        }
    }
    assert!(!files.is_empty(), "{folder:?}");
    files
}

fn fields(manifest: &Value) -> ManifestFields {
    serde_json::from_value(manifest.clone()).unwrap()
}

/// The messages as clients compare them: a set without the markers.
fn messages(verdict: &Result<SenderManifest, RejectedManifest>) -> BTreeSet<String> {
    let messages = verdict.as_ref().err().map(RejectedManifest::legacy_messages).unwrap_or_default();
    messages.into_iter().filter(|message| message != MARKER).collect()
}

fn streams(json: &str) -> StreamConfigs {
    StreamConfigs::read(&files([("s_r.json", json)]), false, &variables).unwrap()
}

#[test]
fn configurations_of_every_age_load_as_they_are() {
    let Some(folder) = dex_folder("upload-configs") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let age = entry.unwrap().path();
        let configs = load(&age);
        // Each file, and the built-in stream.
        assert_eq!(configs.names().count(), json_files(&age).len() + 1, "{age:?}");
    }
}

#[test]
fn shipped_cases_with_expected_errors_get_exactly_those() {
    let (Some(configs), Some(cases)) = (dex_folder("upload-configs"), dex_folder("test-manifests")) else {
        return;
    };
    let mut count = 0;
    for (age, configs) in [("head", configs.join("head")), ("flat-v2.7.4", configs.join("flat-v2.6.1"))] {
        let configs = load(&configs);
        for (file, json) in json_files(&cases.join(age)) {
            for case in json.as_array().unwrap() {
                let Some(expected) = case["expectedErrorMessages"].as_array() else { continue };
                let expected = expected.iter().map(|message| message.as_str().unwrap().to_owned()).collect();
                assert_eq!(messages(&verify(&configs, fields(&case["metadata"]))), expected, "{file} {case}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 15);
}

#[test]
fn shipped_cases_without_messages_get_their_documented_verdict() {
    let (Some(configs), Some(cases)) = (dex_folder("upload-configs"), dex_folder("test-manifests")) else {
        return;
    };
    let table = [
        ("head", "head", "valid_with_delivery_targets.json", true),
        ("flat-v2.6.1", "flat-v2.7.4", "valid_metadata.json", true),
        ("flat-v2.6.1", "flat-v2.6.1", "valid_with_delivery_targets.json", true),
        ("flat-v2.6.1", "flat-v2.6.1", "invalid_required_fields.json", false),
        ("flat-v2.6.1", "flat-v2.6.1", "invalid_value.json", false),
        ("v2-v2.5.0", "v2-v2.3.0", "invalid_required_fields.json", false),
        ("v2-v2.5.0", "v2-v2.3.0", "invalid_value.json", false),
        ("head", "v1", "valid.json", false),
    ];
    for (config_age, age, file, is_valid) in table {
        let configs = load(&configs.join(config_age));
        let json: Value =
            serde_json::from_slice(&std::fs::read(cases.join(age).join(file)).unwrap()).unwrap();
        for case in json.as_array().unwrap() {
            let verdict = verify(&configs, fields(case.get("manifest").unwrap_or(case)));
            assert_eq!(verdict.is_ok(), is_valid, "{age}/{file} {case}: {:?}", messages(&verdict));
        }
    }
}

#[test]
fn manifests_of_the_dashed_age_fit_the_configurations_of_their_age() {
    let (Some(configs), Some(cases)) = (dex_folder("upload-configs"), dex_folder("test-manifests")) else {
        return;
    };
    // Release 2.3.0 ships its manifests with part of its configurations; 2.5.0 has the others.
    let ages = ["v2-v2.3.0", "v2-v2.5.0"].map(|age| load(&configs.join(age)));
    let json = std::fs::read(cases.join("v2-v2.3.0/valid.json")).unwrap();
    for case in serde_json::from_slice::<Vec<Value>>(&json).unwrap() {
        assert!(ages.iter().any(|configs| verify(configs, fields(&case)).is_ok()), "{case}");
    }
}

#[test]
fn shipped_load_cases_are_accepted() {
    let (Some(configs), Some(cases)) = (dex_folder("upload-configs"), dex_folder("load-cases")) else {
        return;
    };
    let configs = load(&configs.join("flat-v2.6.1"));
    for (file, case) in json_files(&cases) {
        let verdict = verify(&configs, fields(&case["Manifest"]));
        assert!(verdict.is_ok(), "{file}: {:?}", messages(&verdict));
    }
}

/// W-27: what a program can read stands beside the words that clients of DEX match on.
#[test]
fn messages_stand_in_the_order_of_the_configuration_with_their_markers() {
    let configs = streams(
        r#"{"metadata_config":{"fields":[
            {"field_name":"sender_id","required":true,"allowed_values":["APHL"]},
            {"field_name":"received_filename","required":true},
            {"field_name":"jurisdiction","required":true,"allowed_values":null}]}}"#,
    );
    let sent = serde_json::json!({
        "data_stream_id": "S", "data_stream_route": "r", "filename": "/etc", "received_filename": "a/b",
        "sender_id": "RI",
    });
    let rejected = verify(&configs, fields(&sent)).unwrap_err();
    assert_eq!(
        rejected.legacy_messages(),
        [
            "validation failure",
            "sender_id had disallowed value RI",
            "invalid character found in a/b validation failure",
            "validation failure",
            "field jurisdiction was missing",
            "invalid character found in /etc validation failure",
        ]
    );
    let structured = serde_json::json!([
        {"field": "sender_id", "code": "disallowed_value", "value": "RI", "allowed": ["APHL"]},
        {"field": "received_filename", "code": "invalid_character", "value": "a/b", "allowed": []},
        {"field": "jurisdiction", "code": "missing", "value": null, "allowed": []},
        {"field": "filename", "code": "invalid_character", "value": "/etc", "allowed": []},
    ]);
    assert_eq!(serde_json::to_value(&rejected.errors).unwrap(), structured);
    assert!(!format!("{rejected} {rejected:?}").contains("RI"), "values are for the answer only");
}

#[test]
fn a_stream_that_is_missing_or_unknown_hides_the_other_errors() {
    let triple = |name: &str| {
        vec![
            format!("open {name}.json: no such file or directory"),
            MARKER.to_owned(),
            "manifest validation config file not found".to_owned(),
        ]
    };
    let missing = |key: &str| vec![MARKER.to_owned(), format!("field {key} was missing")];
    let cases = [
        (serde_json::json!({}), missing("data_stream_id")),
        (serde_json::json!({"data_stream_id": "cdex"}), missing("data_stream_route")),
        (serde_json::json!({"data_stream_route": "x"}), missing("data_stream_id")),
        (serde_json::json!({"data_stream_id": "X", "data_stream_route": "y"}), triple("x_y")),
        (serde_json::json!({"data_stream_id": "", "data_stream_route": ""}), triple("_")),
        (serde_json::json!({"data_stream_id": "../cdex", "data_stream_route": "a"}), triple("../cdex_a")),
    ];
    for (sent, expected) in cases {
        let rejected = verify(&StreamConfigs::built_in(), fields(&sent)).unwrap_err();
        assert_eq!(rejected.legacy_messages(), expected, "{sent}");
    }
}

/// W-27: in DEX an optional field with a list fails when it is absent.
#[test]
fn an_absent_optional_field_is_fine_and_an_empty_one_must_be_listed() {
    let configs = streams(
        r#"{"metadata_config":{"fields":[{"field_name":"a","required":null,"allowed_values":["x"]}]}}"#,
    );
    let cases = [(None, true), (Some("x"), true), (Some(""), false), (Some("x "), false), (Some("X"), false)];
    for (value, is_valid) in cases {
        let mut sent = fields(&serde_json::json!({"data_stream_id": "s", "data_stream_route": "r"}));
        if let Some(value) = value {
            sent.set("a", value);
        }
        assert_eq!(verify(&configs, sent).is_ok(), is_valid, "{value:?}");
    }
}

#[test]
fn a_list_does_not_exempt_a_file_name_from_the_check_for_separators() {
    let configs = streams(
        r#"{"metadata_config":{"fields":[{"field_name":"original_filename","allowed_values":["a/b","c"]}]}}"#,
    );
    let sent = |name: &str| {
        fields(
            &serde_json::json!({"data_stream_id": "s", "data_stream_route": "r", "original_filename": name}),
        )
    };
    assert!(verify(&configs, sent("c")).is_ok());
    let rejected = verify(&configs, sent("a/b")).unwrap_err();
    assert_eq!(rejected.legacy_messages(), ["invalid character found in a/b validation failure"]);
}

#[test]
fn the_built_in_stream_yields_to_a_file_of_its_name() {
    let sent = serde_json::json!({"data_stream_id": "cdex", "data_stream_route": "attachment"});
    assert_eq!(verify(&StreamConfigs::built_in(), fields(&sent)).unwrap_err().errors.len(), 4);
    let empty = files([("CDEX_attachment.json", r#"{"metadata_config":{"fields":[]}}"#)]);
    let configs = StreamConfigs::read(&empty, false, &variables).unwrap();
    assert!(verify(&configs, fields(&sent)).is_ok());
}

/// W-36: a configuration that cannot be meant is refused as a whole.
#[test]
fn problems_of_all_files_are_reported_at_once() {
    let texts = [
        ("a_b.json", "{"),
        ("c_d.json", r#"{"metadata_config":{"fields":[{"field_name":""}]}}"#),
        ("e_f.json", r#"{"metadata_config":{"fields":[{"field_name":"$NOPE","required":"yes"}]}}"#),
        ("g_h.json", r#"{"metadata_config":{"fields":[{"field_name":"x","required":"yes"}]}}"#),
        ("i_j.json", r#"{"metadata_config":{"fields":[]}}"#),
        ("I_j.json", r#"{"metadata_config":{"fields":[]}}"#),
        ("k_l.json", "{}"),
    ];
    let problems = StreamConfigs::read(&files(texts), false, &variables).unwrap_err();
    let places: Vec<&str> = problems.iter().map(|problem| problem.place.as_str()).collect();
    assert_eq!(places, ["a_b.json", "c_d.json", "e_f.json", "g_h.json", "I_j.json", "k_l.json"]);
}

#[test]
fn a_variable_that_is_not_set_matters_only_where_it_says_something() {
    let read = |text: &str| StreamConfigs::read(&files([("s_r.json", text)]), false, &variables);
    let field = r#"{"field_name":"x","required":true,"description":"costs $NOPE"}"#;
    let dead = format!(
        r#"{{"metadata_config":{{"fields":[{field}]}},"copy_config":{{"path_template":"${{NOPE}}"}}}}"#
    );
    assert!(read(&dead).is_ok());
    for text in [
        r#"{"metadata_config":{"fields":[{"field_name":"x","allowed_values":["$NOPE"]}]}}"#,
        r#"{"metadata_config":{"fields":[{"field_name":"$NOPE"}]}}"#,
        r#"{"metadata_config":{"fields":[]}"#,
        r#"{"metadata_config":{"fields":[$NOPE]}}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn of_a_folder_only_its_json_files_count() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("Lab_CSV.JSON", b"\xef\xbb\xbf{\"metadata_config\":{\"fields\":[]}}");
    write("notes.txt", b"{");
    std::fs::create_dir(folder.path().join("old_csv.json")).unwrap();
    let configs = load(folder.path());
    assert_eq!(configs.names().collect::<Vec<_>>(), ["cdex_attachment", "lab_csv"]);

    write("a_b.json", b"\xff");
    write("c_d.json", b"{");
    let problems = testing::load(folder.path(), &variables).unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.place.as_str()).collect::<Vec<_>>(),
        ["a_b.json", "c_d.json"]
    );
    assert!(crate::manifest::stream_files(&folder.path().join("none")).is_err());
}
