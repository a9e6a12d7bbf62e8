//! The published attachment requests, sent to an endpoint of ours instead of example.org.

use serde_json::json;

use super::*;
use crate::support::environment::shared;

/// A published example as text.
fn published(name: &str) -> Option<String> {
    let file = shared(&format!("cdex/examples/cdex-{name}.json"))?;
    Some(std::fs::read_to_string(file).expect("published files are UTF-8"))
}

/// A published QuestionnaireResponse.
fn response(number: u32) -> Option<Value> {
    let text = published(&format!("questionnaireresponse-example{number}"))?;
    Some(serde_json::from_str(&text).expect("published files are JSON"))
}

/// A published Task whose payer listens here.
fn example(number: u32, payer: &str) -> Option<Value> {
    let text = published(&format!("task-example{number}"))?;
    let text = text.replace(
        "http://example.org/cdex/payer/$submit-attachment",
        &format!("{payer}/fhir/$submit-attachment"),
    );
    Some(serde_json::from_str(&text).expect("published files are JSON"))
}

/// The member whom the guide is about.
fn amy() -> Value {
    let mut patient = member("Member123");
    patient["identifier"][0]["system"] = "http://example.org/cdex/payer/member-ids".into();
    patient
}

#[test]
fn example_19_a_claim_attachment_by_code_is_answered_with_the_progress_note() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let Some(task) = example(19, &payer.url()) else { return };
    let patient = create(&provider, &amy());
    create(&provider, &document(&patient, PROGRESS_NOTE, b"%PDF signed"));
    let task = create(&provider, &task);
    task_in(&provider, &task, "completed");
    let submission = submissions(&payer)[0].json();
    for (name, value) in [
        ("TrackingId", "trackingid123"),
        ("PayerId", "Payer123"),
        ("OrganizationId", "1234567893"),
        ("ProviderId", "9941339100"),
        ("MemberId", "Member123"),
    ] {
        assert_eq!(parameter(&submission, name).map(|id| &id["value"]), Some(&json!(value)), "{name}");
    }
    assert_eq!(parameter(&submission, "ServiceDate"), Some(&json!("2022-06-13")));
    let [(line, code, _)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert_eq!((line, code), (Some("1"), Some(PROGRESS_NOTE)));
}

#[test]
fn example_22_a_form_for_a_prior_authorization_is_answered_when_the_ehr_links_it() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let Some(task) = example(22, &payer.url()) else { return };
    let Some(response) = response(1) else { return };
    put(&provider, "cdex-task-example22", &task);
    put(&provider, "cdex-questionnaireresponse-example1", &response);
    task_at(&provider, "cdex-task-example22", "waiting-for-documents");
    let reference = "QuestionnaireResponse/cdex-questionnaireresponse-example1";
    link(&provider, "cdex-task-example22", "questionnaire-context", reference);
    task_in(&provider, "cdex-task-example22", "completed");
    let submission = submissions(&payer)[0].json();
    assert_eq!(parameter(&submission, "AttachTo"), Some(&json!("preauthorization")));
    let admin = parameter(&submission, "AdminRefNumber").map(|id| &id["value"]);
    assert_eq!(admin, Some(&json!("adminrefnumber4657")));
    let [(line, code, content)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert_eq!((line, code, &content["resourceType"]), (Some("1"), None, &json!("QuestionnaireResponse")));
}

#[test]
fn examples_24_and_25_are_completed_and_nothing_more_is_sent_for_them() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    for number in [24, 25] {
        let Some(task) = example(number, &payer.url()) else { return };
        put(&provider, &format!("cdex-task-example{number}"), &task);
    }
    // What is answered after them shows that they were looked at.
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_in(&provider, &task, "completed");
    assert_eq!(submissions(&payer).len(), 1);
    assert_eq!(statuses(&provider, "cdex-task-example24"), ["completed"]);
    assert_eq!(statuses(&provider, "cdex-task-example25"), ["completed"]);
}

#[test]
fn conf_026_example_28_is_completed_only_with_a_signed_response() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let Some(task) = example(28, &payer.url()) else { return };
    let Some(signed) = response(4) else { return };
    let task = create(&provider, &task);
    let mut unsigned = signed.clone();
    unsigned.as_object_mut().expect("a resource").remove("extension");
    put(&provider, "response", &unsigned);
    link(&provider, &task, "questionnaire-context", "QuestionnaireResponse/response");
    task_at(&provider, &task, "waiting-for-signature");
    put(&provider, "signed", &signed);
    let replaced = json!([{"op": "replace", "path": "/output/0/valueReference/reference", "value": "QuestionnaireResponse/signed"}]);
    let patch = Request::new("PATCH", &format!("/fhir/Task/{task}"));
    provider
        .ask(&patch.header("Content-Type", "application/json-patch+json").body(replaced.to_string()))
        .expect(200);
    task_in(&provider, &task, "completed");
    let submission = submissions(&payer)[0].json();
    let [(_, _, content)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert!(content["extension"].to_string().contains("questionnaireresponse-signature"));
}
