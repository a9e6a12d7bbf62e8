//! Refused submissions: the answer names the element, and nothing is left but one audit row.

use serde_json::{Value, json};

use super::assert_nothing_left;
use crate::support::environment::shared;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::rows;
use crate::support::submission::{
    SUBMIT, accepted, document, inline, names, note, parameters, refused, request, submit,
};

#[test]
fn each_required_parameter_removed_is_400_naming_it() {
    let whole = parameters("required", vec![document(vec![inline(b"x")])]);
    for_each_database(&[], |gateway| {
        for (number, name) in
            ["TrackingId", "AttachTo", "MemberId", "ServiceDate", "Attachment"].iter().enumerate()
        {
            let issues = refused(&submit(&gateway, without(&whole, &[name]).to_string()), 400);
            assert!(names(&issues, name), "{name} is not named by {issues:?}");
            let refusals = i64::try_from(number + 1).expect("a small number");
            assert_eq!(rows::count(&gateway, "audit"), refusals, "one audit row for each refusal");
        }
        let issues =
            refused(&submit(&gateway, without(&whole, &["ProviderId", "OrganizationId"]).to_string()), 400);
        assert!(names(&issues, "ProviderId") || names(&issues, "OrganizationId"), "{issues:?}");
        assert_nothing_left(&gateway);
    });
}

#[test]
fn each_required_parameter_of_the_published_examples_is_required() {
    let Some(folder) = shared("cdex/examples") else { return };
    let gateway = Gateway::start();
    for example in
        ["cdex-parameters-example1.json", "cdex-parameters-example3.json", "cdex-parameters-example5.json"]
    {
        let text = std::fs::read(folder.join(example)).expect("a published example is readable");
        let whole: Value = serde_json::from_slice(&text).expect("a published example is JSON");
        for name in ["TrackingId", "AttachTo", "MemberId", "Attachment"] {
            let issues = refused(&submit(&gateway, without(&whole, &[name]).to_string()), 400);
            assert!(names(&issues, name), "{example}: {name} is not named by {issues:?}");
        }
    }
    assert_nothing_left(&gateway);
}

#[test]
fn a_preauthorization_needs_no_service_date() {
    let mut body = without(&parameters("prior", vec![document(vec![inline(b"x")])]), &["ServiceDate"]);
    set(&mut body, "AttachTo", "valueCode", json!("preauthorization"));
    accepted(&submit(&Gateway::start(), body.to_string()));
}

#[test]
fn an_attachment_without_content_is_400_naming_it() {
    let gateway = Gateway::start();
    let mut body = parameters("no-content", vec![document(vec![inline(b"x")])]);
    let last = body["parameter"].as_array_mut().and_then(|list| list.last_mut()).expect("an Attachment");
    last["part"].as_array_mut().expect("parts").retain(|part| part["name"] != "Content");
    let issues = refused(&submit(&gateway, body.to_string()), 400);
    assert!(names(&issues, "Content"), "{issues:?}");
    assert_nothing_left(&gateway);
}

#[test]
fn every_problem_is_reported_at_once() {
    let gateway = Gateway::start();
    let mut body =
        without(&parameters("all", vec![document(vec![inline(b"x")])]), &["TrackingId", "MemberId"]);
    set(&mut body, "PayerId", "valueIdentifier", json!({"system": "http://example.org/p"}));
    set(&mut body, "ServiceDate", "valueDateTime", json!("2026-03"));
    let issues = refused(&submit(&gateway, body.to_string()), 400);
    for name in ["TrackingId", "MemberId", "PayerId", "ServiceDate"] {
        assert!(names(&issues, name), "{name} is not named by {issues:?}");
    }
    assert_nothing_left(&gateway);
}

#[test]
fn wrong_values_are_400_naming_their_parameter() {
    let identifier = json!({"system": "http://example.org/x", "value": "1"});
    let cases: Vec<(&str, Value)> = vec![
        ("TrackingId", json!({"name": "TrackingId", "valueString": "1"})),
        ("TrackingId", json!({"name": "TrackingId", "valueIdentifier": {"system": "http://example.org/x"}})),
        ("MemberId", json!({"name": "MemberId", "valueCode": "1"})),
        ("AttachTo", json!({"name": "AttachTo", "valueCode": "invoice"})),
        ("ServiceDate", json!({"name": "ServiceDate", "valueDateTime": "2026"})),
        ("ServiceDate", json!({"name": "ServiceDate", "valueDateTime": "14.03.2026"})),
        ("Final", json!({"name": "Final", "valueBoolean": "true"})),
        ("Surprise", json!({"name": "Surprise", "valueIdentifier": identifier})),
    ];
    let gateway = Gateway::start();
    for (name, wrong) in cases {
        let mut body = without(&parameters("wrong", vec![document(vec![inline(b"x")])]), &[name]);
        body["parameter"].as_array_mut().expect("parameters").push(wrong.clone());
        let issues = refused(&submit(&gateway, body.to_string()), 400);
        // A name outside the profile may be a person's: its place is named, not the word.
        let expected = if name == "Surprise" { "Parameters.parameter" } else { name };
        assert!(names(&issues, expected), "{wrong}: {issues:?}");
    }
    assert_nothing_left(&gateway);
}

