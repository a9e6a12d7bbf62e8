//! Two gateways: what a person at the provider puts into the Task is at the payer in the end, once.

use super::*;
use crate::support::content::base64;

#[test]
fn what_a_person_answers_is_collected_with_its_provenance() {
    let (provider, payer) = pair();
    let id = request_text(&payer);
    let condition = create(&provider, &condition("Patient/1"));
    complete(&provider, &[&condition], None);
    let copy = wait_status(&payer, &id, "completed");
    let outputs = outputs(&copy);
    assert_eq!(outputs.len(), 1);
    assert_ne!(outputs[0], condition);
    let ours = read(&payer, &outputs[0]);
    assert_eq!(ours["code"], read(&provider, &condition)["code"]);
    let provenance =
        search(&payer, &format!("Provenance?target={}", outputs[0])).pop().expect("there is one");
    let validated = payer.ask(&sending("POST", "Provenance/$validate", &provenance)).expect(200).text();
    assert!(!validated.contains("\"severity\":\"error\""), "{validated}");
    assert_eq!(provenance["agent"][0]["who"]["identifier"]["value"], "1234567893");
}

#[test]
fn a_query_and_a_code_are_answered_without_a_person() {
    let (provider, payer) = pair();
    let patient = create(&provider, &json!({ "resourceType": "Patient", "identifier": [member()] }));
    create(&provider, &condition(&patient));
    create(
        &provider,
        &json!({
            "resourceType": "DocumentReference", "status": "current", "subject": { "reference": patient },
            "type": { "coding": [{ "system": "http://loinc.org", "code": "11506-3" }] },
            "content": [{ "attachment": { "contentType": "text/plain", "data": base64("a short note") } }],
        }),
    );
    let member = parameter("member-id", "valueIdentifier", member());
    let loinc = json!({ "coding": [{ "system": "http://loinc.org", "code": "11506-3" }] });
    for (wanted, kind, pointer, value) in [
        (
            parameter("query", "valueString", "Condition?patient=x"),
            "Condition",
            "/code/coding/0/code",
            "38341003",
        ),
        (
            parameter("code", "valueCodeableConcept", loinc),
            "DocumentReference",
            "/content/0/attachment/data",
            &*base64("a short note"),
        ),
    ] {
        let copy = request(&payer, &[member.clone(), wanted]).expect(201).json();
        let copy = wait_status(&payer, copy["id"].as_str().expect("an id"), "completed");
        let outputs = outputs(&copy);
        assert_eq!(outputs.len(), 1, "{copy}");
        assert!(outputs[0].starts_with(kind), "{outputs:?}");
        assert_eq!(read(&payer, &outputs[0]).pointer(pointer), Some(&json!(value)));
    }
    let nothing = parameter("query", "valueString", "Observation?patient=x");
    let copy = request(&payer, &[member, nothing]).expect(201).json();
    let copy = wait_status(&payer, copy["id"].as_str().expect("an id"), "failed");
    assert!(copy["statusReason"]["text"].is_string(), "{copy}");
}

#[test]
fn documents_come_with_their_bytes_short_and_long_and_by_url() {
    let (provider, payer) = pair();
    let id = request_text(&payer);
    let long: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let document = |attachment: Value| {
        json!({
            "resourceType": "DocumentReference", "status": "current",
            "type": { "coding": [{ "system": "http://loinc.org", "code": "11506-3" }] },
            "content": [{ "attachment": attachment }],
        })
    };
    // The long one becomes a Binary at the provider, and is named by its URL there.
    let documents = [
        document(json!({ "contentType": "text/plain", "data": base64("a short note") })),
        document(json!({ "contentType": "application/pdf", "data": base64(&long) })),
    ];
    let documents = documents.map(|document| create(&provider, &document));
    complete(&provider, &documents.each_ref().map(String::as_str), None);
    let copy = wait_status(&payer, &id, "completed");
    let outputs = outputs(&copy);
    assert_eq!(outputs.len(), 2);
    let short = read(&payer, &outputs[0]);
    assert_eq!(short["content"][0]["attachment"]["data"], base64("a short note"));
    let url =
        read(&payer, &outputs[1])["content"][0]["attachment"]["url"].as_str().expect("a URL").to_owned();
    let answer = payer.ask(&Request::new("GET", &format!("/fhir/{url}")).header("Accept", "application/pdf"));
    assert!(answer.expect(200).body == long, "the bytes are not the same");
    assert_eq!(search(&payer, &format!("Provenance?target={url}")).len(), 1);
}

#[test]
fn a_rejection_is_told_with_its_reason() {
    let (provider, payer) = pair();
    let id = request_text(&payer);
    let mut task = task_of(&provider);
    task["status"] = "rejected".into();
    task["statusReason"] = json!({ "text": "Not our patient" });
    let path = format!("Task/{}", task["id"].as_str().expect("an id"));
    provider.ask(&sending("PUT", &path, &task)).expect(200);
    let copy = wait_status(&payer, &id, "rejected");
    assert_eq!(copy["statusReason"]["text"], "Not our patient");
}

#[test]
fn a_notification_has_a_task_looked_at_now() {
    let provider = Gateway::start();
    let hour = [("CDEX_POLICY__POLLING__FIRST_SECS", "3600"), ("CDEX_POLICY__POLLING__EVERY_SECS", "3600")];
    let payer = payer_of(&format!("{}/fhir", provider.url()), &hour);
    let id = request_text(&payer);
    let condition = create(&provider, &condition("Patient/1"));
    complete(&provider, &[&condition], None);
    wait::until("the copy to be sent", || {
        (read(&payer, &format!("Task/{id}"))["businessStatus"]["text"] == "Sent to the partner").then_some(())
    });
    let task = task_of(&provider);
    let place = format!("{}/fhir/Task/{}", provider.url(), task["id"].as_str().expect("an id"));
    let notification = json!({ "resourceType": "Bundle", "type": "history", "entry": [
        { "fullUrl": place, "request": { "method": "PUT", "url": place }, "response": { "status": "200" } }] });
    payer.ask(&sending("POST", "Task/$notify", &notification)).expect(200);
    assert_eq!(outputs(&wait_status(&payer, &id, "completed")).len(), 1);
}

#[test]
fn a_request_comes_through_once_although_both_sides_die_in_between() {
    let (mut provider, mut payer) = pair();
    provider.kill();
    let id = request_text(&payer);
    payer.kill();
    payer.launch();
    provider.launch();
    let condition = create(&provider, &condition("Patient/1"));
    task_of(&provider);
    payer.kill();
    complete(&provider, &[&condition], None);
    payer.launch();
    // Not at each look: a slow machine would be killed before it gets any further.
    let mut kills = 3;
    wait::until("the outputs to be collected", || {
        let copy = read(&payer, &format!("Task/{id}"));
        let is_collecting =
            copy["businessStatus"]["text"].as_str().is_some_and(|text| text.contains("being collected"));
        if is_collecting && kills > 0 {
            kills -= 1;
            payer.kill();
            payer.launch();
        }
        (copy["status"] == "completed").then_some(())
    });
    assert_eq!(search(&provider, "Task").len(), 1);
    assert_eq!(search(&payer, "Condition").len(), 1);
    assert_eq!(search(&payer, "Provenance").len(), 1);
    assert_eq!(search(&payer, "Task").len(), 1);
}
