//! What the loader takes, resolves and refuses.

use serde_json::{Value, json};

use super::{BUILT_IN, Profiles};
use crate::fhir::validate;

#[test]
fn every_rule_file_is_compiled_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let entries = std::fs::read_dir(folder).expect("the folder of rule files");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let names = files.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    let listed: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, names);
}

#[test]
fn a_rule_file_is_named_by_the_url_that_it_is_in_force_for() {
    for (name, text) in BUILT_IN {
        let json: Value = serde_json::from_str(text).expect("JSON");
        let url = json["url"].as_str().expect("a URL");
        let id = url.rsplit('/').next().expect("an id");
        assert_eq!(*name, format!("{}-{id}.json", json["resourceType"].as_str().expect("a type")));
    }
}

#[test]
fn a_resource_claims_known_profiles_of_any_version_once() {
    let profiles = Profiles::built_in().expect("the built-in rules");
    let patient = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient";
    let claims = [format!("{patient}|3.1.1"), "urn:unknown".to_owned(), format!("{patient}|7.0.0")];
    let resource = json!({ "resourceType": "Patient", "meta": { "profile": claims } });
    let claimed: Vec<&str> = profiles.of(&resource).iter().map(|structure| structure.url.as_str()).collect();
    assert_eq!(claimed, [patient]);
}

fn profile(url: &str, base: &str, elements: &Value) -> String {
    let json = json!({
        "resourceType": "StructureDefinition",
        "url": url,
        "type": "Basic",
        "baseDefinition": base,
        "differential": { "element": elements },
    });
    json.to_string()
}

#[test]
fn a_profile_has_the_rules_of_the_one_it_builds_on_in_whatever_order_they_come() {
    let code = |rules: Value| {
        let mut element = json!({ "id": "Basic.code", "path": "Basic.code" });
        element.as_object_mut().expect("an object").extend(rules.as_object().expect("an object").clone());
        json!([element])
    };
    let derived = profile("urn:a", "urn:b|1.0", &code(json!({ "min": 1 })));
    let base =
        profile("urn:b", "http://hl7.org/fhir/StructureDefinition/Basic", &code(json!({ "max": "1" })));
    let profiles = Profiles::with_files([("a", derived.as_str()), ("b", base.as_str())]).expect("rules");
    let rule = |url: &str| {
        let structure = profiles.structure(url).expect("a structure");
        let code = structure.root.by_id("Basic.code").expect("the element");
        (code.min, code.max)
    };
    assert_eq!(rule("urn:a"), (1, Some(1)));
    assert_eq!(rule("urn:b"), (0, Some(1)));
}

#[test]
fn profiles_that_lead_nowhere_are_told_once_each() {
    let none = json!([]);
    let a = profile("urn:a", "urn:b", &none);
    let b = profile("urn:b", "urn:a", &none);
    let on_a = profile("urn:c", "urn:a", &none);
    let on_unknown = profile("urn:d", "urn:e", &none);
    let files = [("a", a.as_str()), ("b", &b), ("c", &on_a), ("d", &on_unknown)];
    assert_eq!(
        told(files),
        [
            "a, StructureDefinition: the profile builds on itself",
            "b, StructureDefinition: the profile builds on itself",
            "d, StructureDefinition: the profile urn:e is not defined",
        ]
    );
}

#[test]
fn a_folder_is_read_whole_and_all_its_mistakes_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("a.json", &profile("urn:a", "http://hl7.org/fhir/StructureDefinition/Basic", &json!([])));
    write("notes.txt", "no rules");
    let profiles = Profiles::load(folder.path()).expect("rules");
    assert!(profiles.structure("urn:a").is_some());
    write("b.json", "{");
    write("c.json", "{}");
    let errors = Profiles::load(folder.path()).expect_err("two mistakes");
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["b.json is not JSON", "c.json is neither a StructureDefinition nor a ValueSet"]);
    assert!(Profiles::load(&folder.path().join("missing")).is_err());
}

#[test]
fn a_later_file_takes_the_place_of_one_with_the_same_url() {
    let url = "http://hl7.org/fhir/us/davinci-cdex/ValueSet/cdex-claim-use";
    let system = "http://hl7.org/fhir/claim-use";
    let codes = json!({
        "resourceType": "ValueSet",
        "url": url,
        "compose": { "include": [
            { "system": system, "concept": [{ "code": "predetermination" }] },
            { "system": "urn:whole" },
        ] },
    })
    .to_string();
    let binding = json!({ "strength": "required", "valueSet": format!("{url}|1.0.0") });
    let element = json!([{ "id": "Basic.code", "path": "Basic.code", "binding": binding }]);
    let rules = profile("urn:a", "http://hl7.org/fhir/StructureDefinition/Basic", &element);
    let profiles = Profiles::with_files([("rules", rules.as_str()), ("codes", &codes)]).expect("rules");
    for (system, code, expected) in [
        (Some(system), Some("predetermination"), true),
        (Some(system), Some("claim"), false),
        (Some("urn:whole"), Some("anything"), true),
        (Some("urn:other"), Some("predetermination"), false),
        (None, Some("predetermination"), false),
        (Some(system), None, false),
    ] {
        let mut coding = json!({ "display": "words" });
        coding.as_object_mut().expect("an object").extend(
            [("system", system), ("code", code)]
                .into_iter()
                .filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?)))),
        );
        let basic = json!({ "resourceType": "Basic", "code": { "coding": [coding] } });
        assert_eq!(validate(&basic, "urn:a", &profiles).is_empty(), expected, "{system:?} {code:?}");
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
