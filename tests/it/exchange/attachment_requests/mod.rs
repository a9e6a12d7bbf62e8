//! A payer asks a provider for attachments by a Task, and the provider's gateway submits them: to a bare HTTP endpoint,
//! which is all that a payer needs to be, and to another gateway.

mod crash;
mod discovered;
mod documents;
mod payers;
mod published;
mod requirements;
mod signed;

use serde_json::{Value, json};

use crate::support::content::{base64, from_base64};
use crate::support::endpoint::{Endpoint, Received};
use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::wait;

/// The media type of FHIR bodies.
const FHIR: &str = "application/fhir+json";
/// The code system of attachment requests.
const PAS: &str = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes";
/// The code system of CDex.
const CDEX: &str = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp";
/// Where the members of the tests' payer have their numbers.
const MEMBERS: &str = "http://payer.example.org/members";
/// LOINC codes: a progress note, and an operation note.
const PROGRESS_NOTE: &str = "11506-3";
const OPERATION_NOTE: &str = "11504-8";

/// A provider's gateway that knows one payer, at this URL.
fn provider_for(payer: &str) -> Gateway {
    provider_with(payer, &[])
}

/// The same with further settings.
fn provider_with(payer: &str, further: &[(&str, &str)]) -> Gateway {
    let submit_url = format!("{payer}/fhir/$submit-attachment");
    let mut settings = vec![
        ("CDEX_PARTNER__PAYER__SUBMIT_URL", &*submit_url),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
    ];
    settings.extend_from_slice(further);
    Gateway::with(&settings)
}

fn sending(method: &str, path: &str, resource: &Value) -> Request {
    Request::new(method, &format!("/fhir/{path}")).header("Content-Type", FHIR).body(resource.to_string())
}

/// Creates a resource and gives its id.
#[track_caller]
fn create(gateway: &Gateway, resource: &Value) -> String {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let answer = gateway.ask(&sending("POST", name, resource)).expect(201);
    answer.json()["id"].as_str().expect("a stored resource has an id").to_owned()
}

/// Puts a resource under an id.
#[track_caller]
fn put(gateway: &Gateway, id: &str, resource: &Value) {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let mut resource = resource.clone();
    resource["id"] = id.into();
    let answer = gateway.ask(&sending("PUT", &format!("{name}/{id}"), &resource));
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
}

/// Adds an output to a Task, as an EHR does.
#[track_caller]
fn link(gateway: &Gateway, task: &str, code: &str, reference: &str) {
    let output = json!({"type": {"coding": [{"system": PAS, "code": code}]}, "valueReference": {"reference": reference}});
    let has_outputs = read(gateway, &format!("Task/{task}")).get("output").is_some();
    let patch = if has_outputs {
        json!([{"op": "add", "path": "/output/-", "value": output}])
    } else {
        json!([{"op": "add", "path": "/output", "value": [output]}])
    };
    let request = Request::new("PATCH", &format!("/fhir/Task/{task}"));
    gateway
        .ask(&request.header("Content-Type", "application/json-patch+json").body(patch.to_string()))
        .expect(200);
}

#[track_caller]
fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// Waits until a Task is what it should be, and gives it.
#[track_caller]
fn task_when(gateway: &Gateway, id: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait::until(what, || {
            let answer = gateway.try_ask(&Request::new("GET", &format!("/fhir/Task/{id}"))).ok()?;
            last = serde_json::from_slice(&answer.body).ok()?;
            is_it(&last).then(|| last.clone())
        })
    }));
    found.unwrap_or_else(|_| panic!("the Task never came to be {what}: {last:#}"))
}

/// Waits until a Task has this status.
#[track_caller]
fn task_in(gateway: &Gateway, id: &str, status: &str) -> Value {
    task_when(gateway, id, status, |task| task["status"] == status)
}

/// Waits until the gateway says of a Task that it is at this stage.
#[track_caller]
fn task_at(gateway: &Gateway, id: &str, stage: &str) -> Value {
    task_when(gateway, id, stage, |task| task["businessStatus"]["coding"][0]["code"] == stage)
}

/// The statuses of all versions of a Task, oldest first.
#[track_caller]
fn statuses(gateway: &Gateway, id: &str) -> Vec<String> {
    let history = read(gateway, &format!("Task/{id}/_history?_count=50"));
    let entries = history["entry"].as_array().expect("a history has entries");
    let status = |entry: &Value| entry["resource"]["status"].as_str().unwrap_or_default().to_owned();
    entries.iter().rev().map(status).collect()
}

/// The member whom the tests are about.
fn member(number: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{"system": MEMBERS, "value": number}],
        "name": [{"family": "Shaw", "given": ["Amy"]}],
        "birthDate": "1987-02-20",
    })
}

