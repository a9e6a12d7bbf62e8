//! Our rule files against the published ones, and what the loader refuses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::testing::published;
use super::{BUILT_IN, Profiles};
use crate::cdex::PARAMETERS_SUBMIT_ATTACHMENT;
use crate::fhir::datatype::Coding;

/// What an element rules, by key; everything that only explains is left out.
fn rules(structure: &Value) -> BTreeMap<String, BTreeMap<String, Value>> {
    let elements = structure["differential"]["element"].as_array().expect("a differential");
    elements
        .iter()
        .filter(|element| element["path"].as_str().is_some_and(|path| path.contains('.')))
        .map(|element| {
            let mut rules = BTreeMap::new();
            for (key, value) in element.as_object().expect("an element") {
                match key.as_str() {
                    "path" | "sliceName" | "min" | "max" | "type" => {
                        rules.insert(key.clone(), value.clone());
                    }
                    "slicing" => {
                        rules.insert("slicing".to_owned(), json!([value["discriminator"], value["rules"]]));
                    }
                    "binding" => {
                        let additional = value.pointer("/extension/0/extension").and_then(Value::as_array);
                        let value_set =
                            additional.into_iter().flatten().find(|part| part["url"] == "valueSet");
                        let additional = value_set.map(|part| &part["valueCanonical"]);
                        let binding = json!([value["strength"], value["valueSet"], additional]);
                        rules.insert(key.clone(), binding);
                    }
                    _ if key.starts_with("fixed") || key.starts_with("pattern") => {
                        rules.insert(key.clone(), value.clone());
                    }
                    _ => {}
                }
            }
            (element["id"].as_str().expect("an id").to_owned(), rules)
        })
        .collect()
}

fn built_in(file: &str) -> Value {
    let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == file).expect("a built-in file");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn our_structure_rules_element_by_element_what_the_published_one_does() {
    let name = "cdex-parameters-submit-attachment";
    let Some(published) = published(&format!("cdex/definitions/structuredefinition-{name}.json")) else {
        return;
    };
    let ours = built_in(&format!("StructureDefinition-{name}.json"));
    assert_eq!(ours["url"], published["url"]);
    assert_eq!(ours["type"], published["type"]);
    let (ours, published) = (rules(&ours), rules(&published));
    assert!(ours.keys().eq(published.keys()), "the same elements");
    for (id, rules) in &published {
        assert_eq!(&ours[id], rules, "{id}");
    }
}

#[test]
fn our_value_sets_have_the_codes_of_the_published_ones() {
    for name in ["cdex-claim-use", "cdex-loinc-attachment-codes", "cdex-pwk01-attachment-report-type-code"] {
        let Some(published) = published(&format!("cdex/definitions/valueset-{name}.json")) else { return };
        let ours = built_in(&format!("ValueSet-{name}.json"));
        assert_eq!(ours["url"], published["url"]);
        let codes = |value_set: &Value| -> BTreeSet<(String, Option<String>)> {
            let includes = value_set["compose"]["include"].as_array().expect("includes").iter();
            includes
                .flat_map(|include| {
                    let system = include["system"].as_str().expect("a system").to_owned();
                    match include.get("concept").and_then(Value::as_array) {
                        None => vec![(system, None)],
                        Some(concepts) => concepts
                            .iter()
                            .map(|c| (system.clone(), c["code"].as_str().map(str::to_owned)))
                            .collect(),
                    }
                })
                .collect()
        };
        assert_eq!(codes(&ours), codes(&published), "{name}");
    }
}

#[test]
fn a_published_rule_file_can_be_read_as_it_is() {
    let path = "cdex/definitions/structuredefinition-cdex-parameters-submit-attachment.json";
    let Some(published) = published(path) else { return };
    let text = published.to_string();
    let profiles = Profiles::with_files([("published.json", text.as_str())]).expect("it is understood");
    assert!(profiles.structure(PARAMETERS_SUBMIT_ATTACHMENT).is_some());
}

