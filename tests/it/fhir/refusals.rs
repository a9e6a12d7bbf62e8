//! What is refused: with which status, under which code, naming which element, and without repeating what was sent.

use serde_json::{Value, json};

use super::{FHIR, asking, outcome, patient, sending};
use crate::support::gateway::Gateway;
use crate::support::rows;

#[test]
fn addresses_methods_and_media_types_are_refused_before_the_body_is_read() {
    let gateway = Gateway::start();
    let resource = patient("Doe").to_string();
    let typed = |method: &str, path: &str, kind: &str| {
        asking(method, path).header("Content-Type", kind).body(resource.clone())
    };
    for (request, status, code) in [
        (asking("GET", "Foo"), 404, "not-supported"),
        (asking("GET", "Foo/1"), 404, "not-supported"),
        (typed("POST", "Parameters", FHIR), 404, "not-supported"),
        (asking("GET", "Patient/1/$unknown"), 404, "not-supported"),
        (asking("GET", "Patient/unknown"), 404, "not-found"),
        (asking("GET", "Patient/unknown/_history/1"), 404, "not-found"),
        (asking("GET", "Patient/a%2Fb"), 404, "not-found"),
        (asking("GET", "Patient/a_b"), 404, "not-found"),
        (typed("PUT", "Patient/a_b", FHIR), 400, "value"),
        (typed("POST", "Patient/1", FHIR), 405, "not-supported"),
        (asking("DELETE", "Patient/1/_history/1"), 405, "not-supported"),
        (asking("TRACE", "Patient"), 405, "not-supported"),
        (typed("POST", "Patient", "application/fhir+xml"), 415, "not-supported"),
        (typed("POST", "Patient", "text/plain"), 415, "not-supported"),
        (asking("POST", "Patient").body(resource.clone()), 415, "not-supported"),
        (typed("POST", "Patient/_search", "application/json"), 415, "not-supported"),
        (typed("POST", "Patient", FHIR).header("Content-Encoding", "gzip"), 415, "not-supported"),
        (asking("GET", "Patient").header("Accept", "application/fhir+xml"), 406, "not-supported"),
        (asking("GET", "Patient?_format=xml"), 406, "not-supported"),
        (typed("POST", "Patient?_format=ttl", FHIR), 406, "not-supported"),
    ] {
        let answer = gateway.ask(&request);
        assert_eq!(outcome(&answer, status)[0].0, code, "{request:?}");
        assert_eq!(answer.header("Allow").is_some(), status == 405, "{request:?}");
    }
    assert_eq!(
        rows::count(&gateway, "audit"),
        5,
        "changes refused at the door: 4 media types, 1 answer in no format"
    );
    for format in ["json", "application/json", "application/fhir%2Bjson", "application/fhir+json"] {
        let request =
            asking("GET", &format!("Patient?_format={format}")).header("Accept", "application/fhir+xml");
        gateway.ask(&request).expect(200);
    }
}

#[test]
fn bodies_are_refused_with_the_element_that_is_wrong() {
    let gateway = Gateway::start();
    let with = |name: &str, value: Value| {
        let mut patient = patient("Doe");
        patient[name] = value;
        patient
    };
    for (method, path, body, status, expression) in [
        ("POST", "Patient", json!([]), 400, ""),
        ("POST", "Patient", json!({}), 400, "resourceType"),
        ("POST", "Task", patient("Doe"), 400, "Task.resourceType"),
        ("PUT", "Patient/one", patient("Doe"), 400, "Patient.id"),
        ("PUT", "Patient/one", with("id", json!("two")), 400, "Patient.id"),
        ("POST", "Patient", with("birthDate", json!("12.03.1969")), 422, "Patient.birthDate"),
        ("POST", "Patient", with("gender", json!("unheard-of")), 422, "Patient.gender"),
        ("POST", "Patient", with("unknownElement", json!(1)), 422, "Patient.unknownElement"),
        ("POST", "Patient", with("active", json!("true")), 422, "Patient.active"),
        ("POST", "Patient", with("link", json!([{"type": "refer"}])), 422, "Patient.link[0].other"),
    ] {
        let answer = gateway.ask(&sending(method, path, &body));
        let issues = outcome(&answer, status);
        assert!(issues.iter().any(|(_, at)| at == expression), "{body}: {issues:?}");
    }
    for body in [
        "",
        "{",
        "{\"resourceType\":\"Patient\",\"resourceType\":\"Patient\"}",
        "\u{feff}{}",
        "{\"a\":1e999}",
    ] {
        outcome(&gateway.ask(&asking("POST", "Patient").header("Content-Type", FHIR).body(body)), 400);
    }
    assert_eq!(rows::count(&gateway, "resource"), 0);
    assert_eq!(rows::count(&gateway, "audit"), 15, "one audit row for each refusal");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let gateway = Gateway::start();
    let mut body = patient("Doe");
    body["birthDate"] = json!("x");
    body["gender"] = json!("y");
    body["photo"] = json!({});
    let issues = outcome(&gateway.ask(&sending("POST", "Patient", &body)), 422);
    for at in ["Patient.birthDate", "Patient.gender", "Patient.photo"] {
        assert!(issues.iter().any(|(_, found)| found == at), "{at}: {issues:?}");
    }
}

#[test]
fn a_body_over_the_limit_is_413() {
    let gateway = Gateway::with(&[("CDEX_FHIR__BODY_LIMIT_BYTES", "100000")]);
    let mut body = patient("Doe");
    body["name"][0]["text"] = json!("x".repeat(200_000));
    assert_eq!(outcome(&gateway.ask(&sending("POST", "Patient", &body)), 413)[0].0, "too-long");
}

#[test]
fn a_refusal_repeats_nothing_that_was_sent() {
    let gateway = Gateway::start();
    let mut body = patient("Jane-Doe");
    body["birthDate"] = json!("Jane-Doe");
    body["Jane-Doe"] = json!("Jane-Doe");
    for request in [
        sending("POST", "Patient", &body),
        sending("PUT", "Patient/Jane-Doe", &body),
        sending("POST", "Patient", &patient("x")).header("If-None-Exist", "Jane-Doe=Jane-Doe"),
        asking("GET", "Jane-Doe/1"),
        asking("GET", "Patient/Jane-Doe"),
        asking("GET", "Patient?birthdate=Jane-Doe"),
        asking("GET", "Patient?family:Jane-Doe=Jane-Doe"),
    ] {
        let answer = gateway.ask(&request);
        assert!(answer.status >= 400, "{request:?}");
        assert!(!answer.everything().contains("Jane-Doe"), "{request:?}: {}", answer.everything());
    }
    assert!(!gateway.wrote().contains("Jane-Doe"));
}
