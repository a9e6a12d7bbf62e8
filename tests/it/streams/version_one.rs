//! Manifests of version 1.0 with the files that DEX published for them.

use serde_json::Value;

use super::verdict;
use crate::support::environment::shared;
use crate::support::gateway::Gateway;
use crate::support::{rows, tus};

fn cases() -> Option<Vec<Value>> {
    let file = shared("dex/test-manifests/v1/valid.json")?;
    serde_json::from_slice(&std::fs::read(file).expect("a published file is readable")).ok()
}

fn entries(manifest: &Value) -> Vec<(&str, &str)> {
    let object = manifest.as_object().expect("a manifest is an object").iter();
    object.map(|(name, value)| (name.as_str(), value.as_str().expect("a text"))).collect()
}

/// dex-upload 3.6: what was sent is kept as it came, beside what was made of it.
#[test]
fn published_manifests_of_version_1_are_taken_where_that_is_set() {
    let (Some(cases), Some(configs)) = (cases(), shared("dex/upload-configs")) else { return };
    let mut gateway = Gateway::prepare(&[
        ("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams"),
        ("CDEX_MANIFEST__ACCEPT_V1", "true"),
    ]);
    for (age, place) in [("v1-v2.3.0", "v1"), ("v1-v2.5.0", "v1"), ("v2-v2.3.0", "v2"), ("v2-v2.5.0", "v2")] {
        let folder = gateway.scratch().join("streams").join(place);
        std::fs::create_dir_all(&folder).expect("the test's folder takes others");
        for entry in std::fs::read_dir(configs.join(age)).expect("a published folder is readable") {
            let path = entry.expect("an entry").path();
            std::fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("a small file fits");
        }
    }
    gateway.launch();
    for sent in &cases {
        let upload = tus::created(&verdict(&gateway, &entries(sent)));
        let manifest = gateway.info(&upload.id)["manifest"].clone();
        for (key, value) in entries(sent) {
            assert_eq!(manifest[key], value, "{manifest}");
        }
        assert_eq!(manifest["version"], "2.0");
        assert_eq!(manifest["data_stream_id"], sent["meta_destination_id"]);
        assert_eq!(manifest["data_stream_route"], sent["meta_ext_event"]);
        assert_eq!(manifest["received_filename"], "dex-smoke-test");
    }
    let mut spoilt = entries(&cases[4]);
    spoilt.retain(|(name, _)| *name != "meta_ext_entity");
    let refused = verdict(&gateway, &spoilt).expect(400).json();
    assert_eq!(
        refused["validation_errors"],
        serde_json::json!(["validation failure", "field meta_ext_entity was missing"])
    );
}

#[test]
fn they_are_refused_where_it_is_not_set() {
    let Some(cases) = cases() else { return };
    let gateway = Gateway::start();
    let refused = verdict(&gateway, &entries(&cases[0])).expect(400).json();
    assert_eq!(
        refused["validation_errors"],
        serde_json::json!(["validation failure", "field data_stream_id was missing"])
    );
    assert_eq!(rows::count(&gateway, "upload"), 0);
}
