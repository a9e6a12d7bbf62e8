//! Each invariant on elements that keep it and elements that break it.

use serde_json::{Value, json};

use super::super::surroundings::Surroundings;
use super::find;

fn coded(codes: &[&str]) -> Value {
    let codings: Vec<Value> = codes.iter().map(|code| json!({ "code": code })).collect();
    json!({ "coding": codings })
}

fn task(code: &str, inputs: &[&str]) -> Value {
    let inputs: Vec<Value> = inputs.iter().map(|code| json!({ "type": coded(&[code]) })).collect();
    json!({ "code": coded(&[code]), "input": inputs })
}

fn ended(code: &str, status: &str, outputs: &[&str]) -> Value {
    let outputs: Vec<Value> = outputs.iter().map(|code| json!({ "type": coded(&[code]) })).collect();
    json!({ "code": coded(&[code]), "status": status, "output": outputs })
}

fn hrex_task(codes: &[&str]) -> Value {
    let system = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp";
    let input = |code: &&str| json!({ "type": { "coding": [{ "system": system, "code": code }] } });
    json!({ "input": codes.iter().map(input).collect::<Vec<Value>>() })
}

fn response(items: &Value) -> Value {
    json!({ "item": items })
}

/// A key, the path of the element that it is about, such an element, and whether it keeps the invariant.
type Case = (&'static str, &'static str, Value, bool);

fn check(cases: Vec<Case>) {
    let container = json!({ "contained": [{ "resourceType": "Device", "id": "device" }] });
    for (key, path, element, expected) in cases {
        let holds = find(key, path).unwrap_or_else(|| panic!("{key} at {path}"));
        assert_eq!(holds(&element, &Surroundings::of(&container)), expected, "{key}: {element}");
    }
}

#[test]
fn the_invariants_of_cdex_hold_where_they_should_and_nowhere_else() {
    let claim = json!({ "reasonCode": coded(&["claim"]) });
    let dated_claim =
        json!({ "reasonCode": coded(&["claim"]), "input": [{ "type": coded(&["service-date"]) }] });
    check(vec![
        ("cdex-1", "Task", claim, false),
        ("cdex-1", "Task", dated_claim, true),
        ("cdex-1", "Task", json!({ "reasonCode": coded(&["preauthorization"]) }), true),
        ("cdex-2", "Task.input.value[x]", json!("2025-05-05"), true),
        ("cdex-2", "Task.input.value[x]", json!("2025-05"), false),
        ("cdex-3", "PractitionerRole", json!({}), false),
        ("cdex-3", "PractitionerRole", json!({ "practitioner": { "reference": "1" } }), false),
        ("cdex-3", "PractitionerRole", json!({ "practitioner": { "identifier": {} } }), true),
        ("cdex-3", "PractitionerRole", json!({ "organization": { "identifier": {} } }), true),
        ("cdex-4", "Task", task("attachment-request-code", &[]), false),
        ("cdex-4", "Task", task("attachment-request-code", &["attachments-needed"]), true),
        ("cdex-4", "Task", task("other", &[]), true),
        ("cdex-5", "Task", task("attachment-request-questionnaire", &["attachments-needed"]), false),
        ("cdex-5", "Task", task("attachment-request-questionnaire", &["questionnaire-context"]), true),
        ("cdex-6", "Task", task("x", &["attachments-needed", "questionnaire-context"]), false),
        ("cdex-6", "Task", task("x", &["attachments-needed", "attachments-needed"]), true),
        ("cdex-7", "Task", task("data-request-code", &["data-query"]), false),
        ("cdex-7", "Task", task("data-request-code", &["data-code"]), true),
        ("cdex-8", "Task", task("data-request-questionnaire", &["data-code"]), false),
        ("cdex-8", "Task", task("data-request-questionnaire", &["questionnaire"]), true),
        ("cdex-9", "Task", task("x", &[]), false),
        ("cdex-9", "Task", task("x", &["data-query", "signature-flag"]), true),
        ("cdex-9", "Task", task("x", &["data-query", "questionnaire"]), false),
        ("cdex-9", "Task", json!({ "input": [{ "type": coded(&["data-query", "data-code"]) }] }), false),
        ("cdex-10", "Task", ended("attachment-request-questionnaire", "completed", &[]), false),
        ("cdex-10", "Task", ended("attachment-request-questionnaire", "failed", &[]), true),
        (
            "cdex-10",
            "Task",
            ended("attachment-request-questionnaire", "completed", &["questionnaire-context"]),
            true,
        ),
        ("cdex-11", "Task", ended("data-request-questionnaire", "completed", &["data-value"]), false),
        (
            "cdex-11",
            "Task",
            ended("data-request-questionnaire", "completed", &["questionnaire-response"]),
            true,
        ),
        ("cdex-12", "Task", task("data-request-query", &["data-code"]), false),
        ("cdex-12", "Task", task("data-request-query", &["data-query"]), true),
    ]);
}

