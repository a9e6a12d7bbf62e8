//! What the gateway answers by itself: queries and documents by their code.

use serde_json::{Value, json};

use super::{
    HREX, LOINC, assert_valid, coded, condition, create, found, input, member, output, query, read, refused,
    request, sending, steps, wait_for,
};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;

#[test]
fn conf_059_a_query_is_answered_with_a_bundle_and_every_step_is_a_version() {
    for_each_database(&[], |gateway| {
        let patient = member(&gateway, "Member123");
        member(&gateway, "Member456");
        let task =
            query("Member123", "Condition?patient=cdex-example-patient&clinical-status=active,recurrance");
        let created = gateway.ask(&sending("POST", "Task", &task)).expect(201);
        assert_eq!(created.header("ETag"), Some("W/\"1\""));
        let id = created.json()["id"].as_str().expect("an id").to_owned();
        let location = format!("{}/fhir/Task/{id}/_history/1", gateway.url());
        assert_eq!(created.header("Location"), Some(&*location));

        let answered = wait_for(&gateway, &id, "completed");
        assert_eq!(steps(&gateway, &id), ["requested", "accepted", "in-progress", "completed"]);
        assert_valid(&gateway, &answered);
        let bundle = read(&gateway, &output(&answered));
        assert_eq!(bundle["type"], "searchset");
        assert_eq!(bundle["total"], 2);
        let matches = found(&bundle, "match");
        assert_eq!(matches.len(), 2, "{bundle}");
        for condition in matches {
            assert_eq!(condition["subject"]["reference"], format!("Patient/{patient}"));
            assert_eq!(condition["clinicalStatus"]["coding"][0]["code"], "active");
        }
        let run = bundle["link"][0]["url"].as_str().expect("a searchset says what was run");
        assert!(run.contains(&format!("Condition?patient=Patient%2F{patient}&clinical-status=")), "{run}");
        assert!(!run.contains("_count"), "{run}");

        assert_eq!(read(&gateway, &format!("Task/{id}/_history/1"))["status"], "requested");
        for (parameters, expected) in
            [("status=completed", 1), ("status=requested", 0), ("status=accepted", 0)]
        {
            let page = read(&gateway, &format!("Task?{parameters}"));
            assert_eq!(found(&page, "match").len(), expected, "{parameters}");
        }
        let page = read(&gateway, &format!("Task?_id={id}&_include=Task:output"));
        assert_eq!(found(&page, "include")[0]["id"], bundle["id"]);
        let trail = rows::audit_trail(&gateway).join("\n");
        assert!(trail.contains("answer-task") && trail.contains(&format!("Patient/{patient}")), "{trail}");
        assert_eq!(rows::count(&gateway, "agenda"), 0);
    });
}

#[test]
fn an_answer_is_put_into_the_task_or_refers_to_what_was_found_where_that_was_agreed() {
    for output_policy in ["contained", "references"] {
        let gateway = Gateway::with(&[("CDEX_POLICY__TASK_OUTPUT", output_policy)]);
        let patient = member(&gateway, "m");
        let id = create(&gateway, &query("m", "Condition?clinical-status=active"));
        let answered = wait_for(&gateway, &id, "completed");
        assert_valid(&gateway, &answered);
        if output_policy == "contained" {
            assert_eq!(output(&answered), "#results");
            let bundle = &answered["contained"][0];
            assert_eq!((&bundle["id"], &bundle["type"]), (&json!("results"), &json!("searchset")));
            assert_eq!(found(bundle, "match").len(), 2);
            continue;
        }
        let outputs = answered["output"].as_array().expect("outputs");
        assert_eq!(outputs.len(), 2);
        for output in outputs {
            let reference = output["valueReference"]["reference"].as_str().expect("a reference");
            let condition = read(&gateway, reference);
            assert_eq!(condition["subject"]["reference"], format!("Patient/{patient}"));
        }
    }
}

