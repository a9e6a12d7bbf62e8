//! What a payer wants signed: the provider's gateway attests what nobody has to sign in person, and the payer's
//! verifies it.

use super::*;
use crate::exchange::{search, settle};
use crate::support::signing::{NPI, Signing};

/// The settings of who signs with what lies in this folder.
fn signing_settings(folder: &std::path::Path) -> [(&'static str, String); 3] {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    [
        ("CDEX_FHIR__SIGNING__KEY_FILE", path("key.pem")),
        ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", path("chain.pem")),
        ("CDEX_FHIR__SIGNING__WHO", format!("http://hl7.org/fhir/sid/us-npi|{NPI}")),
    ]
}

fn note(patient: &str, code: &str, text: &str) -> Value {
    let mut note = document(patient, code, text.as_bytes());
    note["content"][0]["attachment"]["contentType"] = "text/plain".into();
    note
}

#[test]
fn what_must_be_signed_is_attested_by_the_gateway_and_verified_by_the_payer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let anchors = format!("[{:?}]", Signing::new().write(folder.path()));
    let signing = signing_settings(folder.path());
    // By the flag of the Task, and by agreement alone.
    for (policy, sign, is_flagged) in [("flagged", "false", true), ("all", "true", false)] {
        let payer =
            Gateway::with(&[("CDEX_POLICY__SIGNATURES", policy), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
        let mut settings: Vec<(&str, &str)> =
            signing.iter().map(|(key, value)| (*key, value.as_str())).collect();
        settings.push(("CDEX_PARTNER__PAYER__POLICY__SIGN", sign));
        let provider = provider_with(&payer.url(), &settings);
        let patient = create(&provider, &member("M1"));
        create(&provider, &note(&patient, OPERATION_NOTE, "without a place for a signature"));
        let observation = create(
            &provider,
            &json!({"resourceType": "Observation", "status": "final", "code": {"text": "oxygen"},
                "subject": {"reference": format!("Patient/{patient}")}, "valueQuantity": {"value": 93.5}}),
        );
        let mut task = request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE, OPERATION_NOTE]);
        if is_flagged {
            task = with_flag(task, "signature-flag");
        }
        create(&payer, &task);
        let task = create(&provider, &task);
        link(&provider, &task, "attachments-needed", &format!("Observation/{observation}"));
        let completed = task_in(&provider, &task, "completed");
        assert_eq!(completed["businessStatus"]["coding"][0]["code"], "submitted", "{completed}");
        settle(&payer);

        let documents = search(&payer, "Bundle");
        assert_eq!(documents.len(), 2, "{policy}: {documents:?}");
        for document in &documents {
            assert_eq!(document["type"], "document");
            assert_eq!(document["signature"]["who"]["identifier"]["value"], NPI);
            assert_eq!(document["entry"][0]["resource"]["subject"]["identifier"]["value"], "M1");
        }
        let texts = documents.iter().map(ToString::to_string).collect::<String>();
        assert!(texts.contains("93.5") && texts.contains(&base64("without a place for a signature")));
        let checked = search(&payer, "Provenance?_count=50");
        let checked = checked.iter().map(ToString::to_string);
        let told = |text: &String| text.contains("The signature is valid") && text.contains("CONF-028");
        assert_eq!(checked.filter(told).count(), 2, "each is kept with its verdict");
    }
}

#[test]
fn conf_026_a_key_of_the_gateway_signs_no_form_and_no_document_that_may_be_signed_inside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Signing::new().write(folder.path());
    let signing = signing_settings(folder.path());
    let settings: Vec<(&str, &str)> = signing.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let payer = Endpoint::start();
    let provider = provider_with(&payer.url(), &settings);
    let canonical = "http://payer.example.org/Questionnaire/plain";
    let form = with_flag(form_request(&payer.url(), "M1", "T1", canonical), "signature-flag");
    let form = create(&provider, &form);
    let response =
        json!({"resourceType": "QuestionnaireResponse", "questionnaire": canonical, "status": "completed"});
    let response = create(&provider, &response);
    link(&provider, &form, "questionnaire-context", &format!("QuestionnaireResponse/{response}"));
    task_at(&provider, &form, "waiting-for-signature");
    let patient = create(&provider, &member("M1"));
    create(&provider, &document(&patient, PROGRESS_NOTE, b"%PDF signed by hand"));
    let task = with_flag(request(&payer.url(), "M1", "T2", &[PROGRESS_NOTE]), "signature-flag");
    task_in(&provider, &create(&provider, &task), "completed");
    let submission = submissions(&payer)[0].json();
    let [(_, _, content)] = attachments(&submission)[..] else { panic!("{submission}") };
    assert_eq!(content["resourceType"], "DocumentReference");
}

#[test]
fn what_is_too_long_to_be_signed_waits_for_a_person() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Signing::new().write(folder.path());
    let signing = signing_settings(folder.path());
    let settings: Vec<(&str, &str)> = signing.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let payer = Endpoint::start();
    let provider = provider_with(&payer.url(), &settings);
    let patient = create(&provider, &member("M1"));
    create(&provider, &note(&patient, PROGRESS_NOTE, &"x".repeat(13 << 20)));
    let task = with_flag(request(&payer.url(), "M1", "T1", &[PROGRESS_NOTE]), "signature-flag");
    let waiting = task_at(&provider, &create(&provider, &task), "waiting-for-signature");
    assert!(waiting["businessStatus"]["text"].as_str().is_some_and(|text| text.contains("too long")));
    assert!(submissions(&payer).is_empty());
}