/// A document of a patient.
fn document(patient: &str, code: &str, bytes: &[u8]) -> Value {
    json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "date": "2026-03-15T08:00:00Z",
        "content": [{"attachment": {"contentType": "application/pdf", "data": base64(bytes)}}],
    })
}

/// A request for these types of documents, for a claim.
fn request(payer: &str, number: &str, tracking: &str, codes: &[&str]) -> Value {
    let inputs = codes.iter().zip(1..).map(|(code, line)| {
        json!({
            "type": {"coding": [{"system": PAS, "code": "attachments-needed"}]},
            "extension": [{"url": "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-paLineNumber", "valueInteger": line}],
            "valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": code}]},
        })
    });
    let mut task = frame(payer, number, tracking, "attachment-request-code");
    let all = task["input"].as_array_mut().expect("a frame has inputs");
    all.extend(inputs);
    task
}

/// A request for a response to a Questionnaire.
fn form_request(payer: &str, number: &str, tracking: &str, canonical: &str) -> Value {
    let mut task = frame(payer, number, tracking, "attachment-request-questionnaire");
    let all = task["input"].as_array_mut().expect("a frame has inputs");
    all.push(json!({
        "type": {"coding": [{"system": PAS, "code": "questionnaire-context"}]},
        "valueCanonical": canonical,
    }));
    task
}

/// What all requests have, by the profile.
fn frame(payer: &str, number: &str, tracking: &str, code: &str) -> Value {
    let npi =
        |value: &str| json!({"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": value}});
    let mut patient = member(number);
    patient["id"] = "patient".into();
    patient["identifier"][0]["type"] =
        json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]});
    json!({
        "resourceType": "Task",
        "meta": {"profile": ["http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-attachment-request"]},
        "contained": [
            patient,
            {"resourceType": "PractitionerRole", "id": "practitionerrole",
             "practitioner": npi("9941339108"), "organization": npi("1407071236")},
        ],
        "identifier": [{
            "type": {"coding": [{"system": CDEX, "code": "tracking-id"}]},
            "system": "http://payer.example.org/tracking", "value": tracking,
        }],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": PAS, "code": code}]},
        "for": {"reference": "#patient"},
        "authoredOn": "2026-04-01T10:00:00Z",
        "requester": {"identifier": {"system": "http://payer.example.org/payers", "value": "Payer123"}},
        "owner": {"reference": "#practitionerrole"},
        "reasonCode": {"coding": [{"system": "http://hl7.org/fhir/claim-use", "code": "claim"}], "text": "claim"},
        "reasonReference": {"identifier": {"system": "http://payer.example.org/claims", "value": "Claim123"}},
        "input": [
            {"type": {"coding": [{"system": PAS, "code": "payer-url"}]}, "valueUrl": format!("{payer}/fhir/$submit-attachment")},
            {"type": {"coding": [{"system": CDEX, "code": "service-date"}]}, "valueDate": "2026-03-14"},
        ],
    })
}

/// One more input of a request.
fn with_flag(mut task: Value, code: &str) -> Value {
    let inputs = task["input"].as_array_mut().expect("a request has inputs");
    inputs.push(json!({"type": {"coding": [{"system": CDEX, "code": code}]}, "valueBoolean": true}));
    task
}

/// The value of a parameter of a submission.
fn parameter<'p>(submission: &'p Value, name: &str) -> Option<&'p Value> {
    let mut all = submission["parameter"].as_array().expect("Parameters have parameters").iter();
    let found = all.find(|parameter| parameter["name"] == name)?.as_object()?;
    found.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value)
}

/// The attachments of a submission: line item, code and content of each.
fn attachments(submission: &Value) -> Vec<(Option<&str>, Option<&str>, &Value)> {
    let all = submission["parameter"].as_array().expect("Parameters have parameters").iter();
    all.filter(|parameter| parameter["name"] == "Attachment")
        .map(|attachment| {
            let parts = attachment["part"].as_array().expect("an Attachment has parts");
            let part = |name: &str| parts.iter().find(|part| part["name"] == name);
            (
                part("LineItem").and_then(|part| part["valueString"].as_str()),
                part("Code").and_then(|part| part["valueCodeableConcept"]["coding"][0]["code"].as_str()),
                part("Content").map_or(&Value::Null, |part| &part["resource"]),
            )
        })
        .collect()
}

/// The bytes of a document that was submitted.
#[track_caller]
fn bytes_of(content: &Value) -> Vec<u8> {
    let attachment = &content["content"][0]["attachment"];
    assert!(attachment.get("url").is_none(), "a payer cannot follow our URLs");
    from_base64(attachment["data"].as_str().expect("the bytes came along"))
}

/// What the endpoint was sent by `$submit-attachment`.
fn submissions(payer: &Endpoint) -> Vec<Received> {
    let all = payer.received();
    all.into_iter().filter(|received| received.line == "POST /fhir/$submit-attachment").collect()
}
