//! Operations over the wire: where and how each is called, and what it answers.

use serde_json::{Value, json};

use super::{FHIR, asking, create, found, link, outcome, read, sending};
use crate::support::gateway::Gateway;
use crate::support::http::Request;

mod documents;
mod everything;
mod matching;
mod member_match;
mod validation;

/// Parameters of these names and members, such as `{"name": "count", "valueInteger": 3}`.
fn parameters(list: &Value) -> Value {
    json!({"resourceType": "Parameters", "parameter": list})
}

/// A call by POST.
fn calling(path: &str, body: &Value) -> Request {
    sending("POST", path, body)
}

/// The ids of the resources of a Bundle that are there for this reason.
fn ids(bundle: &Value, mode: &str) -> Vec<String> {
    let id = |resource: &&Value| resource["id"].as_str().expect("an id").to_owned();
    found(bundle, mode).iter().map(id).collect()
}

/// A reference to a resource.
fn to(id: &str, resource_type: &str) -> Value {
    json!({"reference": format!("{resource_type}/{id}")})
}

#[test]
fn an_operation_is_called_where_and_as_its_definition_says() {
    let gateway = Gateway::start();
    let patient = json!({"resourceType": "Patient"}).to_string();
    let posting =
        |path: &str, kind: &str| asking("POST", path).header("Content-Type", kind).body(patient.clone());
    for (request, status) in [
        (asking("GET", "$unheard-of"), 404),
        (asking("GET", "Patient/$docref"), 404),
        (asking("GET", "Patient/$everything"), 404),
        (asking("GET", "Encounter/1/$everything"), 404),
        (posting("Patient/1/$match", FHIR), 404),
        (posting("Practitioner/$match", FHIR), 404),
        (posting("Foo/$validate", FHIR), 404),
        (asking("GET", "Patient/unknown/$everything"), 404),
        (asking("GET", "Patient/unknown/$validate"), 404),
        (asking("GET", "Patient/$match"), 405),
        (asking("GET", "Patient/$member-match"), 405),
        (asking("PUT", "Patient/$validate"), 405),
        (asking("DELETE", "Patient/1/$everything"), 405),
        (posting("Patient/$match", "application/fhir+xml"), 415),
        (posting("Patient/$match", FHIR).header("Content-Encoding", "gzip"), 415),
        (posting("Patient/$match?_format=xml", FHIR), 406),
        (posting("Patient/$match?foo=1", FHIR).header("Prefer", "handling=strict"), 400),
        (asking("GET", "DocumentReference/$docref"), 400),
        (asking("GET", "DocumentReference/$docref?patient=a_b"), 400),
        (asking("GET", "DocumentReference/$docref?patient=a&start=yesterday"), 400),
        (asking("GET", "DocumentReference/$docref?patient=a&start=2020&_cursor=x"), 400),
        (asking("POST", "Patient/$match").header("Content-Length", "0"), 400),
    ] {
        let answer = gateway.ask(&request);
        outcome(&answer, status);
        assert_eq!(answer.header("Allow").is_some(), status == 405, "{request:?}");
        assert!(!answer.text().contains("a_b") && !answer.text().contains("yesterday"), "{request:?}");
    }
    let options = gateway.ask(&asking("OPTIONS", "Patient/$match")).expect(204);
    assert_eq!(options.header("Allow"), Some("POST"));
    for path in ["%24validate", "Resource/$validate", "Patient/$validate/", "Patient/%24validate"] {
        gateway.ask(&posting(path, FHIR)).expect(200);
    }
    gateway.ask(&posting("Patient/$match?foo=1", FHIR)).expect(200);
}

#[test]
fn all_that_is_wrong_with_the_parameters_is_told_with_its_place() {
    let gateway = Gateway::start();
    let body = parameters(&json!([
        {"name": "resource", "resource": {"resourceType": "Practitioner"}},
        {"name": "count", "valueInteger": 0},
        {"name": "onlyCertainMatches", "valueString": "Jane Doe"},
    ]));
    let answer = gateway.ask(&calling("Patient/$match", &body));
    let told = outcome(&answer, 400);
    let told: Vec<_> = told.iter().map(|(code, at)| (code.as_str(), at.as_str())).collect();
    let expected = [
        ("value", "Parameters.parameter[0].resource"),
        ("value", "Parameters.parameter[1]"),
        ("value", "Parameters.parameter[2]"),
    ];
    assert_eq!(told, expected);
    assert!(!answer.text().contains("Jane"), "{}", answer.text());
}
