//! A second implementation of signatures, in Python with its own libraries: what it signs is judged by the gateway as
//! it should be, and what the gateway signs it verifies.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::install::{available, python};
use crate::support::submission::{parameters, submit};

/// The script and a folder with its vectors.
fn vectors() -> Option<(Command, tempfile::TempDir)> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["signature-py/requirements.txt", "signature-py/signature.py"];
    let installed = || python("signature-py", &files, "cryptography, rfc8785");
    let script = available(INSTALLED.get_or_init(installed))?;
    let run = || {
        let mut command = Command::new(script.join("venv/bin/python"));
        command.arg(script.join("signature.py"));
        command
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = run().arg("vectors").arg(folder.path()).status().expect("an installed script runs");
    assert!(made.success());
    Some((run(), folder))
}

/// CONF-025, CONF-028 and CONF-052: each vector is accepted, or refused for the reason that it was made for.
#[test]
fn what_a_second_implementation_signs_is_judged_as_it_should_be() {
    let Some((_, folder)) = vectors() else { return };
    let anchors = format!("[{:?}]", folder.path().join("ca.pem"));
    let gateway =
        Gateway::with(&[("CDEX_POLICY__SIGNATURES", "all"), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    let text = std::fs::read(folder.path().join("vectors.json")).expect("the script wrote them");
    let vectors: Vec<Value> = serde_json::from_slice(&text).expect("it is JSON");
    assert!(vectors.len() > 25);
    for vector in vectors {
        let name = vector["name"].as_str().expect("a vector has a name");
        let judged = vector["judged"].as_str().expect("a vector says what it is");
        let answer = submit(&gateway, parameters(name, vec![vector["resource"].clone()]).to_string());
        let issues = answer.json();
        if judged == "valid" {
            assert_eq!(answer.status, 200, "{name}: {issues}");
            assert!(issues.to_string().contains("The signature is valid"), "{name}: {issues}");
        } else {
            assert_eq!(answer.status, 400, "{name}: {issues}");
            let first = &issues["issue"][0];
            let text = first["details"]["text"].as_str().expect("an issue has a text");
            assert_eq!(
                (&first["severity"], &first["code"]),
                (&json!("error"), &json!("business-rule")),
                "{name}"
            );
            assert!(text.contains(judged), "{name}: {text}");
        }
    }
}

#[test]
fn what_the_gateway_signs_is_verified_by_a_second_implementation() {
    let Some((mut verify, folder)) = vectors() else { return };
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let gateway = Gateway::with(&[
        ("CDEX_POLICY__SIGN", "true"),
        ("CDEX_FHIR__SIGNING__KEY_FILE", &path("key.pem")),
        ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", &path("chain.pem")),
        ("CDEX_FHIR__SIGNING__WHO", "http://hl7.org/fhir/sid/us-npi|1234567893"),
        ("CDEX_FHIR__SIGNING__DISPLAY", "Exämple \u{1f600}"),
    ]);
    for value in ["6.20", "1.0", "1E2", "1e-7", "123456789.25"] {
        let text = json!({
            "resourceType": "Observation", "status": "final", "code": { "text": "\u{fb33} \u{1f600} \"x\"\n" },
            "valueQuantity": { "value": "VALUE" },
        });
        let text = text.to_string().replace("\"VALUE\"", value);
        let request =
            Request::new("POST", "/fhir/Observation").header("Content-Type", "application/fhir+json");
        gateway.ask(&request.body(text)).expect(201);
    }
    verify.arg("verify").arg(folder.path());
    for (index, search) in
        ["Observation", "Observation?_count=2", "Observation?_pretty=true&_summary=true", "Patient"]
            .into_iter()
            .enumerate()
    {
        let file = path(&format!("page{index}.json"));
        let page = gateway.get(&format!("/fhir/{search}")).expect(200);
        std::fs::write(&file, &page.body).expect("the test's folder takes files");
        verify.arg(file);
    }
    let output = verify.output().expect("an installed script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
