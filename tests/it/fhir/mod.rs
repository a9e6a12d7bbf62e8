//! The FHIR REST API from outside: interactions with their header fields, searches page by page, Bundles.

use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::http::{Answer, Request};

mod binaries;
mod bundles;
mod conditions;
mod declarations;
mod export;
mod fuzz_queries;
mod histories;
mod interactions;
mod operations;
mod patches;
mod refusals;
mod searches;
mod upstream;

/// The media type of FHIR bodies.
const FHIR: &str = "application/fhir+json";

/// A request with a resource.
fn sending(method: &str, path: &str, resource: &Value) -> Request {
    Request::new(method, &format!("/fhir/{path}")).header("Content-Type", FHIR).body(resource.to_string())
}

/// A request without one.
fn asking(method: &str, path: &str) -> Request {
    Request::new(method, &format!("/fhir/{path}"))
}

/// Creates a resource and gives its id.
#[track_caller]
fn create(gateway: &Gateway, resource: &Value) -> String {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let answer = gateway.ask(&sending("POST", name, resource)).expect(201);
    answer.json()["id"].as_str().expect("a stored resource has an id").to_owned()
}

/// Reads what is there.
#[track_caller]
fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// A Patient of this family.
fn patient(family: &str) -> Value {
    json!({"resourceType": "Patient", "active": true, "name": [{"family": family, "given": ["A", "B"]}]})
}

/// A Patient with an identifier.
fn identified(value: &str) -> Value {
    let mut patient = patient("Identified");
    patient["identifier"] = json!([{"system": "http://example.org/mrn", "value": value}]);
    patient
}

/// An Observation of a patient.
fn observation(subject: &str, value: &str) -> Value {
    let mut observation = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2026-03-14",
        "valueQuantity": {"unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"},
    });
    let text =
        observation.to_string().replace("\"unit\":\"cm\"", &format!("\"value\":{value},\"unit\":\"cm\""));
    observation = serde_json::from_str(&text).expect("it is JSON");
    observation
}

/// Fails unless the answer is an OperationOutcome of this status; gives the code and expression of each error.
#[track_caller]
fn outcome(answer: &Answer, status: u16) -> Vec<(String, String)> {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/fhir+json; charset=utf-8"));
    let body = answer.json();
    assert_eq!(body["resourceType"], "OperationOutcome");
    let issues = body["issue"].as_array().expect("an outcome has issues").iter();
    issues
        .filter(|issue| issue["severity"] == "error")
        .map(|issue| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&issue["code"]), text(&issue["expression"][0]))
        })
        .collect()
}

/// The resources of a Bundle that are there for this reason.
fn found<'a>(bundle: &'a Value, mode: &str) -> Vec<&'a Value> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter(|entry| entry["search"]["mode"] == mode).map(|entry| &entry["resource"]).collect()
}

/// The path of a link of a Bundle, if it has one of this relation.
fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|link| link["relation"] == relation)?;
    let url = link["url"].as_str().expect("a link has a URL");
    Some(url.split_once("/fhir").expect("links are below the base").1.to_owned())
}
