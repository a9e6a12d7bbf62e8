//! The state machine at every door: PUT, PATCH and transactions.

use serde_json::{Value, json};

use super::{SDC, create, free_text, input, put, read, refused, request, sending};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;

const STATUSES: [&str; 7] =
    ["requested", "accepted", "rejected", "in-progress", "on-hold", "completed", "failed"];

fn allowed(from: &str) -> &'static [&'static str] {
    match from {
        "requested" => &["accepted", "rejected", "in-progress", "on-hold", "completed", "failed"],
        "accepted" => &["in-progress", "on-hold", "completed", "failed"],
        "in-progress" => &["on-hold", "completed", "failed"],
        "on-hold" => &["in-progress", "completed", "failed"],
        _ => &[],
    }
}

/// The same Task with a status, and with what the status demands.
fn with_status(task: &Value, status: &str) -> Value {
    let mut task = task.clone();
    task["status"] = json!(status);
    match status {
        "rejected" | "failed" => task["statusReason"] = json!({ "text": "because" }),
        "completed" => {
            let (system, code) = (super::HREX, "data-value");
            let output = json!({
                "type": { "coding": [{ "system": system, "code": code }] },
                "valueReference": { "reference": "http://elsewhere.example/fhir/Bundle/1" },
            });
            task["output"] = json!([output]);
        }
        _ => {}
    }
    task
}

#[test]
fn conf_059_060_061_each_status_is_followed_by_what_the_table_allows() {
    for_each_database(&[], |gateway| {
        for from in STATUSES {
            for to in STATUSES {
                let mut task = with_status(&free_text("m"), from);
                task["id"] = json!(format!("{from}-to-{to}"));
                task["businessStatus"] = json!({ "text": "in review" });
                put(&gateway, &task).expect(201);
                let answer = put(&gateway, &with_status(&task, to));
                if from == to || allowed(from).contains(&to) {
                    let kept = answer.expect(200).json();
                    assert_eq!(
                        (&kept["status"], &kept["businessStatus"]["text"]),
                        (&json!(to), &json!("in review"))
                    );
                    continue;
                }
                let text = answer.text();
                let expected = ("business-rule".to_owned(), "Task.status".to_owned());
                assert_eq!(refused(&answer, 422), [expected], "{from} -> {to}");
                assert!(allowed(from).iter().all(|next| text.contains(next)), "{from} -> {to}: {text}");
                assert_eq!(read(&gateway, &format!("Task/{from}-to-{to}"))["meta"]["versionId"], "1");
            }
        }
    });
}

#[test]
fn conf_059_a_status_of_another_value_set_is_refused_with_what_is_allowed_at_every_door() {
    let gateway = Gateway::start();
    let id = create(&gateway, &free_text("m"));
    let mut task = read(&gateway, &format!("Task/{id}"));
    task["status"] = json!("cancelled");
    let put = sending("PUT", &format!("Task/{id}"), &task);
    let operations = json!([{ "op": "replace", "path": "/status", "value": "cancelled" }]);
    let patch = Request::new("PATCH", &format!("/fhir/Task/{id}"))
        .header("Content-Type", "application/json-patch+json")
        .body(operations.to_string());
    let transaction = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
        { "resource": task, "request": { "method": "PUT", "url": format!("Task/{id}") } },
    ] });
    let post = sending("POST", "Task", &task);
    for request in [put, patch, sending("POST", "", &transaction), post] {
        let answer = gateway.ask(&request);
        assert!(refused(&answer, 422).iter().any(|(code, _)| code == "business-rule"), "{}", answer.text());
        let allowed = "requested may become accepted, rejected, in-progress, on-hold, completed, failed";
        assert!(answer.text().contains(allowed), "{}", answer.text());
    }
    assert_eq!(read(&gateway, &format!("Task/{id}"))["meta"]["versionId"], "1");
}

#[test]
fn a_task_is_created_as_requested_however_it_is_posted() {
    let gateway = Gateway::start();
    let begun = with_status(&free_text("m"), "accepted");
    let expected = vec![("business-rule".to_owned(), "Task.status".to_owned())];
    assert_eq!(refused(&gateway.ask(&sending("POST", "Task", &begun)), 422), expected);
    let conditional = sending("POST", "Task", &begun).header("If-None-Exist", "identifier=urn:x|1");
    assert_eq!(refused(&gateway.ask(&conditional), 422), expected);
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
        { "resource": begun, "request": { "method": "POST", "url": "Task" } },
    ] });
    let answer = gateway.ask(&sending("POST", "", &bundle));
    assert_eq!(
        refused(&answer, 422),
        [("business-rule".to_owned(), "Bundle.entry[0].resource.status".to_owned())]
    );
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": bundle["entry"] });
    let answer = gateway.ask(&sending("POST", "", &batch)).expect(200).json();
    assert_eq!(answer["entry"][0]["response"]["status"], "422 Unprocessable Entity", "{answer}");
}

