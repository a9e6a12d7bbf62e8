//! Documents found, linked and pushed: when they are there the Task is answered, and not before.

use serde_json::json;

use super::*;
use crate::support::gateway::for_each_database;

#[test]
fn conf_098_documents_that_are_here_are_submitted_and_the_task_is_completed() {
    let payer = Endpoint::start();
    let payer_url = payer.url();
    let submit_url = format!("{payer_url}/fhir/$submit-attachment");
    let settings = [
        ("CDEX_PARTNER__PAYER__SUBMIT_URL", &*submit_url),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
    ];
    let mut count = 0;
    for_each_database(&settings, |provider| {
        let patient = create(&provider, &member("M1"));
        let note = create(&provider, &document(&patient, PROGRESS_NOTE, b"%PDF-1.4 a note"));
        // Another type, another patient, and one that was superseded: none of these is asked for.
        create(&provider, &document(&patient, "18842-5", b"a discharge summary"));
        let other = create(&provider, &member("M2"));
        create(&provider, &document(&other, PROGRESS_NOTE, b"somebody else's"));
        let mut superseded = document(&patient, PROGRESS_NOTE, b"superseded");
        superseded["status"] = "superseded".into();
        create(&provider, &superseded);

        let task = create(&provider, &request(&payer_url, "M1", "T1", &[PROGRESS_NOTE]));
        let completed = task_in(&provider, &task, "completed");
        assert_eq!(statuses(&provider, &task)[..3], ["requested", "accepted", "in-progress"]);
        assert_eq!(completed["businessStatus"]["coding"][0]["code"], "submitted");
        let output = &completed["output"];
        assert_eq!(output[0]["valueReference"]["reference"], format!("DocumentReference/{note}"));
        assert_eq!(output[0]["type"]["coding"][0]["code"], "attachments-needed");
        assert_eq!(output.as_array().map(Vec::len), Some(1));

        count += 1;
        let received = submissions(&payer);
        assert_eq!(received.len(), count);
        let received = &received[count - 1];
        assert_eq!(received.header("content-type"), Some(FHIR));
        assert!(received.header("idempotency-key").is_some());
        let submission = received.json();
        for (name, value) in [("TrackingId", "T1"), ("PayerId", "Payer123"), ("MemberId", "M1")] {
            assert_eq!(parameter(&submission, name).map(|id| &id["value"]), Some(&json!(value)), "{name}");
        }
        for (name, value) in [("OrganizationId", "1407071236"), ("ProviderId", "9941339108")] {
            assert_eq!(parameter(&submission, name).map(|id| &id["value"]), Some(&json!(value)), "{name}");
        }
        assert_eq!(parameter(&submission, "AttachTo"), Some(&json!("claim")));
        assert_eq!(parameter(&submission, "ServiceDate"), Some(&json!("2026-03-14")));
        assert_eq!(parameter(&submission, "Final"), Some(&json!(true)));
        let [(line, code, content)] = attachments(&submission)[..] else { panic!("{submission}") };
        assert_eq!((line, code), (Some("1"), Some(PROGRESS_NOTE)));
        assert_eq!(bytes_of(content), b"%PDF-1.4 a note");
    });
}

#[test]
fn bytes_of_any_length_go_along_whether_they_came_inline_as_binary_or_by_tus() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));
    let long: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    create(&provider, &document(&patient, PROGRESS_NOTE, &long));

    let binary =
        Request::new("POST", "/fhir/Binary").header("Content-Type", "image/png").body(long[7..].to_vec());
    let binary = provider.ask(&binary).expect(201).json()["id"].as_str().expect("an id").to_owned();
    let mut by_reference = document(&patient, OPERATION_NOTE, b"");
    by_reference["content"] = json!([
        {"attachment": {"contentType": "image/png", "url": format!("Binary/{binary}")}},
        {"attachment": {"contentType": "text/plain", "url": "https://files.example.org/elsewhere.txt"}},
    ]);
    create(&provider, &by_reference);

    let task = request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE, OPERATION_NOTE]);
    let task = create(&provider, &task);
    task_in(&provider, &task, "completed");
    let submission = submissions(&payer)[0].json();
    let [(_, _, note), (line, code, referred)] = attachments(&submission)[..] else {
        panic!("two attachments")
    };
    assert!(bytes_of(note) == long, "the bytes are those that were pushed");
    assert_eq!(note["content"][0]["attachment"]["size"], long.len());
    assert_eq!((line, code), (Some("2"), Some(OPERATION_NOTE)));
    assert!(bytes_of(referred) == long[7..], "the bytes of the Binary come along");
    assert_eq!(referred["content"][1]["attachment"]["url"], "https://files.example.org/elsewhere.txt");
}

