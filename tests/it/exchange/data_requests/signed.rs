//! Answers that must be signed: because the Task says so, or because that was agreed.

use serde_json::{Value, json};

use super::{CDEX, create, found, input, member, output, query, read, wait_for};
use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::signing::{NPI, Signing};

fn flagged(text: &str) -> Value {
    let mut task = query("m", text);
    if let Some(inputs) = task["input"].as_array_mut() {
        inputs.push(input((CDEX, "signature-flag"), "valueBoolean", json!(true)));
    }
    task
}

/// Fails unless a signature holds in the eyes of a gateway that takes no other.
#[track_caller]
fn assert_signed(verifier: &Gateway, document: &Value) {
    let request = Request::new("POST", "/fhir/Bundle")
        .header("Content-Type", "application/fhir+json")
        .header("Prefer", "return=OperationOutcome")
        .body(document.to_string());
    let told = verifier.ask(&request).expect(201).text();
    assert!(told.contains("The signature is valid"), "{told}");
}

#[test]
fn an_answer_that_must_be_signed_is_a_signed_document() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let anchors = format!("[{:?}]", Signing::new().write(folder.path()));
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let who = format!("http://hl7.org/fhir/sid/us-npi|{NPI}");
    let verifier = Gateway::with(&[("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    for sign in ["false", "true"] {
        let gateway = Gateway::with(&[
            ("CDEX_POLICY__SIGN", sign),
            ("CDEX_FHIR__SIGNING__KEY_FILE", &path("key.pem")),
            ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", &path("chain.pem")),
            ("CDEX_FHIR__SIGNING__WHO", &who),
        ]);
        let patient = member(&gateway, "m");
        // As cdex-task-example18: a signed document Bundle, which is read by its reference.
        let text = "Condition?clinical-status=active";
        let id = create(&gateway, &if sign == "true" { query("m", text) } else { flagged(text) });
        let answered = wait_for(&gateway, &id, "completed");
        super::assert_valid(&gateway, &answered);
        let document = read(&gateway, &output(&answered));
        assert_eq!(document["type"], "document");
        let resources: Vec<&Value> =
            document["entry"].as_array().expect("entries").iter().map(|entry| &entry["resource"]).collect();
        assert_eq!(resources[0]["resourceType"], "Composition");
        let conditions = resources.iter().filter(|it| it["resourceType"] == "Condition");
        assert_eq!(conditions.count(), 2, "{document}");
        assert!(document.to_string().contains(&format!("Patient/{patient}")));
        assert_signed(&verifier, &document);
    }
    // Without a flag and without an agreement nothing is signed.
    let gateway = Gateway::with(&[
        ("CDEX_FHIR__SIGNING__KEY_FILE", &path("key.pem")),
        ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", &path("chain.pem")),
        ("CDEX_FHIR__SIGNING__WHO", &who),
        ("CDEX_POLICY__TASK_OUTPUT", "contained"),
    ]);
    member(&gateway, "m");
    let id = create(&gateway, &query("m", "Condition"));
    let answered = wait_for(&gateway, &id, "completed");
    assert_eq!(found(&answered["contained"][0], "match").len(), 3);
    assert_eq!(answered["contained"][0]["signature"], Value::Null);
    // A contained document is covered by its signature too: it has no id there.
    let id = create(&gateway, &flagged("Condition"));
    let answered = wait_for(&gateway, &id, "completed");
    assert_signed(&verifier, &answered["contained"][0]);
}
