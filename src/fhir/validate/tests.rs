//! The engine on a small profile of its own: what base rules, open slices, patterns and bindings do.

use serde_json::{Value, json};

use super::validate;
use crate::fhir::{Issue, IssueType, Profiles, Severity};

const PROFILE: &str = "urn:test:profile";

/// A profile with one rule of each kind.
fn profiles() -> Profiles {
    let of = |id: &str, more: Value| {
        let path: Vec<&str> = id.split('.').map(|step| step.split(':').next().unwrap_or(step)).collect();
        let mut element = json!({ "id": id, "path": path.join(".") });
        if let Some((_, slice)) = id.rsplit('.').next().and_then(|last| last.split_once(':')) {
            element["sliceName"] = slice.into();
        }
        element.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        element
    };
    let slicing = |path: &str| json!({ "slicing": { "rules": "open", "discriminator": [{ "type": "value", "path": path }] } });
    let bound = |strength: &str| json!({ "binding": { "strength": strength, "valueSet": "urn:test:codes" } });
    let with_type = |mut rules: Value, code: &str| {
        rules["type"] = json!([{ "code": code }]);
        rules
    };
    let structure = json!({
        "resourceType": "StructureDefinition",
        "url": PROFILE,
        "type": "Task",
        "differential": { "element": [
            of("Task.status", with_type(bound("required"), "code")),
            of("Task.code", with_type(bound("extensible"), "CodeableConcept")),
            of("Task.description", json!({ "max": "0" })),
            of("Task.priority", json!({ "min": 1, "short": "How urgent it is", "type": [{ "code": "code" }] })),
            of("Task.authoredOn", json!({ "type": [{ "code": "dateTime" }] })),
            of("Task.intent", json!({ "fixedCode": "order" })),
            of("Task.identifier", slicing("$this")),
            of("Task.identifier:tracking", json!({ "min": 1, "max": "1",
                "patternIdentifier": { "type": { "coding": [{ "code": "tracking" }] } } })),
            of("Task.input", slicing("type.text")),
            of("Task.input:url", json!({ "max": "1" })),
            of("Task.input:url.type.text", json!({ "patternString": "url" })),
            of("Task.input:url.value[x]", json!({ "min": 1, "type": [{ "code": "url" }, { "code": "string" }] })),
        ] },
    })
    .to_string();
    let value_set = json!({
        "resourceType": "ValueSet",
        "url": "urn:test:codes",
        "compose": { "include": [{ "system": "urn:s", "concept": [{ "code": "a" }, { "code": "b" }] }] },
    })
    .to_string();
    Profiles::with_files([("s", structure.as_str()), ("v", value_set.as_str())])
        .expect("the rules are understood")
}

fn valid() -> Value {
    json!({
        "resourceType": "Task",
        "status": "a",
        "priority": "urgent",
        "intent": "order",
        "code": { "coding": [{ "system": "urn:other", "code": "x" }, { "system": "urn:s", "code": "b" }] },
        "authoredOn": "2025-05",
        "extension": [{ "url": "urn:anything" }],
        "identifier": [
            { "type": { "coding": [{ "code": "more" }, { "system": "urn:t", "code": "tracking" }] }, "value": "1" },
            { "value": "in no slice" },
        ],
        "input": [{ "type": { "text": "url" }, "valueUrl": "https://example.org" }, { "type": {} }],
    })
}

fn issues(resource: &Value) -> Vec<(Severity, IssueType, String)> {
    let tell = |issue: Issue| (issue.severity, issue.code, issue.expression.unwrap_or_default());
    validate(resource, PROFILE, &profiles()).into_iter().map(tell).collect()
}

#[test]
fn what_keeps_every_rule_has_no_issue() {
    assert_eq!(issues(&valid()), []);
}