#[test]
fn a_repeated_single_parameter_is_400() {
    let gateway = Gateway::start();
    for name in ["TrackingId", "AttachTo", "MemberId", "ServiceDate", "ProviderId"] {
        let mut body = parameters("twice", vec![document(vec![inline(b"x")])]);
        let list = body["parameter"].as_array_mut().expect("parameters");
        let again =
            list.iter().find(|parameter| parameter["name"] == name).expect("it is there once").clone();
        list.push(again);
        let issues = refused(&submit(&gateway, body.to_string()), 400);
        assert!(names(&issues, name), "{name} is not named by {issues:?}");
    }
    assert_nothing_left(&gateway);
}

#[test]
fn a_hash_that_is_no_sha1_is_400() {
    let gateway = Gateway::start();
    let attachment = json!({"contentType": "text/plain", "data": "eA==", "hash": "AAAA"});
    let issues =
        refused(&submit(&gateway, parameters("hash", vec![document(vec![attachment])]).to_string()), 400);
    assert!(names(&issues, "hash"), "{issues:?}");
    assert_nothing_left(&gateway);
}

#[test]
fn an_attachment_with_neither_data_nor_url_is_400() {
    let gateway = Gateway::start();
    let empty = document(vec![json!({"contentType": "text/plain"})]);
    let issues = refused(&submit(&gateway, parameters("empty", vec![empty]).to_string()), 400);
    assert!(names(&issues, "attachment"), "{issues:?}");
    assert_nothing_left(&gateway);
}

#[test]
fn the_operation_is_post_only() {
    let gateway = Gateway::start();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = gateway.ask(&Request::new(method, SUBMIT).header("Content-Length", "0")).expect(405);
        assert_eq!(answer.header("Allow"), Some("POST"), "{method}");
    }
}

#[test]
fn xml_and_unknown_media_types_are_415_with_an_outcome() {
    let gateway = Gateway::start();
    let xml = "<Parameters xmlns=\"http://hl7.org/fhir\"/>";
    for kind in ["application/fhir+xml", "application/xml", "text/xml", "text/html", "multipart/form-data"] {
        let answer = gateway.ask(&Request::new("POST", SUBMIT).header("Content-Type", kind).body(xml));
        refused(&answer, 415);
    }
    let untyped = gateway.ask(&Request::new("POST", SUBMIT).body(note("untyped", b"x")));
    refused(&untyped, 415);
    assert_nothing_left(&gateway);
}

#[test]
fn a_packed_body_is_415_and_never_unpacked() {
    let gateway = Gateway::start();
    let packed = gateway.ask(&request(note("packed", b"x")).header("Content-Encoding", "gzip"));
    refused(&packed, 415);
    assert_nothing_left(&gateway);
}

#[test]
fn a_client_that_takes_only_xml_gets_406_and_submits_nothing() {
    let gateway = Gateway::start();
    let answer = gateway.ask(&request(note("406", b"x")).header("Accept", "application/fhir+xml"));
    assert_eq!(answer.status, 406, "{}", answer.text());
    assert_nothing_left(&gateway);
}

#[test]
fn a_refusal_repeats_nothing_that_was_sent() {
    let gateway = Gateway::start();
    let mut body = parameters("Jane-Doe-1969", vec![document(vec![inline(b"x")])]);
    set(&mut body, "MemberId", "valueIdentifier", json!({"valeu": "Jane-Doe-1969"}));
    set(&mut body, "AttachTo", "valueCode", json!("Jane-Doe-1969"));
    let answer = submit(&gateway, body.to_string());
    refused(&answer, 400);
    assert!(!answer.text().contains("Jane-Doe"), "{}", answer.text());
}

/// The submission without the parameters of these names.
fn without(parameters: &Value, removed: &[&str]) -> Value {
    let mut rest = parameters.clone();
    let list = rest["parameter"].as_array_mut().expect("parameters");
    list.retain(|parameter| !removed.iter().any(|name| parameter["name"] == *name));
    rest
}

/// Replaces a value of the parameter of this name.
fn set(parameters: &mut Value, name: &str, key: &str, value: Value) {
    let list = parameters["parameter"].as_array_mut().expect("parameters");
    let parameter = list.iter_mut().find(|parameter| parameter["name"] == name).expect("it is there");
    parameter[key] = value;
}

#[test]
fn one_mistake_is_told_once_and_by_the_name_of_its_parameter() {
    let gateway = Gateway::start();
    let mut whole = parameters("told once", vec![document(vec![inline(b"x")])]);
    let entries = whole["parameter"].as_array_mut().expect("an array");
    let member = entries.iter_mut().find(|entry| entry["name"] == "MemberId").expect("it is required");
    member["valueIdentifier"] = json!("not an Identifier");
    let answer = submit(&gateway, whole.to_string());
    let issues = refused(&answer, 400);
    assert!(names(&issues, "MemberId"), "{issues:?}");
    let errors = answer.json()["issue"]
        .as_array()
        .map_or(0, |issues| issues.iter().filter(|issue| issue["severity"] == "error").count());
    assert_eq!(errors, 1, "{}", answer.text());
}
