//! The exchange from outside: Tasks, Claims and submissions, and what follows from them after their answers.

mod attachment_requests;
mod data_requests;
mod kinds;
mod pushes;
mod requests;
mod screening;
mod submissions;
mod subscriptions;

use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::submission::{accepted, document, inline, parameters, submit};
use crate::support::{rows, wait};

/// The code system of the gateway's own tags.
const TAGS: &str = "urn:cdex-gateway:tags";

/// The payer's copy of a Claim Attachment Request that went to a provider: its parties are those of [`parameters`], its
/// tracking number is this.
pub(crate) fn attachment_request(tracking_id: &str) -> Value {
    let coded = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let cdex = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp";
    let pas = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes";
    let npi = |value: &str| json!({"system": "http://hl7.org/fhir/sid/us-npi", "value": value});
    json!({
        "resourceType": "Task",
        "meta": {"tag": [{"system": TAGS, "code": "sent"}]},
        "contained": [
            {"resourceType": "Patient", "id": "patient", "name": [{"family": "Shaw"}], "birthDate": "1987-02-20",
             "identifier": [{"type": coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MB"),
                             "system": "http://example.org/members", "value": "234567"}]},
            {"resourceType": "PractitionerRole", "id": "practitionerrole",
             "practitioner": {"identifier": npi("9941339108")}, "organization": {"identifier": npi("1407071236")}},
        ],
        "identifier": [{"type": coded(cdex, "tracking-id"), "system": "http://example.org/payer",
                        "value": tracking_id}],
        "status": "requested",
        "intent": "order",
        "code": coded(pas, "attachment-request-code"),
        "for": {"reference": "#patient"},
        "authoredOn": "2026-03-14T16:16:06Z",
        "requester": {"identifier": {"system": "http://example.org/payers", "value": "Payer123"}},
        "owner": {"reference": "#practitionerrole"},
        "reasonCode": coded("http://hl7.org/fhir/claim-use", "claim"),
        "reasonReference": {"identifier": {"system": "http://example.org/claims", "value": "Claim123"}},
        "input": [
            {"type": coded(pas, "attachments-needed"), "valueCodeableConcept": coded("http://loinc.org", "11504-8")},
            {"type": coded(pas, "payer-url"), "valueUrl": "https://payer.example/fhir/$submit-attachment"},
            {"type": coded(cdex, "service-date"), "valueDate": "2026-03-14"},
            {"type": coded(cdex, "purpose-of-use"),
             "valueCodeableConcept": coded("http://terminology.hl7.org/CodeSystem/v3-ActReason", "CLMATTCH")},
        ],
    })
}

/// A Claim with this number, for the member of [`parameters`].
fn claim(number: &str) -> Value {
    json!({
        "resourceType": "Claim", "status": "active", "use": "claim", "created": "2026-03-14",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]},
        "identifier": [{"system": "http://example.org/claims", "value": number}],
        "patient": {"identifier": {"system": "http://example.org/members", "value": "234567"}},
        "provider": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1407071236"}},
        "insurer": {"identifier": {"system": "http://example.org/payers", "value": "payer123"}},
        "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": true, "coverage": {"display": "the plan"}}],
    })
}

/// A submission of one note; `is_last` is its Final.
fn note(tracking_id: &str, bytes: &[u8], is_last: bool) -> Value {
    let mut body = parameters(tracking_id, vec![document(vec![inline(bytes)])]);
    let list = body["parameter"].as_array_mut().expect("a list");
    list.push(json!({"name": "Final", "valueBoolean": is_last}));
    body
}

/// Sends a submission; gives its upload ids and whether the answer says that it is held.
#[track_caller]
fn send(gateway: &Gateway, body: &Value) -> (Vec<String>, bool) {
    let answer = submit(gateway, body.to_string());
    let is_held = answer.text().contains("being held for association with a future claim");
    (accepted(&answer), is_held)
}

/// Creates a resource and gives `Type/id`.
#[track_caller]
fn create(gateway: &Gateway, resource: &Value) -> String {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let answer = gateway.ask(&sending("POST", name, resource)).expect(201).json();
    format!("{name}/{}", answer["id"].as_str().expect("a stored resource has an id"))
}

fn sending(method: &str, path: &str, resource: &Value) -> Request {
    Request::new(method, &format!("/fhir/{path}"))
        .header("Content-Type", "application/fhir+json")
        .body(resource.to_string())
}

/// Reads what is there.
#[track_caller]
fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// The resources that a search finds, what comes along included.
#[track_caller]
pub(crate) fn search(gateway: &Gateway, query: &str) -> Vec<Value> {
    let mut bundle = read(gateway, query);
    let entries = bundle["entry"].as_array_mut().map(std::mem::take).unwrap_or_default();
    entries.into_iter().map(|mut entry| entry["resource"].take()).collect()
}

/// Waits until every submission has gone where it belongs.
pub(crate) fn settle(gateway: &Gateway) {
    let waiting = "agenda WHERE errand = 'associate'";
    wait::until("submissions to be associated", || (rows::count(gateway, waiting) == 0).then_some(()));
}

/// The references of a Task's outputs.
fn outputs(task: &Value) -> Vec<String> {
    let outputs = task["output"].as_array().into_iter().flatten();
    outputs
        .map(|output| output["valueReference"]["reference"].as_str().expect("a reference").to_owned())
        .collect()
}

/// Whether a resource has one of the gateway's own tags.
fn is_tagged(resource: &Value, code: &str) -> bool {
    let tags = resource["meta"]["tag"].as_array().into_iter().flatten();
    tags.into_iter().any(|tag| tag["system"] == TAGS && tag["code"] == code)
}