#[test]
fn each_broken_rule_is_one_issue_at_its_element() {
    use IssueType::{CodeInvalid, Required, Structure, Value as Wrong};
    let cases = [
        ("/status", json!("c"), Severity::Error, CodeInvalid, "Task.status"),
        ("/status", json!(7), Severity::Error, Structure, "Task.status"),
        ("/status", json!(" a"), Severity::Error, Wrong, "Task.status"),
        ("/status", json!({ "text": "words" }), Severity::Error, Structure, "Task.status"),
        ("/code", json!({ "coding": [{ "code": "a" }] }), Severity::Warning, CodeInvalid, "Task.code"),
        ("/code", json!({ "coding": [{ "code": " " }] }), Severity::Error, Wrong, "Task.code.coding[0].code"),
        ("/code", json!("a"), Severity::Error, Structure, "Task.code"),
        ("/description", json!("there"), Severity::Error, Structure, "Task.description"),
        ("/priority", Value::Null, Severity::Error, Structure, "Task.priority"),
        ("/authoredOn", json!("2025-13"), Severity::Error, Wrong, "Task.authoredOn"),
        ("/intent", json!("plan"), Severity::Error, Wrong, "Task.intent"),
        ("/identifier", json!([]), Severity::Error, Required, "Task.identifier"),
        ("/input/0/valueUrl", json!("with space"), Severity::Error, Wrong, "Task.input[0].valueUrl"),
        ("/input/0", json!({ "type": { "text": "url" } }), Severity::Error, Required, "Task.input[0].value"),
        (
            "/input/0",
            json!({ "type": { "text": "url" }, "valueInteger": 1 }),
            Severity::Error,
            Wrong,
            "Task.input[0].valueInteger",
        ),
        (
            "/input/0",
            json!({ "type": { "text": "url" }, "valueUrl": "u", "valueString": "s" }),
            Severity::Error,
            Structure,
            "Task.input[0].value",
        ),
        (
            "/input/1",
            json!({ "type": { "text": "url" }, "valueString": "s" }),
            Severity::Error,
            Structure,
            "Task.input[1]",
        ),
        ("/resourceType", json!("Basic"), Severity::Error, Structure, "Task"),
    ];
    for (pointer, value, severity, code, expression) in cases {
        let mut resource = valid();
        match resource.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => resource[pointer.trim_start_matches('/')] = value.clone(),
        }
        assert_eq!(issues(&resource), [(severity, code, expression.to_owned())], "{pointer} {value}");
    }
}

#[test]
fn a_missing_element_is_required_and_explained() {
    let mut resource = valid();
    resource.as_object_mut().expect("an object").remove("priority");
    let issues = validate(&resource, PROFILE, &profiles());
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].text, "priority is required");
    assert_eq!(issues[0].diagnostics.as_deref(), Some("What it is: How urgent it is"));
}

#[test]
fn words_may_stand_in_for_a_code_of_an_extensible_set() {
    let mut resource = valid();
    resource["code"] = json!({ "text": "words" });
    assert_eq!(issues(&resource), []);
}

#[test]
fn a_primitive_with_only_extensions_is_there() {
    let mut resource = valid();
    resource.as_object_mut().expect("an object").remove("priority");
    resource["_priority"] = json!({ "extension": [{ "url": "urn:why" }] });
    resource["input"][0] = json!({ "type": { "text": "url" }, "_valueUrl": { "id": "x" } });
    assert_eq!(issues(&resource), []);
}

#[test]
fn the_number_of_issues_is_bounded() {
    let mut resource = valid();
    let coding = json!({ "code": " " });
    resource["code"]["coding"] = Value::Array(vec![coding; 100_000]);
    let issues = validate(&resource, PROFILE, &profiles());
    assert!(issues.len() < 1000, "{}", issues.len());
    assert!(issues.iter().any(Issue::is_error));
}

#[test]
fn an_unknown_profile_is_a_refusal_and_no_silence() {
    let issues = validate(&valid(), "urn:unknown", &profiles());
    assert!(issues.iter().any(Issue::is_error));
}
