//! What `Task/$request` takes, what it keeps and sends, and what it refuses.

use serde_json::json;

use super::foreign::{Foreign, fhir};
use super::*;

#[test]
fn conf_089_the_copy_and_the_task_sent_keep_the_profile_and_the_copy_says_that_it_is_one() {
    let (provider, payer) = pair();
    let id = request_text(&payer);
    let sent = task_of(&provider);
    let copy = wait::until("the copy to follow", || {
        let copy = read(&payer, &format!("Task/{id}"));
        (copy["businessStatus"]["text"] != "Waiting to be sent to the partner").then_some(copy)
    });
    assert_eq!(sent["status"], "requested");
    for element in ["identifier", "code", "input", "authoredOn", "requester", "owner"] {
        assert_eq!(sent[element], copy[element], "{element}");
    }
    assert_eq!(sent["requester"]["identifier"]["value"], "payer-1");
    assert_eq!(sent["owner"]["identifier"]["value"], "1234567893");
    let query = "Task?_tag=urn:cdex-gateway:tags|sent";
    assert_eq!(search(&payer, query).len(), 1);
    assert_eq!(search(&provider, query).len(), 0);
    let profile = sent["meta"]["profile"][0].as_str().expect("it claims one");
    for (gateway, task) in [(&payer, &copy), (&provider, &sent)] {
        let path = format!("Task/$validate?profile={profile}");
        let found = gateway.ask(&sending("POST", &path, task)).expect(200).text();
        assert!(!found.contains("\"severity\":\"error\""), "{found}");
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_and_nothing_is_sent() {
    let provider = Foreign::start(|_, _| fhir(500, &json!({})));
    let payer = payer_of(provider.base(), &[]);
    let text = parameter("text", "valueString", "x");
    let member = parameter("member-id", "valueIdentifier", member());
    for parameters in [
        vec![],
        vec![text.clone()],
        vec![member.clone()],
        vec![member.clone(), text.clone(), parameter("query", "valueString", "Condition?patient=1")],
    ] {
        let answer = request(&payer, &parameters).expect(422);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    let nobody = json!({ "resourceType": "Parameters", "parameter": [
        parameter("partner", "valueString", "nobody"), member, text] });
    payer.ask(&sending("POST", "Task/$request", &nobody)).expect(422);
    payer.get("/fhir/Task/$request?partner=provider").expect(405);
    assert!(search(&payer, "Task").is_empty() && provider.asked().is_empty());
}

#[test]
fn a_request_that_the_partner_refuses_has_failed() {
    let provider =
        Foreign::start(|_, _| fhir(422, &json!({ "resourceType": "OperationOutcome", "issue": [] })));
    let payer = payer_of(provider.base(), &[]);
    let id = request_text(&payer);
    let copy = wait_status(&payer, &id, "failed");
    assert_eq!(copy["statusReason"]["text"], "The partner did not take the request");
    assert_eq!(provider.asked().len(), 1);
}

#[test]
fn conf_098_an_attachment_request_is_sent_for_a_patient_of_ours() {
    let (provider, payer) = pair();
    let patient = create(
        &payer,
        &json!({
            "resourceType": "Patient", "name": [{ "family": "Shaw", "given": ["Amy"] }], "birthDate": "1987-02-20",
            "identifier": [{ "system": "http://example.org/members", "value": "Member123", "type": { "coding": [
                { "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] } }],
        }),
    );
    let loinc = json!({ "coding": [{ "system": "http://loinc.org", "code": "11506-3" }] });
    let claim = json!({ "identifier": { "system": "http://example.org/claims", "value": "Claim123" } });
    let answer = request(
        &payer,
        &[
            parameter(
                "tracking-id",
                "valueIdentifier",
                json!({ "system": "http://example.org/t", "value": "T1" }),
            ),
            parameter("patient", "valueReference", json!({ "reference": patient })),
            parameter("attachment-code", "valueCodeableConcept", loinc),
            parameter("claim", "valueReference", claim),
            parameter("service-date", "valueDate", "2026-01-31"),
            parameter("due", "valueDateTime", "2026-12-31"),
        ],
    );
    let copy = answer.expect(201).json();
    let sent = task_of(&provider);
    assert_eq!(sent["contained"][0]["name"][0]["family"], "Shaw");
    assert_eq!(sent["for"]["reference"], "#patient");
    let payer_url = format!("{}/fhir/$submit-attachment", payer.url());
    assert!(sent["input"].to_string().contains(&payer_url));
    assert_eq!(copy["input"], sent["input"]);
}
