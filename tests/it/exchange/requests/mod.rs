//! A payer asks a provider (`Task/$request`): the Task is sent, followed and answered, and what it names is here in the
//! end, once, whoever is killed or away in between.

mod asking;
mod collecting;
mod commands;
mod foreign;
mod gateways;

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, PATIENT};
use crate::support::http::{Answer, Request};
use crate::support::wait;

/// The settings of a payer whose partner `provider` is at this FHIR base.
fn payer_of(base: &str, further: &[(&str, &str)]) -> Gateway {
    let mut settings = vec![
        ("CDEX_FHIR__IDENTIFIER", "http://example.org/payers|payer-1"),
        ("CDEX_PARTNER__PROVIDER__FHIR_BASE", base),
        ("CDEX_PARTNER__PROVIDER__PRIVATE_ADDRESSES", "true"),
        ("CDEX_PARTNER__PROVIDER__IDENTIFIERS", "[\"http://hl7.org/fhir/sid/us-npi|1234567893\"]"),
        ("CDEX_POLICY__POLLING__FIRST_SECS", "0"),
        ("CDEX_POLICY__POLLING__EVERY_SECS", "1"),
        PATIENT,
    ];
    settings.extend_from_slice(further);
    Gateway::with(&settings)
}

/// A provider and a payer that knows it.
fn pair() -> (Gateway, Gateway) {
    let provider = Gateway::start();
    let payer = payer_of(&format!("{}/fhir", provider.url()), &[]);
    (provider, payer)
}

fn parameter(name: &str, value: &str, content: impl Into<Value>) -> Value {
    json!({ "name": name, value: content.into() })
}

/// The member whom the requests are about.
fn member() -> Value {
    json!({ "system": "http://example.org/members", "value": "Member123" })
}

fn sending(method: &str, path: &str, resource: &Value) -> Request {
    Request::new(method, &format!("/fhir/{path}"))
        .header("Content-Type", "application/fhir+json")
        .body(resource.to_string())
}

/// Asks the provider.
fn request(payer: &Gateway, parameters: &[Value]) -> Answer {
    let mut all = vec![parameter("partner", "valueString", "provider")];
    all.extend_from_slice(parameters);
    let body = json!({ "resourceType": "Parameters", "parameter": all });
    payer.ask(&sending("POST", "Task/$request", &body))
}

/// Asks the provider for something in words; gives the id of our copy.
fn request_text(payer: &Gateway) -> String {
    let wanted = parameter("text", "valueString", "The last three progress notes");
    let answer = request(payer, &[parameter("member-id", "valueIdentifier", member()), wanted]).expect(201);
    answer.json()["id"].as_str().expect("our copy has an id").to_owned()
}

#[track_caller]
fn create(gateway: &Gateway, resource: &Value) -> String {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let answer = gateway.ask(&sending("POST", name, resource)).expect(201).json();
    format!("{name}/{}", answer["id"].as_str().expect("a stored resource has an id"))
}

#[track_caller]
fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// The resources that a search finds.
#[track_caller]
fn search(gateway: &Gateway, query: &str) -> Vec<Value> {
    let mut bundle = read(gateway, query);
    let entries = bundle["entry"].as_array_mut().map(std::mem::take).unwrap_or_default();
    entries.into_iter().map(|mut entry| entry["resource"].take()).collect()
}

/// Waits for the one Task that the provider has.
fn task_of(provider: &Gateway) -> Value {
    wait::until("the Task to arrive", || search(provider, "Task").pop())
}

/// Waits until our copy has this status.
fn wait_status(payer: &Gateway, id: &str, status: &str) -> Value {
    wait::until("the copy to follow", || {
        let copy = read(payer, &format!("Task/{id}"));
        (copy["status"] == status).then_some(copy)
    })
}

/// A person at the provider completes its Task with these outputs.
fn complete(provider: &Gateway, outputs: &[&str], contained: Option<Value>) {
    let mut task = task_of(provider);
    task["status"] = "completed".into();
    let data = json!({ "coding": [{
        "system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "code": "data-value" }] });
    task["output"] = outputs
        .iter()
        .map(|reference| json!({ "type": data, "valueReference": { "reference": reference } }))
        .collect();
    if let Some(contained) = contained {
        task["contained"] = json!([contained]);
    }
    let path = format!("Task/{}", task["id"].as_str().expect("a stored Task has an id"));
    provider.ask(&sending("PUT", &path, &task)).expect(200);
}

/// The references of the outputs of our copy.
fn outputs(copy: &Value) -> Vec<String> {
    let outputs = copy["output"].as_array().into_iter().flatten();
    outputs.filter_map(|output| output["valueReference"]["reference"].as_str().map(str::to_owned)).collect()
}

fn condition(subject: &str) -> Value {
    json!({
        "resourceType": "Condition", "subject": { "reference": subject },
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "38341003" }] },
    })
}