#[test]
fn the_invariants_of_hrex_and_us_core_hold_where_they_should_and_nowhere_else() {
    let answered = json!({ "linkId": "1", "answer": [{ "valueString": "a" }] });
    let member =
        json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] });
    let absent = json!([{ "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason" }]);
    let birth_sex = json!([{ "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex" }]);
    check(vec![
        ("tdr-1", "Task", hrex_task(&["data-query"]), true),
        ("tdr-1", "Task", hrex_task(&["data-query", "data-code"]), false),
        ("tdr-1", "Task", task("x", &["data-query"]), false),
        ("tdr-2", "Task", json!({ "status": "rejected" }), false),
        ("tdr-2", "Task", json!({ "status": "failed" }), false),
        ("tdr-2", "Task", json!({ "status": "failed", "statusReason": {} }), true),
        ("tdr-2", "Task", json!({ "status": "completed" }), true),
        ("tdr-3", "Task", json!({ "status": "completed" }), false),
        ("tdr-3", "Task", json!({ "status": "completed", "output": [] }), true),
        ("tdr-3", "Task", json!({ "status": "failed" }), true),
        ("hrex-pat-1", "Patient", json!({}), false),
        ("hrex-pat-1", "Patient", json!({ "_gender": {} }), true),
        ("hrex-pat-1", "Patient", json!({ "extension": birth_sex }), true),
        ("hrex-pat-1", "Patient", json!({ "extension": absent }), false),
        ("sdcqr-1", "QuestionnaireResponse", json!({}), false),
        ("sdcqr-1", "QuestionnaireResponse", json!({ "subject": {} }), true),
        ("sdcqr-2", "QuestionnaireResponse", response(&json!([answered, answered])), false),
        ("sdcqr-2", "QuestionnaireResponse", response(&json!([{ "linkId": "1" }, answered])), true),
        ("sdcqr-2", "QuestionnaireResponse", response(&json!([answered, { "item": [answered] }])), true),
        ("sdcqr-2", "QuestionnaireResponse", response(&json!([{ "item": [answered, answered] }])), false),
        (
            "sdcqr-2",
            "QuestionnaireResponse",
            response(&json!([{ "answer": [{ "item": [answered, answered] }] }])),
            false,
        ),
        ("us-core-1", "Observation.effective[x]", json!("2025-05"), false),
        ("us-core-1", "Observation.effective[x]", json!("2025-05-05"), true),
        ("us-core-1", "Observation.effective[x]", json!({ "start": "2025" }), true),
        ("us-core-2", "Observation", json!({}), false),
        ("us-core-2", "Observation", json!({ "valueString": "a" }), true),
        ("us-core-2", "Observation", json!({ "dataAbsentReason": {} }), true),
        ("us-core-2", "Observation", json!({ "hasMember": [] }), true),
        ("us-core-6", "Patient.name", json!({ "text": "a" }), false),
        ("us-core-6", "Patient.name", json!({ "given": ["a"] }), true),
        ("us-core-6", "Patient.name", json!({ "extension": absent }), true),
        ("us-core-6", "DocumentReference.content.attachment", json!({ "title": "a" }), false),
        ("us-core-6", "DocumentReference.content.attachment", json!({ "url": "a" }), true),
        ("us-core-7", "Procedure", json!({ "status": "completed" }), false),
        ("us-core-7", "Procedure", json!({ "status": "not-done" }), true),
        ("us-core-7", "Procedure", json!({ "status": "completed", "performedDateTime": "2025" }), true),
        ("us-core-13", "PractitionerRole", json!({ "code": [] }), false),
        ("us-core-13", "PractitionerRole", json!({ "location": [] }), true),
        ("us-core-14", "RelatedPerson", json!({}), false),
        ("us-core-14", "RelatedPerson", json!({ "relationship": [] }), true),
        ("us-core-15", "Coverage", json!({ "identifier": [{ "type": coded(&["MB"]) }] }), false),
        ("us-core-15", "Coverage", json!({ "identifier": [{ "type": member }] }), true),
        ("us-core-15", "Coverage", json!({ "subscriberId": "1" }), true),
        ("us-core-21", "MedicationRequest", json!({ "intent": "order" }), false),
        ("us-core-21", "MedicationRequest", json!({ "intent": "order", "requester": {} }), true),
        ("us-core-21", "MedicationRequest", json!({ "intent": "plan" }), true),
        ("pd-1", "PractitionerRole", json!({}), false),
        ("pd-1", "PractitionerRole", json!({ "endpoint": [] }), true),
        ("provenance-1", "Provenance.agent", json!({ "who": { "reference": "Practitioner/1" } }), false),
        ("provenance-1", "Provenance.agent", json!({ "who": { "reference": "#device" } }), false),
        ("provenance-1", "Provenance.agent", json!({ "who": { "reference": "Organization/1" } }), true),
        ("provenance-1", "Provenance.agent", json!({ "who": { "identifier": {} } }), true),
        (
            "provenance-1",
            "Provenance.agent",
            json!({ "who": { "reference": "Practitioner/1" }, "onBehalfOf": {} }),
            true,
        ),
    ]);
}

#[test]
fn a_key_has_a_function_only_where_it_is_published() {
    for (key, path) in [("cdex-3", "Task"), ("us-core-6", "Patient"), ("cdex-13", "Task"), ("", "")] {
        assert!(find(key, path).is_none(), "{key} {path}");
    }
}
