//! Unseen configurations and manifests: random ones, and published ones with something changed, against a second
//! opinion that is written down from the rules of DEX (dex-upload 3.4) as plainly as can be (W-27, W-36).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::manifest::stream_files;
use crate::manifest::testing::{dex_folder, files};

type Manifest = BTreeMap<String, String>;

/// What DEX would say, but for the three things that it got wrong: an optional field with a list may be absent, a list
/// does not excuse a `/` in a file name, and a file name is looked at whether it is configured or not.
fn oracle(config: &Value, sent: &Manifest) -> Vec<String> {
    let filenames = ["filename", "original_filename", "meta_ext_filename", "received_filename"];
    let slash = |name: &str, value: &str| {
        (filenames.contains(&name) && value.contains('/'))
            .then(|| vec![format!("invalid character found in {value} validation failure")])
    };
    let marked = |text: String| vec!["validation failure".to_owned(), text];
    let mut told = Vec::new();
    let rules = config["metadata_config"]["fields"].as_array().expect("a list of fields");
    for rule in rules {
        let name = rule["field_name"].as_str().expect("a name");
        let allowed: Vec<&str> = match rule.get("allowed_values") {
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().expect("a text")).collect()
            }
            _ => Vec::new(),
        };
        let problem = match sent.get(name) {
            None if rule.get("required") == Some(&Value::Bool(true)) => {
                Some(marked(format!("field {name} was missing")))
            }
            None => None,
            Some(value) if !allowed.is_empty() && !allowed.contains(&value.as_str()) => {
                Some(marked(format!("{name} had disallowed value {value}")))
            }
            Some(value) => slash(name, value),
        };
        told.extend(problem.into_iter().flatten());
    }
    for name in filenames {
        let is_configured = rules.iter().any(|rule| rule["field_name"] == name);
        let value = sent.get(name).filter(|_| !is_configured);
        told.extend(value.and_then(|value| slash(name, value)).into_iter().flatten());
    }
    told
}

fn told(configs: &StreamConfigs, sent: &Manifest) -> Vec<String> {
    let fields = sent.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    verify(configs, fields).err().map(|rejected| rejected.legacy_messages()).unwrap_or_default()
}

/// Whether a message is one that clients of DEX know.
fn is_known(message: &str) -> bool {
    message == "validation failure"
        || message == "manifest validation config file not found"
        || (message.starts_with("open ") && message.ends_with(".json: no such file or directory"))
        || (message.starts_with("field ") && message.ends_with(" was missing"))
        || message.contains(" had disallowed value ")
        || (message.starts_with("invalid character found in ") && message.ends_with(" validation failure"))
}

const KEYS: [&str; 11] = [
    "sender_id",
    "data_producer_id",
    "jurisdiction",
    "received_filename",
    "filename",
    "original_filename",
    "meta_ext_filename",
    "version",
    "Sender_Id",
    "custom field",
    "ünï",
];
const VALUES: [&str; 9] = ["", "x", "X", "x ", "a/b", "../x", "null", "2.0", "Zoë"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(&VALUES[..]).prop_map(str::to_owned), 1 => "[a-zA-Z/ .é\u{1F600}\"\\\\]{0,8}"]
}

fn manifest() -> impl Strategy<Value = Manifest> {
    prop::collection::btree_map(prop::sample::select(&KEYS[..]).prop_map(str::to_owned), value(), 0..9)
}

fn field() -> impl Strategy<Value = Value> {
    let required =
        prop_oneof![Just(None), Just(Some(Value::Null)), any::<bool>().prop_map(|is| Some(is.into()))];
    let allowed = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        prop::collection::vec(value(), 0..4).prop_map(|values| Some(values.into())),
    ];
    let compat = prop::option::of(prop::sample::select(&KEYS[..]));
    (prop::sample::select(&KEYS[..]), required, allowed, compat).prop_map(
        |(name, required, allowed, compat)| {
            let mut field = Map::from_iter([("field_name".to_owned(), name.into())]);
            field.extend(required.map(|required| ("required".to_owned(), required)));
            field.extend(allowed.map(|allowed| ("allowed_values".to_owned(), allowed)));
            field.extend(compat.map(|compat| ("compat_field_name".to_owned(), compat.into())));
            field.insert("description".to_owned(), "d".into());
            Value::Object(field)
        },
    )
}

/// A configuration of any age, with what DEX does not read any more.
fn config() -> impl Strategy<Value = Value> {
    let version = prop_oneof![Just(Value::Null), Just(json!("2.0")), Just(json!(2.0))];
    let targets = prop::collection::vec("[a-z]{1,6}", 0..3);
    (prop::collection::vec(field(), 0..7), version, targets).prop_map(|(fields, version, targets)| {
        json!({
            "metadata_config": { "version": version, "fields": fields, "more": 1 },
            "copy_config": { "targets": targets, "folder_structure": "root", "path_template": null },
        })
    })
}

/// The letters of a name in other cases, as somebody else would write it.
fn shouted(name: &str, mask: u32) -> String {
    let letter = |(at, letter): (usize, char)| {
        if mask >> (at % 32) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
    };
    name.chars().enumerate().map(letter).collect()
}

/// A published configuration with manifests that were published for it.
struct Published {
    text: String,
    manifests: Vec<Manifest>,
}