#[test]
fn conf_057_a_task_keeps_the_profile_of_its_code_whether_or_not_it_claims_one() {
    let gateway = Gateway::start();
    let mut task = free_text("m");
    if let Some(task) = task.as_object_mut() {
        task.remove("owner");
        task.remove("input");
    }
    let errors = refused(&gateway.ask(&sending("POST", "Task", &task)), 422);
    for at in ["Task.owner", "Task.input"] {
        assert!(errors.iter().any(|(_, expression)| expression == at), "{at}: {errors:?}");
    }
    let mut closed = free_text("m");
    closed["id"] = json!("closed");
    put(&gateway, &closed).expect(201);
    closed["status"] = json!("completed");
    let errors = refused(&put(&gateway, &closed), 422);
    assert!(errors.iter().any(|(code, _)| code == "invariant"), "tdr-3: {errors:?}");
    closed["status"] = json!("rejected");
    let errors = refused(&put(&gateway, &closed), 422);
    assert!(errors.iter().any(|(code, _)| code == "invariant"), "tdr-2: {errors:?}");
    // A Task of another kind is plain R4.
    let plain = json!({ "resourceType": "Task", "id": "plain", "status": "completed", "intent": "order" });
    put(&gateway, &plain).expect(201);
    let plain = json!({ "resourceType": "Task", "id": "plain", "status": "draft", "intent": "order" });
    put(&gateway, &plain).expect(200);
}

#[test]
fn patches_and_transactions_keep_the_rules_too() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &free_text("m"));
        let path = format!("Task/{id}");
        let patch = |operations: Value| {
            Request::new("PATCH", &format!("/fhir/{path}"))
                .header("Content-Type", "application/json-patch+json")
                .body(operations.to_string())
        };
        let status = |to: &str| json!([{ "op": "replace", "path": "/status", "value": to }]);
        gateway.ask(&patch(status("in-progress"))).expect(200);
        let back = gateway.ask(&patch(status("accepted")));
        assert_eq!(refused(&back, 422), [("business-rule".to_owned(), "Task.status".to_owned())]);
        let other = json!([{ "op": "replace", "path": "/for/identifier/value", "value": "n" }]);
        assert_eq!(
            refused(&gateway.ask(&patch(other)), 422),
            [("business-rule".to_owned(), "Task.for".to_owned())]
        );

        let task = read(&gateway, &path);
        let transaction = |status: &str| {
            json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
                { "resource": { "resourceType": "Basic", "code": { "text": "x" } }, "request": { "method": "POST", "url": "Basic" } },
                { "resource": with_status(&task, status), "request": { "method": "PUT", "url": path } },
            ] })
        };
        let answer = gateway.ask(&sending("POST", "", &transaction("requested")));
        assert_eq!(
            refused(&answer, 422),
            [("business-rule".to_owned(), "Bundle.entry[1].resource.status".to_owned())]
        );
        assert_eq!(read(&gateway, "Basic?_summary=count")["total"], 0);
        gateway.ask(&sending("POST", "", &transaction("completed"))).expect(200);
        assert_eq!(read(&gateway, &path)["status"], "completed");
        let stale = sending("PUT", &path, &with_status(&task, "failed")).header("If-Match", "W/\"1\"");
        gateway.ask(&stale).expect(412);
    });
}

#[test]
fn conf_097_what_a_task_was_sent_with_stays() {
    let gateway = Gateway::start();
    let mut task = free_text("m");
    task["meta"] = json!({ "tag": [{ "system": super::CDEX, "code": "claims-processing" }, { "system": "urn:x", "code": "y" }] });
    task["extension"] = json!([{ "url": "http://example.org/unknown", "valueString": "kept" }]);
    let id = create(&gateway, &task);
    let path = format!("Task/{id}");
    let mut next = read(&gateway, &path);
    assert_eq!(next["extension"], task["extension"]);
    next["status"] = json!("accepted");
    if let Some(next) = next.as_object_mut() {
        next.remove("meta");
    }
    let kept = gateway.ask(&sending("PUT", &path, &next)).expect(200).json();
    assert_eq!(kept["meta"]["tag"], task["meta"]["tag"], "tags stay");
    let page = read(&gateway, "Task?_tag=claims-processing&status=accepted");
    assert_eq!(page["total"], 1);
    next["input"][0]["valueCodeableConcept"]["text"] = json!("everything");
    let errors = refused(&gateway.ask(&sending("PUT", &path, &next)), 422);
    assert!(errors.iter().any(|(_, at)| at == "Task.input"), "{errors:?}");
}

