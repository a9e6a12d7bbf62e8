//! `check-config` and the start of a gateway, as an operator meets them: what is wrong is told all at once with its
//! key, what is legal but surely not meant is a warning.

use std::process::{Command, Output, Stdio};

use crate::support::environment;

/// Runs a command with this configuration file.
fn run(command: &str, configuration: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, configuration).expect("a small file fits");
    let mut program = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
    for name in environment::inherited_settings() {
        program.env_remove(name);
    }
    program.args([command, "--config"]).arg(&file).current_dir(folder.path()).stdin(Stdio::null());
    program.output().expect("the binary under test runs")
}

/// The keys that lines begin with.
fn keys(lines: &[u8]) -> Vec<String> {
    let lines = String::from_utf8_lossy(lines);
    let key = |line: &str| line.split(": ").next().unwrap_or_default().to_owned();
    lines.lines().map(key).collect()
}

#[test]
fn what_is_wrong_with_settings_and_with_the_files_that_they_name_is_told_at_once() {
    let configuration = r#"
        [delivery]
        concurrency = 0
        config_file = "absent.yml"
        [telemetry]
        log_filter = "="
        [partner.acme]
        hosts = ["https://acme.example/path"]
        credentials = { client_id = "gateway", key_file = "absent.pem", token_url = "https://acme.example/token" }
    "#;
    for command in ["check-config", "serve"] {
        let output = run(command, configuration);
        assert!(!output.status.success(), "{command}");
        let mut told = keys(&output.stderr);
        told.sort();
        let expected = [
            "delivery.concurrency",
            "delivery.config_file",
            "partner.acme.credentials.key_file",
            "partner.acme.hosts[0]",
            "telemetry.log_filter",
        ];
        assert_eq!(told, expected, "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_is_legal_but_surely_not_meant_is_a_warning_with_its_key() {
    let output = run(
        "check-config",
        r#"
        [delivery]
        retry_schedule_secs = []
        [partner.acme]
        fhir_base = "http://10.1.2.3/fhir"
        [partner.beta]
        hosts = ["https://shared.example"]
        [partner.gamma]
        submit_url = "https://shared.example/fhir/$submit-attachment"
        "#,
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    let warned: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
    let keys: Vec<&str> = warned.iter().filter_map(|line| line.split(": ").next()).collect();
    let expected = ["delivery.retry_schedule_secs", "partner.acme.fhir_base", "partner.gamma.submit_url"];
    assert_eq!(keys, expected, "{printed}");
    assert!(printed.ends_with("the configuration is sound\n"), "{printed}");
}
