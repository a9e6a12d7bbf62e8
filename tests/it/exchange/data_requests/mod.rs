//! Data requests at the provider's gateway: what the gateway answers by itself, what waits for people, and the rules
//! that hold for both.

use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::http::{Answer, Request};
use crate::support::wait;

mod answers;
mod crash;
mod examples;
mod queue;
mod signed;
mod states;

const CDEX: &str = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp";
const HREX: &str = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp";
const SDC: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";
const LOINC: &str = "http://loinc.org";
const MEMBERS: &str = "http://example.org/cdex/payer/member-ids";

fn sending(method: &str, path: &str, resource: &Value) -> Request {
    let content_type = "application/fhir+json";
    Request::new(method, &format!("/fhir/{path}"))
        .header("Content-Type", content_type)
        .body(resource.to_string())
}

#[track_caller]
fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// Creates a resource and gives its id.
#[track_caller]
fn create(gateway: &Gateway, resource: &Value) -> String {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let answer = gateway.ask(&sending("POST", name, resource)).expect(201);
    answer.json()["id"].as_str().expect("a stored resource has an id").to_owned()
}

/// Puts a resource under the id that it has.
#[track_caller]
fn put(gateway: &Gateway, resource: &Value) -> Answer {
    let text = |name: &str| resource[name].as_str().expect("it is there").to_owned();
    gateway.ask(&sending("PUT", &format!("{}/{}", text("resourceType"), text("id")), resource))
}

/// The member of this number, and a few conditions: two active ones and one that is over.
fn member(gateway: &Gateway, number: &str) -> String {
    let patient = json!({
        "resourceType": "Patient",
        "identifier": [{ "system": MEMBERS, "value": number }],
        "name": [{ "family": "Shaw", "given": ["Amy"] }],
        "gender": "female",
    });
    let id = create(gateway, &patient);
    for (status, recorded) in [("active", "2024-01-01"), ("active", "2025-01-01"), ("resolved", "2023-01-01")]
    {
        create(gateway, &condition(&id, status, recorded));
    }
    id
}

fn condition(patient: &str, status: &str, recorded: &str) -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    json!({
        "resourceType": "Condition",
        "clinicalStatus": { "coding": [{ "system": system, "code": status }] },
        "code": { "text": "a condition" },
        "subject": { "reference": format!("Patient/{patient}") },
        "recordedDate": recorded,
    })
}

fn input((system, code): (&str, &str), name: &str, value: Value) -> Value {
    let mut input = json!({ "type": { "coding": [{ "system": system, "code": code }] } });
    input[name] = value;
    input
}

/// A data request of this kind about a member, with its one input.
fn request(kind: &str, member: &str, asked: Value) -> Value {
    let input = vec![asked];
    json!({
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": { "coding": [{ "system": CDEX, "code": kind }] },
        "for": { "identifier": { "system": MEMBERS, "value": member } },
        "authoredOn": "2026-01-01T10:00:00Z",
        "requester": { "identifier": { "system": "http://example.org/cdex/payer/payer-ids", "value": "Payer123" } },
        "owner": { "identifier": { "system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339108" } },
        "input": Value::Array(input),
    })
}

fn query(member: &str, text: &str) -> Value {
    request("data-request-query", member, input((HREX, "data-query"), "valueString", json!(text)))
}

fn free_text(member: &str) -> Value {
    let concept = json!({ "text": "the active conditions" });
    request("data-request-code", member, input((HREX, "data-code"), "valueCodeableConcept", concept))
}

fn coded(member: &str, code: &str) -> Value {
    let concept = json!({ "coding": [{ "system": LOINC, "code": code }] });
    request("data-request-code", member, input((HREX, "data-code"), "valueCodeableConcept", concept))
}

/// Waits until a Task has this status.
#[track_caller]
fn wait_for(gateway: &Gateway, id: &str, status: &str) -> Value {
    wait::until("the Task to move", || {
        let task = read(gateway, &format!("Task/{id}"));
        let is_over = ["completed", "failed", "rejected"].iter().any(|over| task["status"] == *over);
        assert!(!is_over || task["status"] == status, "not {status}: {task}");
        (task["status"] == status).then_some(task)
    })
}

/// The statuses that a Task went through.
fn steps(gateway: &Gateway, id: &str) -> Vec<String> {
    let history = read(gateway, &format!("Task/{id}/_history"));
    let entries = history["entry"].as_array().expect("a history has entries");
    let statuses =
        entries.iter().map(|entry| entry["resource"]["status"].as_str().unwrap_or_default().to_owned());
    statuses.rev().collect()
}

/// The resources of a searchset that are there for this reason.
fn found<'b>(bundle: &'b Value, mode: &str) -> Vec<&'b Value> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter(|entry| entry["search"]["mode"] == mode).map(|entry| &entry["resource"]).collect()
}

/// The reference of the one output.
#[track_caller]
fn output(task: &Value) -> String {
    let outputs = task["output"].as_array().unwrap_or_else(|| panic!("no output: {task}"));
    assert_eq!(outputs.len(), 1, "{task}");
    assert_eq!(outputs[0]["type"]["coding"][0]["code"], "data-value");
    outputs[0]["valueReference"]["reference"].as_str().expect("an output refers to something").to_owned()
}

/// The code and expression of each error of a refusal.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> Vec<(String, String)> {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["resourceType"], "OperationOutcome");
    let issues = body["issue"].as_array().expect("an outcome has issues");
    let errors = issues.iter().filter(|issue| issue["severity"] == "error");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.map(|issue| (text(&issue["code"]), text(&issue["expression"][0]))).collect()
}

/// Fails unless a Task keeps the profile of data requests.
#[track_caller]
fn assert_valid(gateway: &Gateway, task: &Value) {
    let profile = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-data-request";
    let answer =
        gateway.ask(&sending("POST", &format!("Task/$validate?profile={profile}"), task)).expect(200);
    let outcome = answer.json();
    let issues = outcome["issue"].as_array().expect("an outcome has issues");
    assert!(issues.iter().all(|issue| issue["severity"] != "error"), "{outcome}");
}
