//! fhir-kit-client (npm), fhirpy and fhirclient (`PyPI`) use the REST API, and @medplum/core (npm) validates every kind
//! of answer against the definitions of R4; schemathesis (`PyPI`) tries what the OpenAPI description promises. What
//! each does is in its script; a script that finds something wrong says so and fails.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::environment::number;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::install::{available, node, python};

#[test]
fn fhir_kit_client_can_do_all_that_it_offers() {
    let Some(folder) = node_clients() else { return };
    for_each_database(&[], |gateway| {
        succeeds(Command::new("node").arg(folder.join("fhir_kit.mjs")), &gateway);
    });
}

#[test]
fn fhirpy_can_do_all_that_it_offers() {
    let Some(folder) = python_clients() else { return };
    for_each_database(&[], |gateway| {
        succeeds(Command::new(folder.join("venv/bin/python")).arg(folder.join("with_fhirpy.py")), &gateway);
    });
}

#[test]
fn fhirclient_reads_all_answers_into_its_strict_models() {
    let Some(folder) = python_clients() else { return };
    for_each_database(&[], |gateway| {
        let mut command = Command::new(folder.join("venv/bin/python"));
        succeeds(command.arg(folder.join("with_fhirclient.py")), &gateway);
    });
}

#[test]
fn every_kind_of_answer_is_valid_r4_in_the_eyes_of_medplum() {
    let Some(folder) = node_clients() else { return };
    let gateway = Gateway::start();
    succeeds(Command::new("node").arg(folder.join("medplum.mjs")), &gateway);
}

/// Paths that differ from others by their type alone are left to longer runs.
const SOME_PATHS: &str =
    "^/(fhir/(Task|Patient|Binary|DocumentReference|metadata|[{$]|$)|files|info|route|health|version)";

#[test]
fn schemathesis_finds_nothing_that_the_openapi_description_does_not_say() {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["schemathesis/requirements.txt"];
    let Some(folder) = available(INSTALLED.get_or_init(|| python("schemathesis", &files, "schemathesis")))
    else {
        return;
    };
    let gateway = Gateway::start();
    let examples = number("CDEX_TEST_EXAMPLES");
    let mut command = Command::new(folder.join("venv/bin/schemathesis"));
    command.arg("run").arg(format!("{}/openapi.json", gateway.url())).current_dir(gateway.scratch());
    command.args(["--phases", if examples.is_some() { "coverage,fuzzing" } else { "fuzzing" }]);
    command.args(["--max-examples", &examples.unwrap_or(3).to_string(), "--generation-deterministic"]);
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    // It knows no way to make bytes of the media type of tus.
    command.args(["--checks", checks, "--request-timeout", "30", "--exclude-operation-id", "appendToUpload"]);
    if examples.is_none() {
        command.args(["--include-path-regex", SOME_PATHS]);
    }
    ends_well(command.stdin(Stdio::null()));
}

/// Runs a script against the FHIR base of a gateway.
#[track_caller]
fn succeeds(script: &mut Command, gateway: &Gateway) {
    ends_well(script.arg(format!("{}/fhir", gateway.url())).stdin(Stdio::null()));
}

#[track_caller]
fn ends_well(command: &mut Command) {
    let output = command.output().expect("an installed client runs");
    let told = [output.stdout, output.stderr].concat();
    // The end says what is wrong; what comes before may be a whole minified program.
    let tail = &told[told.len().saturating_sub(4000)..];
    assert!(output.status.success(), "{}", String::from_utf8_lossy(tail));
}

fn node_clients() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["fhir-js/package.json", "fhir-js/fhir_kit.mjs", "fhir-js/medplum.mjs"];
    available(INSTALLED.get_or_init(|| node("fhir-js", &files, "fhir-kit-client")))
}

fn python_clients() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let files = ["fhir-py/requirements.txt", "fhir-py/with_fhirpy.py", "fhir-py/with_fhirclient.py"];
    available(INSTALLED.get_or_init(|| python("fhir-py", &files, "fhirpy, fhirclient")))
}