#[test]
fn conf_026_a_form_must_be_the_one_that_was_asked_for() {
    for_each_database(&[], |gateway| {
        let signature = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature";
        let asked = |is_signed: bool| {
            let form = input(
                (SDC, "questionnaire"),
                "valueCanonical",
                json!("http://payer.example/Questionnaire/oxygen|2.0"),
            );
            let mut task = request("data-request-questionnaire", "m", form);
            if let (true, Some(inputs)) = (is_signed, task["input"].as_array_mut()) {
                inputs.push(input((super::CDEX, "signature-flag"), "valueBoolean", json!(true)));
            }
            task
        };
        let response = |canonical: &str| {
            json!({
                "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": canonical,
                "subject": { "identifier": { "value": "m" } }, "authored": "2026-01-01T00:00:00Z",
            })
        };
        let right = response("http://payer.example/Questionnaire/oxygen");
        let wrong = response("http://payer.example/Questionnaire/other");
        let mut signed = right.clone();
        let who = json!({ "reference": "Practitioner/1" });
        let kind = json!([{ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5" }]);
        let value = json!({ "type": kind, "when": "2026-01-01T00:00:00Z", "who": who });
        signed["extension"] = json!([{ "url": signature, "valueSignature": value }]);
        for (must_be_signed, response, is_kept) in [
            (false, Some(&right), true),
            (false, Some(&wrong), false),
            (false, None, false),
            (true, Some(&right), false),
            (true, Some(&signed), true),
        ] {
            let id = create(&gateway, &asked(must_be_signed));
            let reference = response.map_or_else(
                || "QuestionnaireResponse/nowhere".to_owned(),
                |response| format!("QuestionnaireResponse/{}", create(&gateway, response)),
            );
            let mut next = read(&gateway, &format!("Task/{id}"));
            next["status"] = json!("completed");
            next["output"] = json!([{
                "type": { "coding": [{ "system": SDC, "code": "questionnaire-response" }] },
                "valueReference": { "reference": reference },
            }]);
            let answer = put(&gateway, &next);
            if is_kept {
                answer.expect(200);
            } else {
                let expected = ("business-rule".to_owned(), "Task.output".to_owned());
                assert_eq!(refused(&answer, 422), [expected], "{response:?}");
            }
        }
    });
}

#[test]
fn conf_098_099_attachment_requests_keep_their_profile_too() {
    let gateway = Gateway::start();
    let pas = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes";
    for (code, asked) in [
        (
            "attachment-request-code",
            ("attachments-needed", "valueCodeableConcept", json!({ "text": "a note" })),
        ),
        ("attachment-request-questionnaire", ("questionnaire-context", "valueCanonical", json!("urn:form"))),
    ] {
        let mut task = request("data-request-code", "m", input((pas, asked.0), asked.1, asked.2));
        task["code"]["coding"][0] = json!({ "system": pas, "code": code });
        let errors = refused(&gateway.ask(&sending("POST", "Task", &task)), 422);
        for at in ["Task.contained", "Task.reasonCode", "Task.input"] {
            assert!(
                errors.iter().any(|(_, expression)| expression.starts_with(at)),
                "{code} {at}: {errors:?}"
            );
        }
    }
}

#[test]
fn conf_058_080_087_a_task_with_everything_that_must_be_supported_is_kept_whole() {
    let gateway = Gateway::start();
    let claim = json!({ "identifier": {
        "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL" }] },
        "system": "http://example.org/claims", "value": "Claim123",
    } });
    for reason in [claim, json!({ "reference": "Claim/1" }), json!({ "reference": "Coverage/1" })] {
        let mut task = free_text("m");
        task["identifier"] = json!([{ "system": "urn:payer", "value": "request-1" }]);
        task["basedOn"] = json!([{ "reference": "http://payer.example/fhir/CommunicationRequest/1" }]);
        task["businessStatus"] = json!({ "text": "not looked at" });
        task["statusReason"] = json!({ "text": "none" });
        task["reasonCode"] = json!({ "text": "a claim" });
        task["reasonReference"] = reason;
        task["lastModified"] = json!("2026-01-02T10:00:00Z");
        if let Some(inputs) = task["input"].as_array_mut() {
            inputs.push(input((super::CDEX, "signature-flag"), "valueBoolean", json!(false)));
        }
        let id = create(&gateway, &task);
        let kept = read(&gateway, &format!("Task/{id}"));
        super::assert_valid(&gateway, &kept);
        for (element, value) in task.as_object().expect("a resource") {
            assert_eq!(&kept[element], value, "{element}");
        }
    }
}
