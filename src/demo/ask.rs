//! The steps between two gateways: a payer asks for notes and they are collected, a payer asks for an attachment and it
//! is submitted, and somebody searches.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::DemoError;
use super::console::{Console, bytes, millis, short_ids};
use super::documents::{Document, LAB_REPORT, PROGRESS_NOTE, loinc, member, patient};
use super::gateway::{Gateway, json as json_of};

/// The name under which the payer's configuration knows the provider.
pub(super) const PROVIDER: &str = "provider";
/// The name under which the provider's configuration knows the payer.
pub(super) const PAYER: &str = "payer";

/// The provider's EHR keeps a patient and two documents. Gives the Patient.
pub(super) async fn chart(console: &mut Console, provider: &Gateway) -> Result<String, DemoError> {
    console.step("A provider's EHR keeps a chart at the provider's gateway")?;
    let patient = provider.create(&patient()).await?;
    console.row("asked", "POST /fhir/Patient, then /fhir/DocumentReference twice")?;
    console.row("answered", &format!("201 {}", short(&patient)))?;
    let mut kept = Vec::new();
    for document in [PROGRESS_NOTE, LAB_REPORT] {
        let reference = provider.create(&document.of_patient(&patient)).await?;
        console.row("", &format!("201 {}, LOINC {}", short(&reference), document.loinc))?;
        kept.push(reference);
    }
    console.check("both documents are kept", 2, kept.len())?;
    Ok(patient)
}

/// A payer asks for progress notes: the Task is answered without anybody's help, and its output collected.
pub(super) async fn data(
    console: &mut Console,
    payer: &Gateway,
    provider: &Gateway,
) -> Result<(), DemoError> {
    console.step("A payer asks for the patient's progress notes and is answered")?;
    let wanted = [
        text("partner", "valueString", PROVIDER),
        text("member-id", "valueIdentifier", member()),
        text("code", "valueCodeableConcept", loinc(&PROGRESS_NOTE)),
        text("purpose-of-use", "valueCodeableConcept", purpose("COVERAGE")),
    ];
    let (task, took) = ask(console, payer, &wanted, "a data request by code, LOINC 11506-3").await?;
    let steps = steps(provider).await?;
    console.row("", &format!("at the provider: {}", steps.join(", ")))?;
    let output =
        task.pointer("/output/0/valueReference/reference").and_then(Value::as_str).unwrap_or_default();
    console.row("", &format!("at the payer: output {}", short(output)))?;
    console.row("took", &millis(took))?;
    let walked = "requested, accepted, in-progress, completed";
    console.check("every step of the Task is a version of it", walked, steps.join(", ").as_str())?;
    console.check("the payer's copy is completed", "completed", word(&task, "status"))?;
    let attached = payer.attached(output).await?;
    compare(console, &PROGRESS_NOTE, &attached)
}

/// A payer asks for an attachment to a claim: the provider's gateway finds it and submits it.
pub(super) async fn attachment(console: &mut Console, payer: &Gateway) -> Result<(), DemoError> {
    console.step("A payer asks for the lab report that a claim needs, and it is submitted")?;
    let claim = json!({ "identifier": { "system": "http://payer.example/claims", "value": "DEMO-CLAIM-7" } });
    let tracking = json!({ "system": "http://payer.example/tracking", "value": "DEMO-TRACK-7" });
    let npi = json!({ "system": "http://hl7.org/fhir/sid/us-npi", "value": "1407071236" });
    let wanted = [
        text("partner", "valueString", PROVIDER),
        text("attachment-code", "valueCodeableConcept", loinc(&LAB_REPORT)),
        text("tracking-id", "valueIdentifier", tracking),
        text("claim", "valueReference", claim),
        text("service-date", "valueDate", "2026-06-16"),
        text("organization", "valueIdentifier", npi),
        json!({ "name": "member", "resource": patient() }),
    ];
    let (task, took) =
        ask(console, payer, &wanted, "an attachment request, LOINC 11502-2, TrackingId DEMO-TRACK-7").await?;
    let search =
        format!("/fhir/DocumentReference?related=Task/{}&_revinclude=Provenance:target", word(&task, "id"));
    console.row("asked", &format!("GET {}", short(&search)))?;
    let found = payer.get_json(&search).await?;
    let resources = resources(&found);
    let of = |name: &str| resources.iter().filter(|resource| word(resource, "resourceType") == name).count();
    let (documents, provenances) = (of("DocumentReference"), of("Provenance"));
    console.row("answered", &format!("{documents} DocumentReference, {provenances} Provenance"))?;
    console.row("took", &millis(took))?;
    console.check("the payer's copy of the Task is completed", "completed", word(&task, "status"))?;
    console.check("what was submitted belongs to it", 1, documents)?;
    console.check("and says where it comes from", 1, provenances)?;
    let document = resources.iter().find(|resource| word(resource, "resourceType") == "DocumentReference");
    let reference =
        document.map(|found| format!("DocumentReference/{}", word(found, "id"))).unwrap_or_default();
    let attached = payer.attached(&reference).await?;
    compare(console, &LAB_REPORT, &attached)
}

