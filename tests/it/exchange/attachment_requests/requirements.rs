//! What the profile demands of a request and of whoever answers one, and where the records may be.

use serde_json::json;

use super::*;
use crate::support::tus;

#[test]
fn conf_012_079_a_request_for_a_claim_says_the_day_of_service() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let refused = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut task = request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]);
        change(task["input"].as_array_mut().expect("a request has inputs"));
        let answer = provider.ask(&sending("POST", "Task", &task)).expect(422);
        answer.text()
    };
    let is_date = |input: &Value| input["type"]["coding"][0]["code"] == "service-date";
    let text = refused(&|inputs| inputs.retain(|input| !is_date(input)));
    assert!(text.contains("cdex-1"), "{text}");
    let text = refused(&|inputs| {
        for input in inputs.iter_mut().filter(|input| is_date(input)) {
            input["valueDate"] = "2026-03".into();
        }
    });
    assert!(text.contains("cdex-2"), "{text}");
    // A prior authorization may come without it.
    let mut task = request(&payer.url(), "M1", "T2", &[PROGRESS_NOTE]);
    task["reasonCode"] =
        json!({"coding": [{"system": "http://hl7.org/fhir/claim-use", "code": "preauthorization"}]});
    task["input"].as_array_mut().expect("inputs").retain(|input| !is_date(input));
    create(&provider, &task);
}

/// CONF-086, CONF-088, CONF-090, CONF-092, CONF-095, CONF-096.
#[test]
fn conf_086_088_090_092_095_096_a_request_with_everything_is_kept_whole_and_answered() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"a note"));
    let mut task = with_flag(request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]), "signature-flag");
    task["identifier"].as_array_mut().expect("identifiers").push(json!({
        "type": {"coding": [{"system": CDEX, "code": "admin-ref-number"}]},
        "system": "http://payer.example.org/refs", "value": "A1",
    }));
    task["restriction"] = json!({"period": {"end": "2199-01-01"}});
    task["extension"] = json!([{"url": "http://example.org/unknown", "valueString": "kept"}]);
    let own = json!([{"system": "http://provider.example.org/accounts", "value": "PA-1",
        "type": {"coding": [{"system": "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBIdentifierType", "code": "pat"}]}}]);
    let identifiers = task["contained"][0]["identifier"].as_array_mut().expect("identifiers");
    identifiers.extend(own.as_array().expect("one").clone());
    let id = create(&provider, &task);
    let completed = task_in(&provider, &id, "completed");
    for element in ["extension", "restriction", "contained", "input", "identifier", "reasonReference", "for"]
    {
        assert_eq!(completed[element], task[element], "{element}");
    }
    let submission = submissions(&payer)[0].json();
    assert_eq!(parameter(&submission, "AdminRefNumber").map(|id| &id["value"]), Some(&json!("A1")));
    let parameters: Vec<_> = submission["parameter"].as_array().expect("parameters").iter().collect();
    assert!(
        !parameters.iter().any(|parameter| parameter.to_string().contains("PA-1")),
        "account numbers stay here"
    );
}

#[test]
fn documents_of_the_ehr_behind_the_gateway_are_found_and_their_bytes_fetched() {
    let payer = Endpoint::start();
    let ehr = Gateway::start();
    let url = format!("{}/fhir", ehr.url());
    let provider = provider_with(
        &payer.url(),
        &[
            ("CDEX_FHIR__UPSTREAM__URL", &url),
            ("CDEX_FHIR__UPSTREAM__TYPES", "[\"Patient\", \"DocumentReference\", \"Binary\"]"),
            ("CDEX_FHIR__UPSTREAM__ALLOW_PRIVATE_ADDRESSES", "true"),
        ],
    );
    let patient = create(&ehr, &member("M1"));
    let long = vec![b'x'; 1_500_000];
    create(&ehr, &document(&patient, PROGRESS_NOTE, &long));
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_in(&provider, &task, "completed");
    let submission = submissions(&payer)[0].json();
    let [(_, _, content)] = attachments(&submission)[..] else { panic!("one attachment") };
    assert!(bytes_of(content) == long);
}

#[test]
fn a_document_that_names_an_upload_is_submitted_with_its_bytes() {
    let payer = Endpoint::start();
    let provider = provider_for(&payer.url());
    let bytes = vec![7_u8; 700_001];
    let upload = tus::upload(&provider, tus::MANIFEST, &bytes).id;
    let patient = create(&provider, &member("M1"));
    let mut document = document(&patient, PROGRESS_NOTE, b"");
    let url = format!("{}/upload/files/{upload}", provider.url());
    document["content"] = json!([{"attachment": {"contentType": "application/pdf", "url": url}}]);
    create(&provider, &document);
    let task = create(&provider, &request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]));
    task_in(&provider, &task, "completed");
    let submission = submissions(&payer)[0].json();
    let [(_, _, content)] = attachments(&submission)[..] else { panic!("one attachment") };
    assert!(bytes_of(content) == bytes);
}