/// All of today's published streams with at least one manifest.
fn published() -> &'static [Published] {
    static PUBLISHED: OnceLock<Vec<Published>> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let (Some(configs), Some(cases)) = (dex_folder("upload-configs"), dex_folder("test-manifests"))
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (age, manifests) in [
            ("head", "head/valid_with_delivery_targets.json"),
            ("flat-v2.6.1", "flat-v2.7.4/valid_metadata.json"),
            ("flat-v2.6.1", "flat-v2.6.1/invalid_value.json"),
        ] {
            let cases = std::fs::read(cases.join(manifests)).expect("a published file is readable");
            let cases: Vec<Value> = serde_json::from_slice(&cases).expect("a published file is JSON");
            for file in stream_files(&configs.join(age)).expect("a published folder is readable") {
                let name = file.name.trim_end_matches(".json").to_owned();
                let manifests = cases.iter().filter_map(|case| {
                    serde_json::from_value::<Manifest>(case.get("manifest").unwrap_or(case).clone()).ok()
                });
                let is_of_it = |sent: &Manifest| {
                    format!("{}_{}", sent["data_stream_id"], sent["data_stream_route"]) == name
                };
                let manifests: Vec<_> = manifests.filter(is_of_it).collect();
                if !manifests.is_empty() {
                    found.push(Published { text: file.text.expect("it is text"), manifests });
                }
            }
        }
        assert!(!found.is_empty());
        found
    })
}

fn stream_of(sent: &Manifest) -> String {
    format!("{}_{}.json", sent["data_stream_id"], sent["data_stream_route"])
}

proptest! {
    #[test]
    fn random_manifests_get_the_verdict_of_random_configurations(
        config in config(), mut sent in manifest(), masks in any::<[u32; 3]>(), dashed in any::<bool>(),
    ) {
        let file = shouted(if dashed { "lab-csv.json" } else { "lab_csv.json" }, masks[0] & 0x7f);
        let configs = StreamConfigs::read(&files([(&file, &config.to_string())]), false, &|_| None);
        let configs = configs.expect("the configuration is sound");
        sent.insert("data_stream_id".to_owned(), shouted("lab", masks[1]));
        sent.insert("data_stream_route".to_owned(), shouted("csv", masks[2]));
        prop_assert_eq!(told(&configs, &sent), oracle(&config, &sent));
    }

    #[test]
    fn random_manifests_of_version_1_are_judged_the_same_and_lose_nothing(
        config in config(), sent in manifest(), today in config(),
    ) {
        let mut config = config;
        config["compat_config_filename"] = "today.json".into();
        let texts = [("v1/old-lab.json", config.to_string()), ("v2/today.json", today.to_string())];
        let texts = texts.each_ref().map(|(name, text)| (*name, text.as_str()));
        let configs = StreamConfigs::read(&files(texts), true, &|_| None).expect("they are sound");
        let mut sent = sent;
        sent.insert("meta_destination_id".to_owned(), "old".to_owned());
        sent.insert("meta_ext_event".to_owned(), "lab".to_owned());
        let fields = sent.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        match verify(&configs, fields) {
            Err(rejected) => prop_assert_eq!(rejected.legacy_messages(), oracle(&config, &sent)),
            Ok(made) => {
                prop_assert!(oracle(&config, &sent).is_empty());
                prop_assert_eq!((made.data_stream_id(), made.data_stream_route()), ("old", "lab"));
                for (key, value) in sent.iter().filter(|(key, _)| *key != "version") {
                    prop_assert_eq!(made.fields().get(key), Some(value.as_str()));
                }
                prop_assert_eq!(made.fields().get("cdex_sent_version"), sent.get("version").map(String::as_str));
            }
        }
    }

    #[test]
    fn changed_manifests_get_the_verdict_of_published_configurations(
        which in any::<prop::sample::Index>(), case in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(value())), 0..5),
    ) {
        if published().is_empty() {
            return Ok(());
        }
        let published = which.get(published());
        let mut sent = case.get(&published.manifests).clone();
        let file = stream_of(&sent);
        for (at, value) in changes {
            let key = at.get(&sent.keys().cloned().collect::<Vec<_>>()).clone();
            match value {
                _ if key.starts_with("data_stream_") => {}
                Some(value) => {
                    sent.insert(key, value);
                }
                None => {
                    sent.remove(&key);
                }
            }
        }
        let configs = StreamConfigs::read(&files([(&file, &published.text)]), false, &|_| Some("x".to_owned()));
        let config = serde_json::from_str(&published.text).expect("a published file is JSON");
        prop_assert_eq!(told(&configs.expect("it loads"), &sent), oracle(&config, &sent));
    }

    #[test]
    fn a_configuration_with_bytes_changed_is_refused_or_means_what_it_says(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, "[\\[\\]{}\":,$a-z0-9 ]{0,3}"), 1..4),
    ) {
        if published().is_empty() {
            return Ok(());
        }
        let published = which.get(published());
        let mut text = published.text.clone();
        for (at, length, new) in cuts {
            let from = text.floor_char_boundary(at.index(text.len()));
            let to = text.floor_char_boundary((from + length).min(text.len())).max(from);
            text.replace_range(from..to, &new);
        }
        for sent in &published.manifests {
            let file = stream_of(sent);
            match StreamConfigs::read(&files([(&file, &text)]), true, &|_| None) {
                Err(problems) => prop_assert!(problems.iter().all(|problem| problem.place.starts_with(&file))),
                Ok(configs) => {
                    let told = told(&configs, sent);
                    prop_assert!(told.iter().all(|message| is_known(message)), "{told:?}");
                }
            }
        }
    }
}
