//! Tests of what only the stages can judge of the settings: the upstream FHIR server's types, key and addresses.

use std::path::Path;

use super::*;
use crate::auth::testing::TestKey;

fn read(config: &Config) -> Result<Files, Problems> {
    files(config, crate::app::dex_files::at_hand(config))
}

/// Settings with an upstream server of two types.
fn config(folder: &Path) -> Config {
    let mut config = Config::defaults_in(folder).expect("the defaults are sound");
    config.fhir.upstream.url = Some("https://ehr.example.org/fhir/".to_owned());
    config.fhir.upstream.types = ["Patient", "Condition"].map(str::to_owned).into();
    config
}

fn with_key(folder: &Path, pem: &str) -> Config {
    let mut config = config(folder);
    let file = folder.join("key.pem");
    std::fs::write(&file, pem).expect("the file is written");
    config.fhir.upstream.client_id = Some("gateway".to_owned());
    config.fhir.upstream.key_file = Some(file);
    config
}

fn upstream(config: &Config) -> UpstreamSettings {
    read(config).expect("it is sound").upstream.expect("there is an upstream server")
}

#[test]
fn without_a_url_there_is_no_upstream_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = Config::defaults_in(folder.path()).expect("the defaults are sound");
    assert!(read(&config).expect("it is sound").upstream.is_none());
}

#[test]
fn an_upstream_server_is_reached_as_the_settings_say() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = upstream(&config(folder.path()));
    assert_eq!(settings.base.as_str(), "https://ehr.example.org/fhir");
    assert_eq!(settings.types, BTreeSet::from(["Condition", "Patient"]));
    assert!(matches!(settings.credentials, Credentials::None));

    let mut discovered = with_key(folder.path(), &TestKey::rsa().pem);
    let Credentials::Granted(Grant::Assertion(client)) = upstream(&discovered).credentials else {
        panic!("it is a client")
    };
    assert_eq!((&*client.client_id, &*client.scope), ("gateway", "system/Patient.rs system/Condition.rs"));
    assert!(matches!(client.endpoint, TokenEndpoint::Discovered(_)));
    discovered.fhir.upstream.token_url = Some("https://login.example.org/token".to_owned());
    discovered.fhir.upstream.scope = Some("system/*.read".to_owned());
    let Credentials::Granted(Grant::Assertion(client)) = upstream(&discovered).credentials else {
        panic!("it is a client")
    };
    assert!(matches!(&client.endpoint, TokenEndpoint::At(url) if url == "https://login.example.org/token"));
    assert_eq!(client.scope, "system/*.read");
}

#[test]
fn private_addresses_are_called_only_where_the_settings_mean_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (url, is_allowed, reach) in [
        ("https://ehr.example.org/fhir", false, Reach::Public),
        ("https://ehr.example.org/fhir", true, Reach::Everywhere),
        ("https://8.8.8.8/fhir", false, Reach::Public),
        ("http://10.1.2.3:8080/fhir", false, Reach::Everywhere),
        ("http://localhost/fhir", false, Reach::Everywhere),
    ] {
        let mut config = config(folder.path());
        config.fhir.upstream.url = Some(url.to_owned());
        config.fhir.upstream.allow_private_addresses = is_allowed;
        assert_eq!(upstream(&config).reach, reach, "{url}");
    }
}

#[test]
fn all_that_is_wrong_with_files_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = with_key(folder.path(), "ZZSECRET");
    config.fhir.upstream.types = ["Patient", "patient", "DomainResource"].map(str::to_owned).into();
    config.delivery.config_file = Some(folder.path().join("nowhere.yml"));
    let problems = read(&config).err().expect("there are problems").to_string();
    let places: Vec<&str> = problems.lines().filter_map(|line| line.split(": ").next()).collect();
    let expected = [
        "delivery.config_file",
        "fhir.upstream.types[1]",
        "fhir.upstream.types[2]",
        "fhir.upstream.key_file",
    ];
    assert_eq!(places, expected);
    assert!(!problems.contains("ZZSECRET"), "{problems}");

    for pem in [TestKey::p256().pem.as_str(), ""] {
        let problems = read(&with_key(folder.path(), pem)).err().expect("there are problems").to_string();
        assert!(problems.starts_with("fhir.upstream.key_file: "), "{problems}");
    }
    config.fhir.upstream.key_file = Some(folder.path().join("nowhere.pem"));
    assert!(read(&config).err().expect("there are problems").to_string().contains("entity not found"));
}