#[test]
fn conf_089_what_nothing_matches_fails_or_is_completed_as_was_agreed() {
    let gateway = Gateway::start();
    member(&gateway, "m");
    for task in [query("m", "Observation?code=4548-4"), query("nobody", "Condition"), coded("m", "11506-3")] {
        let id = create(&gateway, &task);
        let failed = wait_for(&gateway, &id, "failed");
        assert_eq!(failed["statusReason"]["text"], "No matching results");
        assert_eq!(failed["output"], Value::Null);
        assert_eq!(steps(&gateway, &id), ["requested", "accepted", "in-progress", "failed"]);
        assert_valid(&gateway, &failed);
    }
    let gateway = Gateway::with(&[("CDEX_POLICY__NO_MATCH", "completed")]);
    member(&gateway, "m");
    let id = create(&gateway, &query("m", "Observation?code=4548-4"));
    let completed = wait_for(&gateway, &id, "completed");
    let bundle = read(&gateway, &output(&completed));
    assert_eq!((&bundle["total"], &bundle["entry"]), (&json!(0), &Value::Null));
    // HRex: documents by their code fail all the same.
    let id = create(&gateway, &coded("m", "11506-3"));
    wait_for(&gateway, &id, "failed");
}

#[test]
fn a_query_is_about_the_patient_of_the_task_and_nobody_else() {
    let gateway = Gateway::start();
    let patient = member(&gateway, "m");
    let other = member(&gateway, "other");
    for text in [
        "Condition?patient=[reference]&clinical-status=active".to_owned(),
        "/Condition?patient=unknown&clinical-status=active".to_owned(),
        format!("Condition?patient=Patient/{patient}&clinical-status=active"),
        format!("Condition?subject={}/fhir/Patient/{patient}&clinical-status=active", gateway.url()),
    ] {
        let id = create(&gateway, &query("m", &text));
        let answered = wait_for(&gateway, &id, "completed");
        let bundle = read(&gateway, &output(&answered));
        assert_eq!(found(&bundle, "match").len(), 2, "{text}");
    }
    for text in [format!("Condition?patient={other}"), format!("Patient?_id={other}")] {
        let id = create(&gateway, &query("m", &text));
        let rejected = wait_for(&gateway, &id, "rejected");
        assert_eq!(rejected["statusReason"]["text"], "The query names another patient than the Task");
        assert_eq!(steps(&gateway, &id), ["requested", "rejected"]);
        assert_valid(&gateway, &rejected);
    }
}

#[test]
fn conf_007_a_patient_is_meant_by_reference_or_by_identifier() {
    let gateway = Gateway::start();
    let patient = member(&gateway, "m");
    for meant in [
        json!({ "reference": format!("Patient/{patient}") }),
        json!({ "reference": format!("{}/fhir/Patient/{patient}", gateway.url()) }),
        json!({ "identifier": { "system": super::MEMBERS, "value": "m" } }),
        json!({ "identifier": { "value": "m" } }),
        json!({ "reference": "Patient/of-the-payer", "identifier": { "system": super::MEMBERS, "value": "m" } }),
    ] {
        let mut task = query("m", "Condition?clinical-status=active");
        task["for"] = meant.clone();
        let id = create(&gateway, &task);
        let answered = wait_for(&gateway, &id, "completed");
        assert_eq!(found(&read(&gateway, &output(&answered)), "match").len(), 2, "{meant}");
    }
    member(&gateway, "twice");
    member(&gateway, "twice");
    let id = create(&gateway, &query("twice", "Condition"));
    let waits = wait_for(&gateway, &id, "on-hold");
    assert!(
        waits["businessStatus"]["text"].as_str().is_some_and(|text| text.contains("a person")),
        "{waits}"
    );
}

#[test]
fn provenance_comes_along_and_sort_and_count_are_honoured() {
    let gateway = Gateway::start();
    let patient = member(&gateway, "m");
    let page =
        read(&gateway, &format!("Condition?patient={patient}&clinical-status=active&_sort=-recorded-date"));
    let newest = found(&page, "match")[0]["id"].as_str().expect("an id").to_owned();
    let provenance = json!({
        "resourceType": "Provenance",
        "target": [{ "reference": format!("Condition/{newest}") }],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{ "who": { "display": "the author" } }],
    });
    let provenance = create(&gateway, &provenance);
    let text = "Condition?patient=[reference]&_revinclude=Provenance:target&_sort=-recorded-date&_count=1";
    let id = create(&gateway, &query("m", text));
    let answered = wait_for(&gateway, &id, "completed");
    let bundle = read(&gateway, &output(&answered));
    assert_eq!(found(&bundle, "match").iter().map(|it| &it["id"]).collect::<Vec<_>>(), [&json!(newest)]);
    assert_eq!(
        found(&bundle, "include").iter().map(|it| &it["id"]).collect::<Vec<_>>(),
        [&json!(provenance)]
    );
    assert_eq!(bundle["total"], 3, "the total counts matches on all pages: {bundle}");
}

