//! fhir-kit-client (npm), fhirpy and fhirclient (`PyPI`) use the REST API, and @medplum/core (npm) validates every kind
//! of answer against the definitions of R4. What each does is in its script; a script that finds something wrong says
//! so and fails.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{available, node, python};
use crate::support::gateway::{Gateway, for_each_database};

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

/// Runs a script against the FHIR base of a gateway.
#[track_caller]
fn succeeds(script: &mut Command, gateway: &Gateway) {
    let script = script.arg(format!("{}/fhir", gateway.url())).stdin(Stdio::null());
    let output = script.output().expect("an installed client runs");
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
