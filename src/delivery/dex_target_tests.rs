//! Tests of `type: dex` in a delivery file.

use super::*;
use crate::delivery::Routing;

fn target(keys: &str) -> Result<DexTarget, Vec<String>> {
    let yaml = format!("targets:\n  x: {{ name: x, type: dex, {keys} }}\n");
    let routing = Routing::from_yaml("d.yml", &yaml, &|_| None);
    let routing = routing.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    match &routing.targets()["x"] {
        TargetConfig::Dex(target) => Ok(target.clone()),
        other => panic!("{other:?}"),
    }
}

/// F-02, F-09
#[test]
fn f_02_f_09_a_url_is_enough_and_says_where_the_rest_is() {
    for (url, info, oauth) in [
        (
            "https://api.example.org/upload",
            "https://api.example.org/upload/info",
            "https://api.example.org/oauth",
        ),
        ("https://dex.example.org/files/", "https://dex.example.org/info", "https://dex.example.org/oauth"),
        ("https://h/a/upload/files", "https://h/a/upload/info", "https://h/a/oauth"),
    ] {
        let target = target(&format!("url: '{url}', username: u, password: p")).expect("it can be read");
        assert_eq!(target.url, url.trim_end_matches('/'));
        assert_eq!(target.info_url.as_deref(), Some(info));
        let DexCredential::Login(login) = &target.login else { panic!("a login") };
        assert_eq!((&*login.url, &*login.username, login.password.reveal()), (oauth, "u", "p"));
        assert_eq!((target.wait_for, target.locations), (WaitFor::Complete, Locations::AsIs));
        assert_eq!((target.chunk_bytes, target.reach), (CHUNK_BYTES.0, Reach::Public));
    }
    let own_machine = target("url: 'http://127.0.0.1:8080/files'").expect("it can be read");
    assert_eq!((own_machine.login, own_machine.reach), (DexCredential::None, Reach::Everywhere));
}

/// F-01, F-03
#[test]
fn f_01_f_03_everything_else_can_be_said() {
    let target = target(
        "url: 'https://h/tus', wait_for: delivered, info_url: 'https://h/status/', location: rebase,
         chunk_bytes: 5242880, expected_targets: [edav, ehdi], private_addresses: true,
         metadata: { data_stream_id: 'eicr', version: '' },
         client_id: c, client_secret: s, token_url: 'https://id/token', scope: 'dex:upload'",
    )
    .expect("it can be read");
    assert_eq!((target.wait_for, target.locations), (WaitFor::Delivered, Locations::Rebase));
    assert_eq!((target.info_url.as_deref(), target.chunk_bytes), (Some("https://h/status"), 5_242_880));
    assert_eq!(target.expected_targets, ["edav", "ehdi"]);
    assert_eq!(target.metadata.len(), 2);
    assert_eq!(target.reach, Reach::Everywhere);
    let DexCredential::Client(client) = &target.login else { panic!("a client") };
    assert_eq!((&*client.token_url, client.scope.as_deref()), ("https://id/token", Some("dex:upload")));
    assert!(!format!("{target:?}").contains("\"s\""), "a secret is not shown");
}

#[test]
fn whatever_is_wrong_is_said_with_its_key() {
    let url = "url: 'https://h/files'";
    for (keys, places) in [
        (String::new(), &["url"][..]),
        ("url: nowhere".to_owned(), &["url"]),
        ("url: 'https://u@h/files'".to_owned(), &["url"]),
        ("url: 'https://h/tus'".to_owned(), &["info_url"]),
        (format!("{url}, wait_for: ever, location: there"), &["wait_for", "location"]),
        (format!("{url}, chunk_bytes: 1"), &["chunk_bytes"]),
        (format!("{url}, chunk_bytes: many"), &["chunk_bytes"]),
        (format!("{url}, username: u"), &["password"]),
        (format!("{url}, client_id: c"), &["token_url", "client_secret"]),
        (format!("{url}, static_token: 'a b'"), &["static_token"]),
        (format!("{url}, username: u, password: p, static_token: t"), &["static_token", "password"]),
        (format!("{url}, expected_targets: edav"), &["expected_targets"]),
        (format!("{url}, expected_targets: [1]"), &["expected_targets"]),
        (format!("{url}, metadata: [a]"), &["metadata"]),
        (format!("{url}, metadata: {{ version: 2.0 }}"), &["metadata"]),
        (format!("{url}, private_addresses: perhaps"), &["private_addresses"]),
        (format!("{url}, path: x"), &["path"]),
    ] {
        let problems = target(&keys).expect_err("it is wrong");
        let found: Vec<&str> = problems
            .iter()
            .map(|problem| {
                let place = problem.strip_prefix("d.yml: targets.x.").expect("its place");
                place.split(':').next().expect("a key")
            })
            .collect();
        assert_eq!(found, places, "{keys}: {problems:?}");
    }
}