#[test]
fn what_comes_along_is_of_the_same_record() {
    let gateway = Gateway::start();
    let (patient, other) = (member(&gateway, "m"), member(&gateway, "other"));
    let practitioner =
        create(&gateway, &json!({ "resourceType": "Practitioner", "name": [{ "family": "P" }] }));
    for patient in [&patient, &other] {
        let mut recorded = condition(patient, "remission", "2020-01-01");
        recorded["recorder"] = json!({ "reference": format!("Practitioner/{practitioner}") });
        create(&gateway, &recorded);
    }
    let text = "Condition?clinical-status=remission&_include=Condition:recorder&_revinclude:iterate=Condition:recorder";
    let id = create(&gateway, &query("m", text));
    // The search parameter may not be there; then nothing is told at all.
    let answered = super::wait::until("the Task to end", || {
        let task = read(&gateway, &format!("Task/{id}"));
        ["completed", "failed"].iter().any(|end| task["status"] == *end).then_some(task)
    });
    if answered["status"] == "completed" {
        let bundle = read(&gateway, &output(&answered));
        assert!(!bundle.to_string().contains(&format!("Patient/{other}")), "{bundle}");
    }
}

#[test]
fn a_query_that_cannot_be_run_fails_and_says_why() {
    let gateway = Gateway::start();
    member(&gateway, "m");
    for (text, reason) in [
        ("https://elsewhere.example/Condition?patient=1", "not a search below the base"),
        ("patient=1&clinical-status=active", "not a search below the base"),
        ("Conditions?patient=1", "no resource type"),
        ("Practitioner?name=x", "not part of a patient's record"),
        ("Task?patient=1", "not part of a patient's record"),
        ("Condition?patient=1&unknown-parameter=x", "The query cannot be run"),
        ("Condition?recorded-date=yesterday", "The query cannot be run"),
    ] {
        let id = create(&gateway, &query("m", text));
        let failed = wait_for(&gateway, &id, "failed");
        let told = failed["statusReason"]["text"].as_str().unwrap_or_default();
        assert!(told.contains(reason), "{text}: {told}");
        assert_valid(&gateway, &failed);
    }
}

/// A document of a patient, with an attachment.
fn document(patient: &str, code: &str, attachment: Value) -> Value {
    let content = Value::from_iter([("attachment", attachment)]);
    json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "type": { "coding": [{ "system": LOINC, "code": code }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "content": [content],
    })
}

#[test]
fn documents_of_the_code_come_in_the_task_with_their_bytes() {
    for_each_database(&[], |gateway| {
        let (patient, other) = (member(&gateway, "m"), member(&gateway, "other"));
        let binary = json!({ "resourceType": "Binary", "contentType": "text/plain", "data": "YnllCg==" });
        let binary = create(&gateway, &binary);
        let inline = json!({ "contentType": "text/plain", "data": "aGVsbG8K" });
        create(&gateway, &document(&patient, "11506-3", inline.clone()));
        create(&gateway, &document(&patient, "11506-3", json!({ "url": format!("Binary/{binary}") })));
        create(&gateway, &document(&patient, "18842-5", inline.clone()));
        create(&gateway, &document(&other, "11506-3", inline));
        let id = create(&gateway, &coded("m", "11506-3"));
        let answered = wait_for(&gateway, &id, "completed");
        assert_valid(&gateway, &answered);
        assert_eq!(output(&answered), "#results");
        let documents = found(&answered["contained"][0], "match");
        let mut data: Vec<&str> = documents
            .iter()
            .filter_map(|document| document["content"][0]["attachment"]["data"].as_str())
            .collect();
        data.sort_unstable();
        assert_eq!(data, ["YnllCg==", "aGVsbG8K"]);
        // By the code alone, too.
        let task = request(
            "data-request-code",
            "m",
            input(
                (HREX, "data-code"),
                "valueCodeableConcept",
                json!({ "coding": [{ "code": "18842-5", "system": LOINC }, { "code": "x", "system": "urn:local" }] }),
            ),
        );
        let id = create(&gateway, &task);
        let answered = wait_for(&gateway, &id, "completed");
        assert_eq!(found(&answered["contained"][0], "match").len(), 1);
    });
}

