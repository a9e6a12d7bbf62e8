//! A deployment of DEX that is moved here with its environment and its files (W-36).

use std::process::{Command, Output, Stdio};

use super::verdict;
use crate::support::environment;
use crate::support::gateway::{Gateway, furnish};
use crate::support::{files, tus};

const STREAM: &str = r#"{"metadata_config":{"fields":[]}}"#;
const DELIVERY: &str = "targets:\n  edav: { name: edav, type: file, path: ./delivered/edav }\nrouting_groups:\n  \
    - { data_stream_id: lab, data_stream_route: csv, delivery_targets: [{ name: edav, path_template: '{{.UploadId}}' }] }\n";
const LAB: &[(&str, &str)] = &[("data_stream_id", "lab"), ("data_stream_route", "csv")];

/// W-36: the variables of DEX mean here what they meant there, and ours win.
#[test]
fn w_36_a_deployment_of_dex_is_moved_with_its_environment() {
    let mut gateway = Gateway::prepare(&[
        ("UPLOAD_CONFIG_PATH", "{data}/../streams"),
        ("DEX_DELIVERY_CONFIG_FILE", "{data}/../deliver.yml"),
        ("LOCAL_FOLDER_UPLOADS_TUS", "{data}/../kept"),
        ("LISTENER_WORKERS", "3"),
        // Ours says where it listens.
        ("SERVER_PORT", "1"),
        ("UI_PORT", "8081"),
    ]);
    furnish(&gateway, "streams/lab_csv.json", STREAM);
    furnish(&gateway, "deliver.yml", DELIVERY);
    gateway.launch();
    let upload = tus::created(&verdict(&gateway, LAB));
    tus::append(&gateway, &upload.path, 0, b"abc");
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(files::below(&gateway.data_dir().join("delivered/edav")).len(), 1);
    assert!(!files::below(&gateway.scratch().join("kept")).is_empty(), "the bytes are where DEX kept them");
    let log = gateway.wrote();
    for told in ["LOCAL_FOLDER_UPLOADS_TUS", "UI_PORT"] {
        assert!(log.contains(told), "{told} is not told: {log}");
    }
}

fn check(environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut program = Command::new(env!("CARGO_BIN_EXE_cdex-gateway"));
    for name in environment::inherited_settings() {
        program.env_remove(name);
    }
    program
        .arg("check-config")
        .envs(environment.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::null());
    program.output().expect("the binary under test runs")
}

/// W-36: what came from where is told by name; the value may be a secret.
#[test]
fn w_36_check_config_tells_what_came_from_where_and_never_a_value() {
    let output = check(&[
        ("S3_BUCKET_NAME", "ZZBUCKET"),
        ("S3_ENDPOINT", "http://127.0.0.1:1"),
        ("CDEX_UPLOAD__STORE__ACCESS_KEY_ID", "ZZKEY"),
        ("CDEX_UPLOAD__STORE__SECRET_ACCESS_KEY", "ZZSECRET"),
        ("REDIS_CONNECTION_STRING", "redis://:ZZSECRET@h"),
    ]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "upload.store_url: set by S3_BUCKET_NAME",
        "upload.store.endpoint: set by S3_ENDPOINT",
        "upload.store.secret_access_key: set by CDEX_UPLOAD__STORE__SECRET_ACCESS_KEY",
        "REDIS_CONNECTION_STRING: not used, the database holds the locks",
    ] {
        assert!(told.lines().any(|known| known == line), "{line} is not told: {told}");
    }
    assert!(!told.contains("ZZ"), "{told}");
}

/// W-36: traps of DEX are told instead of sprung; whoever asked for authentication does not get an open door.
#[test]
fn w_36_what_cannot_be_meant_is_refused() {
    for (environment, key) in [
        (&[("S3_BUCKET_NAME", "b"), ("TUS_AZURE_CONTAINER_NAME", "c")][..], "S3_BUCKET_NAME"),
        (&[("OAUTH_AUTH_ENABLED", "true")], "auth.mode"),
        (&[("SERVER_PORT", "http")], "SERVER_PORT"),
    ] {
        let output = check(environment);
        assert!(!output.status.success(), "{environment:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.lines().any(|line| line.starts_with(&format!("{key}: "))), "{told}");
    }
}