/// Somebody searches the chart.
pub(super) async fn search(
    console: &mut Console,
    provider: &Gateway,
    patient: &str,
) -> Result<(), DemoError> {
    console.step("A FHIR client searches the patient's documents")?;
    let path = format!(
        "/fhir/DocumentReference?patient={patient}&type=http://loinc.org|11506-3&_sort=-date&_count=10"
    );
    console.row("asked", &format!("GET {}", short(&path)))?;
    let asked = Instant::now();
    let found = provider.get_json(&path).await?;
    let took = asked.elapsed();
    let total = found["total"].as_u64().unwrap_or_default();
    console.row("answered", &format!("a searchset Bundle, total {total}"))?;
    console.row("took", &millis(took))?;
    console.check("it finds the one progress note", 1, total)
}

/// Has the payer ask its partner, and waits until its copy of the Task is over.
async fn ask(
    console: &mut Console,
    payer: &Gateway,
    wanted: &[Value],
    what: &str,
) -> Result<(Value, Duration), DemoError> {
    const CALL: &str = "POST /fhir/Task/$request";
    let body = json!({ "resourceType": "Parameters", "parameter": wanted }).to_string();
    console.row("asked", &format!("{CALL} of the payer's gateway, partner {PROVIDER}:"))?;
    console.row("", what)?;
    let asked = Instant::now();
    let answer = payer.post("/fhir/Task/$request", Bytes::from(body)).await?;
    let copy = json_of(CALL, &answer)?;
    let id = word(&copy, "id").to_owned();
    console.row("answered", &format!("{} Task/{}, {}", answer.status, short(&id), word(&copy, "status")))?;
    console.check("the request was taken", 201, answer.status)?;
    let task = payer.until("a Task to be over", || async {
        let task = payer.get_json(&format!("/fhir/Task/{id}")).await?;
        let is_over = ["completed", "failed", "rejected"].contains(&word(&task, "status"));
        Ok(is_over.then_some(task))
    });
    let task = task.await?;
    console.row("", &format!("then {}", word(&task, "status")))?;
    Ok((task, asked.elapsed()))
}

/// The statuses of the provider's one Task so far, oldest first.
async fn steps(provider: &Gateway) -> Result<Vec<String>, DemoError> {
    let history = provider.get_json("/fhir/Task/_history?_count=50").await?;
    let versions = resources(&history);
    Ok(versions.iter().rev().map(|version| word(version, "status").to_owned()).collect())
}

fn compare(console: &mut Console, document: &Document, attached: &Bytes) -> Result<(), DemoError> {
    let (name, length) = (document.name, document.bytes.len() as u64);
    let claim = format!("{name} is at the payer byte for byte, {}", bytes(length));
    console.check(&claim, true, attached == document.bytes)
}

fn resources(bundle: &Value) -> Vec<&Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| &entry["resource"]).collect()
}

fn word<'v>(resource: &'v Value, element: &str) -> &'v str {
    resource[element].as_str().unwrap_or_default()
}

fn purpose(code: &str) -> Value {
    json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code }] })
}

fn text(name: &str, element: &str, value: impl Into<Value>) -> Value {
    json!({ "name": name, element: value.into() })
}

/// A reference or path with the id in it cut short, so that it fits on a line.
fn short(text: &str) -> String {
    let id = text.split(['/', '=', '&', '?']).find(|part| part.len() == 36);
    id.map_or_else(|| text.to_owned(), |id| short_ids(text, id))
}
