//! Each kind of discriminator on a profile of its own, and references into the same Bundle.

use serde_json::{Value, json};

use super::validate;
use crate::fhir::{Issue, IssueType, Profiles};

/// The rules of a Bundle, with slices of its entries told apart in one way.
fn profiles(discriminator: &Value, slices: &Value) -> Profiles {
    let mut elements = vec![json!({
        "id": "Bundle.entry",
        "path": "Bundle.entry",
        "slicing": { "rules": "closed", "discriminator": [discriminator] },
    })];
    elements.extend(slices.as_array().expect("slices").iter().cloned());
    let rules = json!({
        "resourceType": "StructureDefinition",
        "url": "urn:test",
        "type": "Bundle",
        "differential": { "element": elements },
    })
    .to_string();
    let titled = json!({
        "resourceType": "StructureDefinition",
        "url": "urn:titled",
        "type": "Composition",
        "differential": { "element": [{ "id": "Composition.title", "path": "Composition.title", "min": 1 }] },
    })
    .to_string();
    Profiles::with_files([("rules", rules.as_str()), ("titled", titled.as_str())]).expect("rules")
}

fn slice(rules: &Value) -> Value {
    let mut slice = json!([{
        "id": "Bundle.entry:one", "path": "Bundle.entry", "sliceName": "one", "max": "1",
    }]);
    match rules {
        Value::Array(rules) => slice.as_array_mut().expect("slices").extend(rules.iter().cloned()),
        rule => slice.as_array_mut().expect("slices").push(rule.clone()),
    }
    slice
}

fn inner(path: &str, rules: &Value) -> Value {
    let mut element =
        json!({ "id": format!("Bundle.entry:one.{path}"), "path": format!("Bundle.entry.{path}") });
    element.as_object_mut().expect("an object").extend(rules.as_object().expect("an object").clone());
    element
}

#[test]
fn each_kind_of_discriminator_tells_entries_apart() {
    let in_slice = |discriminator: Value, rules: Value, entries: &[(Value, bool)]| {
        let profiles = profiles(&discriminator, &slice(&rules));
        for (entry, expected) in entries {
            let bundle = json!({ "resourceType": "Bundle", "entry": [entry] });
            let refused = validate(&bundle, "urn:test", &profiles).iter().any(Issue::is_error);
            assert_eq!(!refused, *expected, "{discriminator}: {entry}");
        }
    };
    in_slice(
        json!({ "type": "type", "path": "resource" }),
        inner("resource", &json!({ "type": [{ "code": "Composition" }] })),
        &[
            (json!({ "resource": { "resourceType": "Composition" } }), true),
            (json!({ "resource": { "resourceType": "Patient" } }), false),
            (json!({}), false),
        ],
    );
    in_slice(
        json!({ "type": "profile", "path": "resource" }),
        inner("resource", &json!({ "type": [{ "code": "Composition", "profile": ["urn:titled|2"] }] })),
        &[
            (json!({ "resource": { "resourceType": "Composition", "title": "a" } }), true),
            (json!({ "resource": { "resourceType": "Composition" } }), false),
            (json!({ "resource": { "resourceType": "Patient", "title": "a" } }), false),
        ],
    );
    in_slice(
        json!({ "type": "exists", "path": "search" }),
        inner("search", &json!({ "max": "0" })),
        &[(json!({ "fullUrl": "urn:a" }), true), (json!({ "search": {} }), false)],
    );
    in_slice(
        json!({ "type": "exists", "path": "search" }),
        inner("search", &json!({ "min": 1 })),
        &[(json!({ "fullUrl": "urn:a" }), false), (json!({ "search": {} }), true)],
    );
    in_slice(
        json!({ "type": "value", "path": "search" }),
        inner("search.mode", &json!({ "fixedCode": "match" })),
        &[
            (json!({ "search": { "mode": "match" } }), true),
            (json!({ "search": { "mode": "include" } }), false),
            (json!({ "search": {} }), false),
        ],
    );
    in_slice(
        json!({ "type": "value", "path": "extension('urn:a.b').value" }),
        json!([
            { "id": "Bundle.entry:one.extension:x", "path": "Bundle.entry.extension", "sliceName": "x",
              "type": [{ "code": "Extension", "profile": ["urn:a.b"] }] },
            { "id": "Bundle.entry:one.extension:x.value[x]", "path": "Bundle.entry.extension.value[x]",
              "fixedString": "one" },
        ]),
        &[
            (json!({ "extension": [{ "url": "urn:a.b", "valueString": "one" }] }), true),
            (json!({ "extension": [{ "url": "urn:a.b", "valueString": "two" }] }), false),
            (json!({ "extension": [{ "url": "urn:c", "valueString": "one" }] }), false),
        ],
    );
}