#[test]
fn a_task_waits_for_what_is_missing_and_goes_on_when_it_comes() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE, OPERATION_NOTE]));
    let waiting = task_at(&provider, &task, "waiting-for-documents");
    assert_eq!(waiting["status"], "in-progress");
    let told = waiting["businessStatus"]["text"].as_str().expect("a text");
    assert!(told.contains("Task.input[3]") && !told.contains("Task.input[2]"), "{told}");
    assert!(payer.received().is_empty(), "one submission, when all is there");

    create(&provider, &document(&patient, "18842-5", b"not asked for"));
    create(&provider, &document(&patient, OPERATION_NOTE, b"an operation"));
    task_in(&provider, &task, "completed");
    let received = submissions(&payer);
    assert_eq!(received.len(), 1);
    assert_eq!(attachments(&received[0].json()).len(), 2);
    assert_eq!(statuses(&provider, &task).iter().filter(|status| *status == "completed").count(), 1);
}

#[test]
fn what_somebody_links_goes_before_what_would_be_found() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));

    // Linked as an output, although its type is another.
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_at(&provider, &task, "waiting-for-documents");
    let chosen = create(&provider, &document(&patient, "local-note", b"chosen"));
    link(&provider, &task, "attachments-needed", &format!("DocumentReference/{chosen}"));
    let completed = task_in(&provider, &task, "completed");
    assert_eq!(completed["output"].as_array().map(Vec::len), Some(1), "what was linked is not linked twice");
    let submission = submissions(&payer)[0].json();
    let [(_, code, content)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert_eq!((code, &*bytes_of(content)), (Some(PROGRESS_NOTE), &b"chosen"[..]));

    // Named by the document itself: by the tracking id, and by the Task's id.
    for (number, tracking) in [(1, "T2"), (2, "T3")] {
        let task = create(&provider, &request(&payer.url(), "M1", tracking, &[OPERATION_NOTE]));
        task_at(&provider, &task, "waiting-for-documents");
        let mut meant = document(&patient, "local-note", tracking.as_bytes());
        meant["context"] = match number {
            1 => {
                json!({"related": [{"identifier": {"system": "http://payer.example.org/tracking", "value": tracking}}]})
            }
            _ => json!({"related": [{"reference": format!("Task/{task}")}]}),
        };
        create(&provider, &meant);
        task_in(&provider, &task, "completed");
        let submission = submissions(&payer)[number].json();
        let [(_, code, content)] = attachments(&submission)[..] else { panic!("{submission}") };
        assert_eq!((code, &*bytes_of(content)), (Some(OPERATION_NOTE), tracking.as_bytes()));
    }
}

#[test]
fn documents_about_the_day_of_service_are_taken_before_others() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));
    for (day, text) in [("2026-03-14", "that day"), ("2026-05-01", "later")] {
        let mut note = document(&patient, PROGRESS_NOTE, text.as_bytes());
        note["context"] =
            json!({"period": {"start": format!("{day}T09:00:00Z"), "end": format!("{day}T10:00:00Z")}});
        note["date"] = format!("{day}T12:00:00Z").into();
        create(&provider, &note);
    }
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_in(&provider, &task, "completed");
    let submission = submissions(&payer)[0].json();
    let [(_, _, content)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert_eq!(bytes_of(content), b"that day");
}

