//! Tests of our own tokens against an authorisation server on a real socket that verifies what it is sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::auth::testing::TestKey;
use crate::clock::{Clock, ManualClock};
use crate::outbound::testing::{FakeServer, Received, Reply};
use crate::outbound::{Limits, Reach};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::parse_rfc3339("2026-05-05T14:03:22Z").expect("an instant")))
}

fn client(clock: &Arc<ManualClock>, key: &TestKey, endpoint: TokenEndpoint) -> TokenClient {
    let limits = Limits { reach: Reach::Everywhere, ..Limits::default() };
    let settings = ClientSettings {
        client_id: "gateway one".to_owned(),
        key: SigningKey::from_pem(key.pem.as_bytes(), Some("key-1")).expect("a key that signs"),
        scope: "system/Patient.rs system/Condition.rs".to_owned(),
        endpoint,
    };
    TokenClient::new(
        Client::new(limits).expect("TLS can be set up"),
        clock.clone(),
        Grant::Assertion(Box::new(settings)),
    )
}

/// Answers with `token-1`, `token-2`, …, each holding so many seconds.
fn counting(expires_in: u64) -> impl Fn(&Received) -> Reply {
    let count = AtomicUsize::new(0);
    move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::json(&json!({
            "access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": expires_in
        }))
    }
}

fn token(text: &str) -> AccessToken {
    AccessToken::new(text).expect("it can be sent")
}