#[test]
fn a_slice_that_its_discriminator_does_not_tell_apart_is_refused() {
    let rules = json!({
        "resourceType": "StructureDefinition",
        "url": "urn:test",
        "type": "Basic",
        "differential": { "element": [
            { "id": "Basic.identifier", "path": "Basic.identifier",
              "slicing": { "rules": "open", "discriminator": [{ "type": "value", "path": "system" }] } },
            { "id": "Basic.identifier:a", "path": "Basic.identifier", "sliceName": "a" },
        ] },
    })
    .to_string();
    let errors = Profiles::with_files([("rules", rules.as_str())]).expect_err("a slice without a value");
    let expected =
        "rules, Basic.identifier:a: a slice that its discriminator does not tell apart cannot be enforced";
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_target_in_the_same_bundle_is_held_to_its_profile_and_one_elsewhere_to_its_type() {
    let rules = json!({
        "resourceType": "StructureDefinition",
        "url": "urn:test",
        "type": "Bundle",
        "differential": { "element": [{
            "id": "Bundle.entry.resource.subject",
            "path": "Bundle.entry.resource.subject",
            "type": [{ "code": "Reference", "targetProfile": ["urn:titled|1", "http://hl7.org/fhir/StructureDefinition/Group"] }],
        }] },
    })
    .to_string();
    let titled = json!({
        "resourceType": "StructureDefinition",
        "url": "urn:titled",
        "type": "Composition",
        "differential": { "element": [
            { "id": "Composition.title", "path": "Composition.title", "min": 1 },
            // Round in a circle: the target of a target is not followed.
            { "id": "Composition.subject", "path": "Composition.subject",
              "type": [{ "code": "Reference", "targetProfile": ["urn:titled"] }] },
        ] },
    })
    .to_string();
    let profiles =
        Profiles::with_files([("rules", rules.as_str()), ("titled", titled.as_str())]).expect("rules");
    let titled =
        json!({ "resourceType": "Composition", "title": "a", "subject": { "reference": "urn:uuid:1" } });
    let cases = [
        ("urn:uuid:1", titled.clone(), true),
        ("urn:uuid:1", json!({ "resourceType": "Composition" }), false),
        ("urn:uuid:1", json!({ "resourceType": "Group" }), true),
        ("urn:uuid:1", json!({ "resourceType": "Patient" }), false),
        ("urn:uuid:2", json!({ "resourceType": "Patient" }), true),
        ("Composition/1", titled, true),
        ("Patient/1", json!({ "resourceType": "Group" }), false),
    ];
    for (reference, target, expected) in cases {
        let bundle = json!({
            "resourceType": "Bundle",
            "entry": [
                { "resource": { "resourceType": "Observation", "subject": { "reference": reference } } },
                { "fullUrl": "urn:uuid:1", "resource": target },
            ],
        });
        let issues = validate(&bundle, "urn:test", &profiles);
        let at: Vec<_> = issues.iter().map(|issue| (issue.code, issue.expression.as_deref())).collect();
        let place = (IssueType::Value, Some("Bundle.entry[0].resource.subject"));
        let expected = if expected { vec![] } else { vec![place] };
        assert_eq!(at, expected, "{reference} {target}");
    }
}
