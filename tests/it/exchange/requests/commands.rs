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
fn conf_098_099_attachments_of_both_kinds_are_asked_for_at_the_command_line() {
    let (provider, payer) = pair();
    let asking = [
        "request",
        "--partner",
        "provider",
        "--member",
        "http://example.org/members|Member123",
        "--family",
        "Shaw",
        "--given",
        "Amy",
        "--birth-date",
        "1987-02-20",
        "--claim",
        "http://example.org/claims|Claim123",
        "--practitioner",
        "9941339108",
        "--service-date",
        "2026-01-31",
    ];
    let codes = ["--tracking-id", "http://example.org/t|T1", "--attachment-code", "11506-3"];
    let form =
        ["--tracking-id", "http://example.org/t|T2", "--questionnaire", "http://example.org/Questionnaire/1"];
    for (wanted, code) in [(&codes, "attachment-request-code"), (&form, "attachment-request-questionnaire")] {
        printed(&run(&payer, &[&asking[..], wanted].concat()));
        let task =
            wait::until("the Task to arrive", || search(&provider, &format!("Task?code={code}")).pop());
        let profile = task["meta"]["profile"][0].as_str().expect("it claims its profile");
        let path = format!("Task/$validate?profile={profile}");
        let found = provider.ask(&sending("POST", &path, &task)).expect(200).text();
        assert!(!found.contains("\"severity\":\"error\""), "{found}");
        let role = &task["contained"][1];
        assert_eq!(role["practitioner"]["identifier"]["value"], "9941339108");
        assert_eq!(role["organization"]["identifier"]["value"], "1234567893", "that of the partner's entry");
    }
    let without_patient = [&asking[..5], &asking[11..], &codes[..]].concat();
    let refused = run(&payer, &without_patient);
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && reason.contains("--family"), "{reason}");
}

#[test]
fn a_file_goes_to_a_partner_by_its_name_where_that_publishes_that_it_takes_it() {
    let payer = Gateway::start();
    let base = format!("{}/fhir", payer.url());
    let provider = Gateway::with(&[
        ("CDEX_PARTNER__PAYER__FHIR_BASE", &*base),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
    ]);
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|at| at.to_le_bytes()[0]).collect();
    std::fs::write(provider.scratch().join("note.pdf"), &bytes).expect("the test's folder takes files");
    let submitting = |partner: &'static str, day: &'static str| {
        let to = ["submit", "note.pdf", "--partner", partner, "--tracking-id", "http://example.org/t|1"];
        let about = ["--member", "234567", "--organization", "1407071236", "--service-date", day, "--json"];
        [&to[..], &about].concat()
    };
    let told: Value =
        serde_json::from_str(&printed(&run(&provider, &submitting("payer", "2026-01-31")))).expect("JSON");
    assert_eq!(told["parameter"][1]["valueUrl"], format!("{base}/$submit-attachment"));
    provider.wait_delivered(told["parameter"][0]["valueId"].as_str().expect("an upload"), 1);
    let arrived = wait::until("the document to be kept", || search(&payer, "DocumentReference").pop());
    let attachment = &arrived["content"][0]["attachment"];
    assert_eq!(attachment["contentType"], "application/pdf");
    let url = attachment["url"].as_str().expect("a long document has a URL");
    let answer = payer.ask(&Request::new("GET", &format!("/fhir/{url}")).header("Accept", "application/pdf"));
    assert!(answer.expect(200).body == bytes, "the bytes are not the same");

    for (partner, day, reason) in
        [("nobody", "2026-01-31", "No partner of this name"), ("payer", "2026-01", "Parameters.parameter[")]
    {
        let refused = run(&provider, &submitting(partner, day));
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains(reason), "{told}");
    }
}

#[test]
fn what_is_not_there_is_told_with_a_reason() {
    let gateway = Gateway::start();
    for (id, reason) in [
        ("nonsense", "the gateway has no upload with the id nonsense"),
        ("00000000-0000-4000-8000-000000000000", "the gateway has no upload"),
        ("Task/nonsense", "the gateway has no request Task/nonsense"),
    ] {
        let ended = run(&gateway, &["status", id]);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && told.contains(reason), "{told}");
    }
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
