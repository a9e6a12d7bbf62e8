//! The commands for a person at a terminal, and what the gateway publishes for others to find it.

use std::process::{Command, Output};

use super::*;

/// Runs a command of the program against a gateway.
fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
    let url = gateway.url();
    command.args(arguments).args(["--gateway", &url]).current_dir(gateway.scratch());
    command.output().expect("the binary under test runs")
}

#[track_caller]
fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_person_asks_waits_and_is_told_the_outputs() {
    let (provider, payer) = pair();
    let asking = ["request", "--partner", "provider", "--member", "http://example.org/members|Member123"];
    let asked = printed(&run(&payer, &[&asking[..], &["--text", "progress notes"]].concat()));
    assert!(asked.contains("requested") && asked.contains("cdex-gateway status Task/"), "{asked}");
    let condition = create(&provider, &condition("Patient/1"));
    complete(&provider, &[&condition], None);
    let id = search(&payer, "Task").pop().expect("our copy")["id"].as_str().expect("an id").to_owned();
    wait_status(&payer, &id, "completed");
    let told = printed(&run(&payer, &["status", &format!("Task/{id}")]));
    assert!(told.contains("completed") && told.contains("/fhir/Condition/"), "{told}");
    let json = printed(&run(&payer, &["status", &format!("Task/{id}"), "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["status"], "completed");
}

#[test]
fn a_request_that_fails_and_a_gateway_that_refuses_end_with_an_exit_code_and_a_reason() {
    let (provider, payer) = pair();
    let asking = ["request", "--partner", "provider", "--member", "Member123", "--text", "x", "--wait"];
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&payer, &asking));
        let mut task = task_of(&provider);
        task["status"] = "rejected".into();
        task["statusReason"] = json!({ "text": "Not our patient" });
        let path = format!("Task/{}", task["id"].as_str().expect("an id"));
        provider.ask(&sending("PUT", &path, &task)).expect(200);
        let ended = waiting.join().expect("it ends");
        assert!(!ended.status.success());
        let told = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(told.contains("rejected: Not our patient"), "{told}");
    });
    let refused = run(&payer, &["request", "--partner", "nobody", "--member", "m", "--text", "x"]);
    assert!(!refused.status.success());
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(reason.contains("No partner of this name"), "{reason}");
}

#[test]
fn a_file_is_submitted_and_its_status_told() {
    let gateway = Gateway::start();
    let bytes: Vec<u8> = (0..700_001_u32).map(|at| at.to_le_bytes()[0]).collect();
    std::fs::write(gateway.scratch().join("note.pdf"), &bytes).expect("the test's folder takes files");
    let submitting = [
        "submit",
        "note.pdf",
        "--tracking-id",
        "http://example.org/t|1",
        "--member",
        "234567",
        "--organization",
        "1407071236",
        "--service-date",
        "2026-01-31",
        "--code",
        "11506-3",
        "--line",
        "1",
        "--json",
    ];
    let told: Value = serde_json::from_str(&printed(&run(&gateway, &submitting))).expect("JSON");
    let id = told["uploads"][0].as_str().expect("an upload").to_owned();
    gateway.wait_delivered(&id, 1);
    assert!(gateway.delivered_bytes(&id) == bytes, "the bytes are not the same");
    let status = printed(&run(&gateway, &["status", &id]));
    assert!(status.contains("700001 bytes") && status.contains("SUCCESS to local"), "{status}");
    assert!(status.contains("upload-completed"), "{status}");
}

#[test]
fn the_endpoint_for_attachments_is_published_at_the_root_and_below_fhir() {
    let gateway = Gateway::with(&[("CDEX_FHIR__IDENTIFIER", "http://example.org/payers|p1")]);
    for path in ["/.well-known/davinci-configuration", "/fhir/.well-known/davinci-configuration"] {
        let answer = gateway.get(path).expect(200);
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        let published = answer.json();
        assert_eq!(published["identifier"], json!({ "system": "http://example.org/payers", "value": "p1" }));
        let base = published["endpoints"]["davinci_cdex_attachsubmit_endpoint#2.1"].as_str();
        assert_eq!(base, Some(format!("{}/fhir", gateway.url()).as_str()));
    }
}