#[test]
fn a_document_too_long_for_a_resource_keeps_its_url() {
    let gateway = Gateway::start();
    let patient = member(&gateway, "m");
    let data = "QUJD".repeat(400_000);
    let long = json!({ "contentType": "application/octet-stream", "data": data });
    create(&gateway, &document(&patient, "11506-3", long));
    let id = create(&gateway, &coded("m", "11506-3"));
    let answered = wait_for(&gateway, &id, "completed");
    let attachment = &found(&answered["contained"][0], "match")[0]["content"][0]["attachment"];
    let url = attachment["url"].as_str().expect("a long attachment has a url");
    assert_eq!(attachment["data"], Value::Null);
    let bytes = gateway.get(&format!("/fhir/{url}")).expect(200).body;
    assert_eq!(bytes.len(), 1_200_000);
}

#[test]
fn data_that_live_on_another_server_are_asked_for_there() {
    let back = Gateway::start();
    let url = format!("{}/fhir", back.url());
    let mut front = Gateway::with(&[
        ("CDEX_FHIR__UPSTREAM__URL", &url),
        ("CDEX_FHIR__UPSTREAM__TYPES", "[\"Patient\", \"Condition\", \"Provenance\"]"),
        ("CDEX_FHIR__UPSTREAM__ALLOW_PRIVATE_ADDRESSES", "true"),
    ]);
    let patient = member(&back, "m");
    let other = member(&back, "other");
    let id = create(&front, &query("m", "Condition?patient=[x]&clinical-status=active"));
    let answered = wait_for(&front, &id, "completed");
    let bundle = read(&front, &output(&answered));
    let matches = found(&bundle, "match");
    assert_eq!(matches.len(), 2, "{bundle}");
    assert!(matches.iter().all(|it| it["subject"]["reference"] == format!("Patient/{patient}")), "{bundle}");
    let id = create(&front, &query("m", &format!("Condition?patient={other}")));
    wait_for(&front, &id, "rejected");
    // While the server is gone the Task waits; it is answered when both are back.
    front.stop();
    drop(back);
    front.launch();
    let id = create(&front, &query("m", "Condition"));
    assert_eq!(read(&front, &format!("Task/{id}"))["status"], "requested");
    assert_eq!(steps(&front, &id), ["requested"]);
}

#[test]
fn conf_017_018_083_a_purpose_is_demanded_where_that_was_agreed() {
    let purpose = |codings: Value| {
        let mut task = query("m", "Condition");
        let concept = json!({ "coding": codings });
        if let Some(inputs) = task["input"].as_array_mut() {
            inputs.push(input((super::CDEX, "purpose-of-use"), "valueCodeableConcept", concept));
        }
        task
    };
    let gateway = Gateway::with(&[("CDEX_POLICY__PURPOSE_OF_USE", "required")]);
    let expected = |at: &str| vec![("business-rule".to_owned(), at.to_owned())];
    assert_eq!(
        refused(&gateway.ask(&sending("POST", "Task", &query("m", "Condition"))), 422),
        expected("Task.input")
    );
    let reason = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    create(&gateway, &purpose(json!([{ "system": reason, "code": "COVERAGE" }])));
    let open = json!({ "system": super::CDEX, "code": "operations-noe" });
    let answer = gateway.ask(&sending("POST", "Task", &purpose(json!([open]))));
    assert_eq!(refused(&answer, 422), expected("Task.input[1].value.coding"));
    create(&gateway, &purpose(json!([open, { "system": "urn:codes", "code": "fraud-analysis" }])));
    assert_eq!(rows::count(&gateway, "resource"), 2, "what was refused left nothing");
}
