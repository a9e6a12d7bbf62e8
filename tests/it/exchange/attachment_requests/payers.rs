//! What a payer's endpoint can do to a submission, and who is sent one at all.

use serde_json::json;

use super::*;
use crate::support::endpoint::Reply;

/// A provider with one document of one member, and retries that do not wait.
fn furnished(payer: &str) -> Gateway {
    let provider = provider_with(payer, &[("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[0, 0, 0, 0]")]);
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    provider
}

fn outcome(code: &str, text: &str) -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, "details": {"text": text}}]})
}

#[test]
fn a_payer_that_is_busy_is_asked_again_with_the_same_body_and_key() {
    let payer = Endpoint::start();
    let provider = furnished(&payer.url());
    payer.answer([Reply::new(503).header("Retry-After", "1"), Reply::new(429), Reply::new(200)]);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_in(&provider, &task, "completed");
    let received = submissions(&payer);
    assert_eq!(received.len(), 3);
    for again in &received[1..] {
        assert_eq!(again.body, received[0].body);
        assert_eq!(again.header("idempotency-key"), received[0].header("idempotency-key"));
    }
}

#[test]
fn what_the_payer_holds_for_a_claim_to_come_is_told_as_held() {
    let payer = Endpoint::start();
    let provider = furnished(&payer.url());
    let text = "The attachments can not be associated with a current claim or prior authorization and are being held \
                for association with a future claim or prior authorization.";
    let held = json!({"resourceType": "OperationOutcome", "issue": [
        {"severity": "information", "code": "informational", "details": {"text": text}},
    ]});
    payer.answer([Reply::new(200).resource(&held)]);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    let completed = task_in(&provider, &task, "completed");
    assert_eq!(completed["businessStatus"]["coding"][0]["code"], "held");
}

#[test]
fn a_payer_that_refuses_fails_the_task_with_codes_and_none_of_its_words() {
    let payer = Endpoint::start();
    let provider = furnished(&payer.url());
    payer.answer([Reply::new(400).resource(&outcome("business-rule", "Amy Shaw is no member"))]);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    let failed = task_in(&provider, &task, "failed");
    let reason = failed["statusReason"]["text"].as_str().expect("a failed Task has a reason");
    assert!(reason.contains("400") && reason.contains("business-rule"), "{reason}");
    assert!(!reason.contains("Shaw"), "{reason}");
    assert_eq!(statuses(&provider, &task)[..3], ["requested", "accepted", "in-progress"]);
    assert_eq!(submissions(&payer).len(), 1);
}

#[test]
fn a_payer_that_is_never_reached_leaves_the_task_to_a_person_who_sends_it_again() {
    let payer = Endpoint::start();
    let provider = furnished(&payer.url());
    payer.answer(vec![Reply::new(500); 4]);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    let held = task_at(&provider, &task, "unreachable");
    assert_eq!(held["status"], "on-hold");
    let before = submissions(&payer).len();
    assert_eq!(before, 4);
    let patch = json!([{"op": "replace", "path": "/status", "value": "in-progress"}]).to_string();
    let patch = Request::new("PATCH", &format!("/fhir/Task/{task}"))
        .header("Content-Type", "application/json-patch+json")
        .body(patch);
    provider.ask(&patch).expect(200);
    task_in(&provider, &task, "completed");
    assert_eq!(submissions(&payer).len(), before + 1);
}

#[test]
fn nothing_is_sent_to_a_server_of_no_partner_and_the_task_says_so() {
    let (payer, stranger) = (Endpoint::start(), Endpoint::start());
    let provider = furnished(&payer.url());
    let task = create(&provider, &request(&stranger.url(), "M1", "T1", &[PROGRESS_NOTE]));
    let held = task_at(&provider, &task, "no-partner");
    assert_eq!(held["status"], "on-hold");
    assert_eq!(statuses(&provider, &task), ["requested", "accepted", "in-progress", "on-hold"]);
    assert!(stranger.received().is_empty() && payer.received().is_empty());
}

#[test]
fn under_review_nothing_happens_until_a_person_accepts() {
    let payer = Endpoint::start();
    let provider = provider_with(&payer.url(), &[("CDEX_POLICY__TASKS", "review")]);
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    // Answered after the first one was looked at: errands are taken in their order.
    let other = create(&provider, &request(&payer.url(), "M1", "T2", &[PROGRESS_NOTE]));
    let accept = json!([{"op": "replace", "path": "/status", "value": "accepted"}]).to_string();
    let accept = Request::new("PATCH", &format!("/fhir/Task/{other}"))
        .header("Content-Type", "application/json-patch+json")
        .body(accept);
    provider.ask(&accept).expect(200);
    task_in(&provider, &other, "completed");
    assert_eq!(statuses(&provider, &task), ["requested"]);
    assert_eq!(submissions(&payer).len(), 1);
}

#[test]
fn a_request_that_lacks_what_an_answer_needs_is_rejected_by_its_elements() {
    let payer = Endpoint::start();
    let provider = furnished(&payer.url());
    let mut task = request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]);
    // A Task that claims no profile may be kept as it is; where its profile is asked for by its code, it is refused.
    task.as_object_mut().expect("a Task").remove("meta");
    task["contained"][0]["identifier"] = json!([{"system": MEMBERS, "value": "M1"}]);
    let answer = provider.ask(&sending("POST", "Task", &task));
    if answer.status == 422 {
        return;
    }
    let id = answer.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let rejected = task_in(&provider, &id, "rejected");
    let reason = rejected["statusReason"]["text"].as_str().expect("a rejected Task has a reason");
    assert!(reason.contains("Task.contained.where(id='patient').identifier"), "{reason}");
    assert!(payer.received().is_empty());
}

#[test]
fn the_submission_is_an_upload_whose_trail_can_be_asked_for() {
    let payer = Endpoint::start();
    let provider = furnished(&payer.url());
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_in(&provider, &task, "completed");
    let sent = crate::support::rows::texts(&provider, "SELECT upload_id FROM attachment_answer");
    let [upload] = &sent[..] else { panic!("one answer: {sent:?}") };
    let info = provider.wait_delivered(upload, 1);
    assert_eq!(info["manifest"]["data_stream_id"], "cdex");
    assert_eq!(info["manifest"]["data_stream_route"], "submission");
    assert!(!info.to_string().contains("M1"), "no member's number in what everybody sees: {info}");
}