#[test]
fn where_several_submissions_are_allowed_what_is_ready_goes_first_and_the_last_says_so() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"first"));
    let task = with_flag(
        request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE, OPERATION_NOTE]),
        "multiple-submits-flag",
    );
    let task = create(&provider, &task);
    let in_part = task_at(&provider, &task, "submitted-in-part");
    assert_eq!(in_part["status"], "in-progress");
    assert_eq!(in_part["output"].as_array().map(Vec::len), Some(1));

    create(&provider, &document(&patient, OPERATION_NOTE, b"second"));
    let completed = task_in(&provider, &task, "completed");
    assert_eq!(completed["output"].as_array().map(Vec::len), Some(2));
    let submitted: Vec<_> = submissions(&payer).iter().map(Received::json).collect();
    let finals: Vec<_> = submitted.iter().map(|submission| parameter(submission, "Final")).collect();
    assert_eq!(finals, [Some(&json!(false)), Some(&json!(true))]);
    let bytes: Vec<_> = submitted.iter().map(|submission| bytes_of(attachments(submission)[0].2)).collect();
    assert_eq!(bytes, [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn conf_099_a_form_is_answered_by_a_person_and_sent_when_it_is_complete() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let canonical = "http://payer.example.org/Questionnaire/oxygen";
    let task = create(&provider, &form_request(&payer.url(), "M1", "T1", canonical));
    let response = |status: &str| {
        json!({"resourceType": "QuestionnaireResponse", "questionnaire": format!("{canonical}|2"), "status": status,
            "subject": {"identifier": {"system": MEMBERS, "value": "M1"}}})
    };
    let id = create(&provider, &response("in-progress"));
    assert_eq!(read(&provider, &format!("Task/{task}"))["status"], "requested", "a form waits for a person");
    link(&provider, &task, "questionnaire-context", &format!("QuestionnaireResponse/{id}"));
    task_at(&provider, &task, "waiting-for-documents");
    assert!(payer.received().is_empty());
    put(&provider, &id, &response("completed"));
    let done = task_in(&provider, &task, "completed");
    assert_eq!(done["output"].as_array().map(Vec::len), Some(1));
    let submission = submissions(&payer)[0].json();
    let [(_, code, content)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert_eq!(code, None, "the content names the form");
    assert_eq!((&content["resourceType"], &content["id"]), (&json!("QuestionnaireResponse"), &json!(id)));
}

#[test]
fn conf_026_what_the_task_or_the_form_wants_signed_is_not_sent_without_a_signature() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let plain = "http://payer.example.org/Questionnaire/plain";
    let signed = "http://payer.example.org/Questionnaire/signed";
    create(
        &provider,
        &json!({"resourceType": "Questionnaire", "url": signed, "status": "active", "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-signatureRequired",
            "valueCodeableConcept": {"coding": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5"}]},
        }]}),
    );
    let by_task = with_flag(form_request(&payer.url(), "M1", "T1", plain), "signature-flag");
    let by_form = form_request(&payer.url(), "M1", "T2", signed);
    for (number, (task, canonical)) in [(by_task, plain), (by_form, signed)].into_iter().enumerate() {
        let task = create(&provider, &task);
        let mut response = json!({"resourceType": "QuestionnaireResponse", "questionnaire": canonical, "status": "completed"});
        let id = create(&provider, &response);
        link(&provider, &task, "questionnaire-context", &format!("QuestionnaireResponse/{id}"));
        task_at(&provider, &task, "waiting-for-signature");
        assert_eq!(submissions(&payer).len(), number);
        response["extension"] = json!([{
            "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature",
            "valueSignature": {
                "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5"}],
                "when": "2026-04-01T10:00:00Z",
                "who": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339108"}},
                "data": "eA==",
            },
        }]);
        put(&provider, &id, &response);
        task_in(&provider, &task, "completed");
        assert_eq!(submissions(&payer).len(), number + 1);
    }
    // A document has its signature inside: it passes.
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"%PDF signed by hand"));
    let task = with_flag(request(&payer.url(), "M1", "T3", &[PROGRESS_NOTE]), "signature-flag");
    task_in(&provider, &create(&provider, &task), "completed");
}