/// The fields of a form.
fn fields(request: &Received) -> Vec<(String, String)> {
    form_urlencoded::parse(request.body.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn the_assertion_is_what_smart_asks_for_whatever_the_kind_of_key() {
    for key in [TestKey::rsa(), TestKey::p384()] {
        let server = FakeServer::start(counting(300)).await;
        let endpoint = format!("{}/token", server.url());
        let clock = clock();
        let client = client(&clock, &key, TokenEndpoint::At(endpoint.clone()));
        let mut names = BTreeSet::new();
        for number in 1..=2 {
            assert_eq!(client.token().await, Ok(token(&format!("token-{number}"))));
            let seen = server.seen();
            let request = seen.last().expect("a request");
            assert_eq!(request.line(), "POST /token");
            assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
            assert_eq!(request.header("authorization"), None);
            let fields = fields(request);
            let assertion = &fields.iter().find(|(name, _)| name == "client_assertion").expect("one").1;
            let claims = key.verify(assertion, &endpoint);
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("gateway one"), &json!("gateway one")));
            let now = clock.now().as_nanos() / 1_000_000_000;
            let life = claims["exp"].as_i64().expect("seconds") - now;
            assert!((1..=300).contains(&life), "{life}");
            names.insert(claims["jti"].to_string());
            let rest: Vec<_> = fields.iter().filter(|(name, _)| name != "client_assertion").collect();
            assert_eq!(
                rest.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
                [
                    ("grant_type", "client_credentials"),
                    ("scope", "system/Patient.rs system/Condition.rs"),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ]
            );
            let header = jsonwebtoken::decode_header(assertion).expect("a header");
            assert_eq!(header.kid.as_deref(), Some("key-1"));
            clock.advance(Duration::from_mins(10));
        }
        assert_eq!(names.len(), 2, "no assertion is used twice");
    }
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end() {
    let server = FakeServer::start(counting(300)).await;
    let clock = clock();
    let client = client(&clock, &TestKey::p384(), TokenEndpoint::At(server.url().to_owned()));
    for (seconds, number) in [(0, 1), (269, 1), (1, 2), (269, 2), (1, 3)] {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(client.token().await, Ok(token(&format!("token-{number}"))), "after {seconds} more");
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn those_who_need_a_token_at_once_share_one_request_and_its_failure() {
    let server = FakeServer::start(counting(300)).await;
    let key = TestKey::p384();
    let client_of = |url: &str| client(&clock(), &key, TokenEndpoint::At(url.to_owned()));
    let client = client_of(server.url());
    let all = futures_util::future::join_all((0..20).map(|_| client.token())).await;
    assert!(all.into_iter().all(|outcome| outcome == Ok(token("token-1"))));
    assert_eq!(server.seen().len(), 1);

    let server = FakeServer::start(|_| Reply::new(400, "", r#"{"error":"invalid_client"}"#)).await;
    let client = client_of(server.url());
    let all = futures_util::future::join_all((0..20).map(|_| client.token())).await;
    assert!(all.into_iter().all(|outcome| outcome == Err(TokenError::Refused(400))));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_failure_is_not_kept_for_long() {
    let count = AtomicUsize::new(0);
    let server = FakeServer::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(500, "", ""),
        _ => Reply::json(&json!({ "access_token": "a", "token_type": "bearer" })),
    })
    .await;
    let clock = clock();
    let client = client(&clock, &TestKey::p384(), TokenEndpoint::At(server.url().to_owned()));
    assert_eq!(client.token().await, Err(TokenError::Refused(500)));
    clock.advance(PAUSE);
    assert_eq!(client.token().await, Ok(token("a")));
    clock.advance(TOKEN_LIFE.0);
    assert_eq!(client.token().await, Ok(token("a")));
    assert_eq!(server.seen().len(), 3, "a token that does not say how long it lives lives a minute");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all() {
    let server = FakeServer::start(counting(300)).await;
    let client = client(&clock(), &TestKey::p384(), TokenEndpoint::At(server.url().to_owned()));
    let first = client.token().await.expect("a token");
    client.forget(&first).await;
    assert_eq!(client.token().await, Ok(token("token-2")));
    // Somebody else who was refused with the first one comes late.
    client.forget(&first).await;
    assert_eq!(client.token().await, Ok(token("token-2")));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_endpoint_is_where_the_fhir_server_says() {
    let server = FakeServer::start(|request| {
        let host = request.header("host").expect("a host").to_owned();
        match request.line() {
            "GET /fhir/.well-known/smart-configuration" => {
                Reply::json(&json!({ "token_endpoint": format!("http://{host}/oauth2/token") }))
            }
            "POST /oauth2/token" => {
                Reply::json(&json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 4 }))
            }
            _ => Reply::new(404, "", ""),
        }
    })
    .await;
    let base = Base::parse(&format!("{}/fhir", server.url())).expect("a base");
    let clock = clock();
    let client = client(&clock, &TestKey::p384(), TokenEndpoint::Discovered(base));
    assert_eq!(client.token().await, Ok(token("a")));
    clock.advance(Duration::from_secs(3));
    assert_eq!(client.token().await, Ok(token("a")));
    let asked = ["GET /fhir/.well-known/smart-configuration", "POST /oauth2/token", "POST /oauth2/token"];
    assert_eq!(
        server.lines(),
        asked,
        "the endpoint is asked for once, a short life is used up to its last quarter"
    );
}

#[tokio::test]
async fn what_is_no_endpoint_or_no_token_is_refused() {
    let configurations = [
        Reply::new(404, "", ""),
        Reply::new(200, "", "<html>"),
        Reply::json(&json!({})),
        Reply::json(&json!({ "token_endpoint": "file:///etc/passwd" })),
        Reply::json(&json!({ "token_endpoint": "http://user:word@127.0.0.1/token" })),
    ];
    for reply in configurations {
        let told = format!("{reply:?}");
        let server = FakeServer::start(move |_| reply.clone()).await;
        let base = Base::parse(server.url()).expect("a base");
        let client = client(&clock(), &TestKey::p384(), TokenEndpoint::Discovered(base));
        assert_eq!(client.token().await, Err(TokenError::NoEndpoint), "{told}");
    }
    let tokens = [
        (Reply::new(200, "", "{"), TokenError::NotAToken),
        (Reply::json(&json!({ "access_token": "a" })), TokenError::NotAToken),
        (Reply::json(&json!({ "access_token": "a", "token_type": "mac" })), TokenError::NotAToken),
        (Reply::json(&json!({ "access_token": "", "token_type": "bearer" })), TokenError::NotAToken),
        (Reply::json(&json!({ "access_token": "a\r\nX: y", "token_type": "bearer" })), TokenError::NotAToken),
        (Reply::new(302, "Location: http://127.0.0.1:1/\r\n", ""), TokenError::Refused(302)),
        (Reply::new(401, "", r#"{"error":"invalid_client"}"#), TokenError::Refused(401)),
        (Reply::new(200, "", &"x".repeat(2 << 20)), TokenError::Call(OutboundError::TooLarge)),
    ];
    for (reply, error) in tokens {
        let server = FakeServer::start(move |_| reply.clone()).await;
        let client = client(&clock(), &TestKey::p384(), TokenEndpoint::At(server.url().to_owned()));
        assert_eq!(client.token().await, Err(error));
    }
    let nobody = TokenEndpoint::At("http://127.0.0.1:1/".to_owned());
    let client = client(&clock(), &TestKey::p384(), nobody);
    assert_eq!(client.token().await, Err(TokenError::Call(OutboundError::Connect)));
}

#[test]
fn only_keys_that_sign_as_smart_asks_are_taken() {
    for key in [TestKey::rsa(), TestKey::p384()] {
        assert!(SigningKey::from_pem(key.pem.as_bytes(), None).is_ok());
    }
    let p256 = TestKey::p256();
    let cut = p256.pem.replace('M', "");
    let cases = [
        (p256.pem.as_str(), KeyError::Unsuitable),
        (cut.as_str(), KeyError::Unreadable),
        ("", KeyError::Unreadable),
        ("ZZSECRET", KeyError::Unreadable),
    ];
    for (pem, error) in cases {
        assert_eq!(SigningKey::from_pem(pem.as_bytes(), None).err(), Some(error));
    }
}

#[test]
fn no_output_shows_a_key_or_a_token() {
    let key = TestKey::p384();
    let signing = SigningKey::from_pem(key.pem.as_bytes(), None).expect("a key that signs");
    assert_eq!(format!("{signing:?}"), "SigningKey { algorithm: ES384, .. }");
    assert_eq!(format!("{:?}", AccessToken::new("ZZSECRET")), "Some(AccessToken([hidden]))");
}
