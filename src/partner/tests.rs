//! Partners over real sockets: whom a URL names, what a call carries, and who is never called.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::{Partner, PartnerError, PartnerSettings, Partners};
use crate::auth::{AccessToken, Credentials};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, Secret};
use crate::outbound::testing::{FakeServer, Reply};
use crate::outbound::{Base, OutboundError, Reach};

fn settings(url: &str, reach: Reach) -> PartnerSettings {
    let config = Config::defaults_in(std::path::Path::new("/srv/gateway")).expect("the defaults are sound");
    PartnerSettings {
        name: "acme".to_owned(),
        client_id: Some("acme-ehr".to_owned()),
        identifiers: vec![("urn:npi".to_owned(), "123".to_owned())],
        fhir_base: None,
        submit_url: None,
        urls: vec![url.to_owned()],
        reach,
        credentials: Credentials::Token(Secret::new("secret"), AccessToken::new("secret").expect("a token")),
        policy: config.policy,
    }
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

#[test]
fn a_base_is_a_server_of_the_partner_or_its_fhir_base_and_nothing_below() {
    let mut settings = settings("https://fhir.acme.example/r4", Reach::Public);
    settings.fhir_base = Base::parse("https://fhir.acme.example/r4").ok();
    let partner = Partner::new(settings, &clock()).expect("a partner");
    for (url, is_base) in [
        ("https://fhir.acme.example", true),
        ("https://fhir.acme.example/", true),
        ("https://FHIR.acme.example:443/r4/", true),
        ("https://fhir.acme.example/r4/$submit-attachment", false),
        ("https://fhir.acme.example/cdex", false),
        ("https://fhir.acme.example/r4?payer=7", false),
        ("https://other.example", false),
    ] {
        assert_eq!(partner.is_base(url), is_base, "{url}");
    }
}

#[test]
fn a_partner_is_known_by_its_servers_its_client_and_its_identifiers() {
    let settings = settings("https://fhir.acme.example/r4", Reach::Public);
    let policy = settings.policy.clone();
    let partners = Partners::new(vec![settings], policy, &clock()).expect("partners");
    for (url, is_its) in [
        ("https://fhir.acme.example/r4/$submit-attachment", true),
        ("https://FHIR.acme.example:443/other", true),
        ("http://fhir.acme.example/r4", false),
        ("https://fhir.acme.example:8443/r4", false),
        ("https://fhir.acme.example.evil.example/r4", false),
        ("https://user@fhir.acme.example/r4", false),
        ("nowhere", false),
    ] {
        assert_eq!(partners.of_url(url).is_some(), is_its, "{url}");
    }
    assert!(partners.of_client(Some("acme-ehr")).is_some());
    assert!(partners.of_client(Some("other")).is_none() && partners.of_client(None).is_none());
    for (system, value, is_its) in [
        (Some("urn:npi"), "123", true),
        (None, "123", true),
        (Some("urn:other"), "123", false),
        (Some("urn:npi"), "124", false),
    ] {
        assert_eq!(partners.of_identifier(system, value).is_some(), is_its, "{system:?} {value}");
    }
}

#[tokio::test]
async fn a_call_carries_our_credentials_and_goes_to_the_partner_alone() {
    let server = FakeServer::start(|_| Reply::new(202, "", "")).await;
    let partner = Partner::new(settings(server.url(), Reach::Everywhere), &clock()).expect("a partner");
    let url = format!("{}/Task", server.url());
    let headers = [("idempotency-key".to_owned(), "1".to_owned())];
    assert_eq!(partner.get(&url, "*/*").await.expect("an answer").status, 202);
    let body = stream::iter([Ok(Bytes::from("ab")), Ok(Bytes::from("c"))]);
    let posted = partner.post_stream(&url, &headers, "text/plain", (body, 3), None).await;
    assert_eq!(posted.expect("an answer").status, 202);
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), Some("Bearer secret"));
    assert_eq!(seen[1].header("idempotency-key"), Some("1"));
    assert_eq!((seen[1].header("content-length"), &*seen[1].body), (Some("3"), "abc"));
    let own = [("Authorization".to_owned(), "Bearer theirs".to_owned())];
    let posted = partner.post_stream(&url, &own, "text/plain", (stream::iter([]), 0), None).await;
    assert_eq!(posted.expect("an answer").status, 202);
    assert_eq!(server.seen()[2].head.matches("earer").count(), 1, "one says who we are, not two");
    let elsewhere = partner.get("http://127.0.0.1:9/x", "*/*").await;
    assert_eq!(elsewhere.err(), Some(PartnerError::NotItsServer));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_private_address_is_called_only_where_the_entry_allows_it() {
    let server = FakeServer::start(|_| Reply::new(200, "", "")).await;
    let partner = Partner::new(settings(server.url(), Reach::Public), &clock()).expect("a partner");
    let refused = partner.get(server.url(), "*/*").await;
    assert_eq!(refused.err(), Some(PartnerError::Call(OutboundError::Forbidden)));
    assert!(server.seen().is_empty());
}
