//! `$validate` answers with everything that it found, and keeps nothing.

use serde_json::{Value, json};

use super::{FHIR, asking, calling, create, outcome, parameters, read};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;

const PATIENT_PROFILE: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient";

/// Code and expression of each error.
type Expected<'a> = &'a [(&'a str, &'a str)];

fn task() -> Value {
    json!({"resourceType": "Task", "status": "requested", "intent": "order"})
}

#[test]
fn what_was_found_is_the_answer_wherever_it_is_asked_for() {
    let gateway = Gateway::start();
    let mut broken = task();
    broken["status"] = json!("asked");
    broken["authoredOn"] = json!("yesterday");
    broken["wish"] = json!("Jane Doe");
    let nameless = json!({"resourceType": "Patient"});
    let wrapped = |resource: &Value| parameters(&json!([{"name": "resource", "resource": resource}]));
    let broken_at =
        [("code-invalid", "Task.status"), ("structure", "Task.wish"), ("value", "Task.authoredOn")];
    let profile_at =
        [("required", "Patient.gender"), ("required", "Patient.identifier"), ("required", "Patient.name")];
    let with_profile = format!("Patient/$validate?profile={PATIENT_PROFILE}");
    let by_parameter = parameters(&json!([
        {"name": "resource", "resource": nameless},
        {"name": "profile", "valueCanonical": format!("{PATIENT_PROFILE}|6.1.0")},
        {"name": "mode", "valueCode": "create"},
    ]));
    let mut claiming = nameless.clone();
    claiming["meta"] = json!({"profile": [PATIENT_PROFILE, "http://example.org/StructureDefinition/own"]});
    let cases: Vec<(&str, Value, Expected<'_>)> = vec![
        ("Task/$validate", task(), &[]),
        ("$validate", wrapped(&task()), &[]),
        ("Resource/$validate", task(), &[]),
        ("Task/$validate", broken.clone(), &broken_at),
        ("$validate", wrapped(&broken), &broken_at),
        ("Patient/$validate", nameless.clone(), &[]),
        (&with_profile, nameless.clone(), &profile_at),
        ("Patient/$validate", by_parameter, &profile_at),
        ("Patient/$validate", claiming, &profile_at),
        ("Patient/$validate", task(), &[("value", "Task.resourceType")]),
        ("$validate?profile=http://hl7.org/fhir/StructureDefinition/Task", task(), &[]),
        ("$validate?profile=http://hl7.org/fhir/StructureDefinition/Patient", task(), &[("invalid", "Task")]),
        ("$validate?profile=http://example.org/StructureDefinition/own", task(), &[("not-found", "")]),
        ("Task/$validate?mode=update", task(), &[("required", "Task.id")]),
        ("Parameters/$validate?mode=create", wrapped(&parameters(&json!([]))), &[]),
        ("$validate", json!({"resourceType": "Foo"}), &[("value", "Resource.resourceType")]),
    ];
    for (path, body, expected) in cases {
        let answer = gateway.ask(&calling(path, &body));
        let mut told = outcome(&answer, 200);
        told.sort();
        let told: Vec<_> = told.iter().map(|(code, at)| (code.as_str(), at.as_str())).collect();
        if path.starts_with("Parameters") {
            // An empty array, and a type that is not kept.
            assert_eq!(told.len(), 2, "{}", answer.text());
            continue;
        }
        assert_eq!(told, expected, "{path} {body}: {}", answer.text());
        let issues = answer.json()["issue"].clone();
        assert_eq!(issues[0]["severity"] == "error", !expected.is_empty(), "{issues}");
        assert!(!answer.text().contains("Jane"), "{}", answer.text());
    }
    for table in ["resource", "audit"] {
        assert_eq!(rows::count(&gateway, table), 0, "{table}");
    }
}

#[test]
fn a_stored_resource_is_validated_as_it_is_or_as_it_would_be() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &task());
        let path = format!("Task/{id}/$validate");
        let is_ok = |answer: &crate::support::http::Answer| outcome(answer, 200).is_empty();
        assert!(is_ok(&gateway.ask(&asking("GET", &path))));
        assert!(is_ok(&gateway.ask(&asking("GET", &format!("{path}?mode=delete")))));
        assert!(is_ok(&gateway.ask(&asking("POST", &path).header("Content-Length", "0"))));
        let mut changed = read(&gateway, &format!("Task/{id}"));
        assert!(is_ok(&gateway.ask(&calling(&format!("{path}?mode=update"), &changed))));
        changed["id"] = json!("another");
        let told = outcome(&gateway.ask(&calling(&format!("{path}?mode=update"), &changed)), 200);
        assert_eq!(told, [("value".to_owned(), "Task.id".to_owned())]);
        let gone = outcome(&gateway.ask(&asking("GET", "Task/unknown/$validate?mode=delete")), 200);
        assert_eq!(gone, [("not-found".to_owned(), String::new())]);
        assert_eq!(read(&gateway, &format!("Task/{id}"))["meta"]["versionId"], "1");
    });
}

#[test]
fn a_call_that_cannot_be_understood_is_400() {
    let gateway = Gateway::start();
    for (path, body, code) in [
        ("$validate", "{", "structure"),
        ("$validate", "[]", "structure"),
        ("$validate", "{}", "required"),
        ("$validate", r#"{"resourceType":"Parameters"}"#, "required"),
        ("$validate?mode=destroy", r#"{"resourceType":"Task"}"#, "code-invalid"),
        ("Task/$validate?mode=delete", r#"{"resourceType":"Task"}"#, "required"),
    ] {
        let request = asking("POST", path).header("Content-Type", FHIR).body(body);
        let told = outcome(&gateway.ask(&request), 400);
        assert_eq!(told[0].0, code, "{path} {body}");
    }
    outcome(&gateway.ask(&asking("GET", "Task/$validate")), 400);
}

#[test]
fn a_strict_update_of_nothing_would_fail() {
    let gateway = Gateway::with(&[("CDEX_FHIR__UPDATE_CREATES", "false")]);
    let mut task = task();
    task["id"] = json!("new");
    let told = outcome(&gateway.ask(&calling("Task/new/$validate?mode=update", &task)), 200);
    assert_eq!(told, [("not-found".to_owned(), String::new())]);
}
