//! What waits for people: free text, forms, reviews, and Tasks that are overdue.

use serde_json::{Value, json};

use super::{
    CDEX, HREX, create, found, free_text, input, member, output, put, query, read, refused, sending, steps,
    wait_for,
};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;
use crate::support::wait;

#[test]
fn free_text_waits_in_the_queue_until_a_person_answers_it() {
    for_each_database(&[], |gateway| {
        let patient = member(&gateway, "m");
        let mut task = free_text("m");
        task["meta"] = json!({ "tag": [{ "system": CDEX, "code": "claims-processing" }] });
        let id = create(&gateway, &task);
        // One that the gateway answers shows that it has had its turn.
        let other = create(&gateway, &query("m", "Condition"));
        wait_for(&gateway, &other, "completed");
        let queue = read(&gateway, &format!("Task?status=requested&_tag={CDEX}|claims-processing"));
        assert_eq!(found(&queue, "match").iter().map(|task| &task["id"]).collect::<Vec<_>>(), [&json!(id)]);

        let condition = read(&gateway, &format!("Condition?patient={patient}&_count=1"));
        let condition = found(&condition, "match")[0]["id"].clone();
        for status in ["accepted", "in-progress", "on-hold", "in-progress"] {
            let mut next = read(&gateway, &format!("Task/{id}"));
            next["status"] = json!(status);
            put(&gateway, &next).expect(200);
        }
        let mut done = read(&gateway, &format!("Task/{id}"));
        done["status"] = json!("completed");
        done["output"] = json!([{
            "type": { "coding": [{ "system": HREX, "code": "data-value" }] },
            "valueReference": { "reference": format!("Condition/{}", condition.as_str().unwrap_or_default()) },
        }]);
        put(&gateway, &done).expect(200);
        let expected = ["requested", "accepted", "in-progress", "on-hold", "in-progress", "completed"];
        assert_eq!(steps(&gateway, &id), expected);
    });
}

#[test]
fn what_must_be_signed_waits_where_nothing_can_sign() {
    let gateway = Gateway::start();
    member(&gateway, "m");
    let mut task = query("m", "Condition");
    if let Some(inputs) = task["input"].as_array_mut() {
        inputs.push(input((CDEX, "signature-flag"), "valueBoolean", json!(true)));
    }
    let id = create(&gateway, &task);
    wait::until("the agenda to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
    assert_eq!(steps(&gateway, &id), ["requested"]);
}

#[test]
fn under_review_the_gateway_answers_once_a_person_has_accepted() {
    for_each_database(&[("CDEX_POLICY__TASKS", "review")], |gateway| {
        member(&gateway, "m");
        let id = create(&gateway, &query("m", "Condition?clinical-status=active"));
        wait::until("the agenda to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
        assert_eq!(steps(&gateway, &id), ["requested"]);
        let mut next = read(&gateway, &format!("Task/{id}"));
        next["status"] = json!("accepted");
        put(&gateway, &next).expect(200);
        let answered = wait_for(&gateway, &id, "completed");
        assert_eq!(steps(&gateway, &id), ["requested", "accepted", "in-progress", "completed"]);
        assert_eq!(found(&read(&gateway, &output(&answered)), "match").len(), 2);

        let id = create(&gateway, &query("m", "Condition"));
        let mut next = read(&gateway, &format!("Task/{id}"));
        next["status"] = json!("rejected");
        assert_eq!(refused(&put(&gateway, &next), 422)[0].0, "invariant");
        next["statusReason"] = json!({ "text": "no agreement" });
        put(&gateway, &next).expect(200);
    });
}

#[test]
fn a_partner_may_have_a_policy_of_its_own() {
    let gateway = Gateway::with(&[
        ("CDEX_PARTNER__ACME__IDENTIFIERS", "[\"http://example.org/cdex/payer/payer-ids|Payer123\"]"),
        ("CDEX_PARTNER__ACME__POLICY__TASKS", "review"),
    ]);
    member(&gateway, "m");
    let waits = create(&gateway, &query("m", "Condition"));
    let mut other = query("m", "Condition");
    other["requester"]["identifier"]["value"] = json!("Payer456");
    let other = create(&gateway, &other);
    wait_for(&gateway, &other, "completed");
    wait::until("the agenda to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
    assert_eq!(steps(&gateway, &waits), ["requested"]);
}

#[test]
fn a_task_that_is_not_answered_in_time_is_found_by_its_tag() {
    for_each_database(&[], |gateway| {
        member(&gateway, "m");
        let due = |end: &str| {
            let mut task = free_text("m");
            task["restriction"] = json!({ "period": { "end": end } });
            create(&gateway, &task)
        };
        let (late, early) = (due("2022-06-21"), due("2200-01-01"));
        let page = wait::until("the tag", || {
            let page = read(&gateway, "Task?_tag=overdue&status=requested");
            (page["total"] == 1).then_some(page)
        });
        let task = found(&page, "match")[0];
        assert_eq!((&task["id"], &task["meta"]["versionId"]), (&json!(late), &json!("2")));
        assert_eq!(read(&gateway, &format!("Task/{early}"))["meta"]["versionId"], "1");
        // It was late, whatever comes then.
        let mut next = task.clone();
        next["status"] = json!("rejected");
        next["statusReason"] = json!({ "text": "too late" });
        next["meta"] = Value::Null;
        if let Some(next) = next.as_object_mut() {
            next.remove("meta");
        }
        put(&gateway, &next).expect(200);
        assert_eq!(read(&gateway, "Task?_tag=overdue&status=rejected")["total"], 1);
        wait::until("nothing but the other one to be still to come", || {
            (rows::count(&gateway, "agenda") == 1).then_some(())
        });
    });
}

#[test]
fn an_authorization_that_must_be_there_and_is_not_leads_to_a_rejection() {
    let authorization = json!({
        "resourceType": "CommunicationRequest", "status": "active",
        "payload": [{ "contentString": "may be disclosed" }],
    });
    let payer = Gateway::start();
    let id = create(&payer, &authorization);
    let here = format!("{}/fhir/CommunicationRequest/{id}", payer.url());
    let gateway = Gateway::with(&[
        ("CDEX_POLICY__AUTHORIZATION", "require"),
        ("CDEX_PARTNER__ACME__FHIR_BASE", &format!("{}/fhir", payer.url())),
        ("CDEX_PARTNER__ACME__PRIVATE_ADDRESSES", "true"),
        ("CDEX_PARTNER__ACME__POLICY__AUTHORIZATION", "require"),
    ]);
    member(&gateway, "m");
    for (reference, status) in [
        (None, "rejected"),
        (Some("http://127.0.0.1:9/fhir/CommunicationRequest/1".to_owned()), "rejected"),
        (Some(format!("{}/fhir/CommunicationRequest/unknown", payer.url())), "rejected"),
        (Some(here.clone()), "completed"),
    ] {
        let mut task = query("m", "Condition");
        if let Some(reference) = &reference {
            task["basedOn"] = json!([{ "reference": reference }]);
        }
        let id = create(&gateway, &task);
        let ended = wait_for(&gateway, &id, status);
        assert_eq!(ended["statusReason"].is_object(), status == "rejected", "{ended}");
    }
    let copies = read(&gateway, "CommunicationRequest?status=active");
    let copies = found(&copies, "match");
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0]["meta"]["source"], here);
    let put_off = sending("GET", "Task?status=requested", &json!({}));
    assert_eq!(gateway.ask(&put_off).expect(200).json()["total"], 0);
}