#[test]
fn a_later_file_takes_the_place_of_one_with_the_same_url() {
    let url = "http://hl7.org/fhir/us/davinci-cdex/ValueSet/cdex-claim-use";
    let system = "http://hl7.org/fhir/claim-use";
    let further = json!({
        "resourceType": "ValueSet",
        "url": url,
        "compose": { "include": [
            { "system": system, "concept": [{ "code": "predetermination" }] },
            { "system": "urn:whole" },
        ] },
    })
    .to_string();
    let profiles = Profiles::with_files([("further.json", further.as_str())]).expect("rules");
    let value_set = profiles.value_set(&format!("{url}|1.0.0")).expect("found without its version");
    for (system, code, expected) in [
        (Some(system), Some("predetermination"), true),
        (Some(system), Some("claim"), false),
        (Some("urn:whole"), Some("anything"), true),
        (Some("urn:other"), Some("predetermination"), false),
        (None, Some("predetermination"), false),
        (Some(system), None, false),
    ] {
        assert_eq!(value_set.contains(Coding { system, code }), expected, "{system:?} {code:?}");
    }
}

/// What is wrong with these files.
fn told<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let errors = Profiles::with_files(files).expect_err("something is wrong");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_cannot_be_enforced_is_refused_by_file_and_element() {
    let structure = |element: Value| {
        json!({
            "resourceType": "StructureDefinition",
            "url": "urn:test",
            "type": "Basic",
            "differential": { "element": [element] },
        })
    };
    let at = |more: Value| {
        let mut element = json!({ "id": "Basic.code", "path": "Basic.code" });
        element.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        structure(element)
    };
    let value_set =
        |compose: Value| json!({ "resourceType": "ValueSet", "url": "urn:v", "compose": compose });
    let cases = [
        (json!("text"), "rules.json is neither a StructureDefinition nor a ValueSet"),
        (json!({ "resourceType": "Basic" }), "rules.json is neither a StructureDefinition nor a ValueSet"),
        (at(json!({ "maxLength": 3 })), "rules.json, Basic.code: maxLength cannot be enforced"),
        (
            at(json!({ "constraint": [{ "key": "own-1" }] })),
            "rules.json, Basic.code: the invariant own-1 cannot be enforced",
        ),
        (
            at(json!({ "constraint": [{ "key": "cdex-3" }] })),
            "rules.json, Basic.code: the invariant cdex-3 cannot be enforced",
        ),
        (at(json!({ "min": "1" })), "rules.json, Basic.code: min is not a number"),
        (at(json!({ "max": "many" })), "rules.json, Basic.code: max is neither a number nor *"),
        (at(json!({ "path": "Basic.other" })), "rules.json, Basic.code: the path is not the one of the id"),
        (at(json!({ "sliceName": "a" })), "rules.json, Basic.code: either id or sliceName names no slice"),
        (
            at(json!({ "type": [{ "code": "Signature", "profile": ["urn:p|1"] }] })),
            "rules.json, Basic.code: the profile urn:p is not defined",
        ),
        (
            at(json!({ "slicing": { "rules": "openAtEnd" } })),
            "rules.json, Basic.code: slicing with these rules cannot be enforced",
        ),
        (
            at(json!({ "slicing": { "rules": "open" } })),
            "rules.json, Basic.code: the discriminator is missing",
        ),
        (
            at(
                json!({ "slicing": { "rules": "open", "discriminator": [{ "type": "position", "path": "x" }] } }),
            ),
            "rules.json, Basic.code: a discriminator of this type cannot be enforced",
        ),
        (
            structure(json!({ "id": "Basic.code:a", "path": "Basic.code", "sliceName": "a" })),
            "rules.json, Basic.code: slicing is missing",
        ),
        (
            structure(json!({ "id": "Other.code", "path": "Other.code" })),
            "rules.json, Other.code: the id does not begin with the type of the profile",
        ),
        (
            at(json!({ "binding": { "strength": "required", "valueSet": "urn:none|2" } })),
            "rules.json, Basic.code: the value set urn:none|2 is not defined",
        ),
        (value_set(json!({})), "rules.json, ValueSet.compose: include is missing"),
        (
            value_set(json!({ "include": [], "exclude": [] })),
            "rules.json, ValueSet.compose: exclude cannot be enforced",
        ),
        (
            value_set(json!({ "include": [{ "system": "s", "filter": [] }] })),
            "rules.json, ValueSet.compose.include: filter cannot be enforced",
        ),
    ];
    for (file, expected) in cases {
        let text = file.to_string();
        assert_eq!(told([("rules.json", text.as_str())]), [expected]);
    }
    assert_eq!(told([("rules.json", "{")]), ["rules.json is not JSON"]);
}
