//! Who we say we are: a token of our own on each call, another one when it is refused, and nobody's but ours.

use std::sync::Mutex;

use super::*;
use crate::auth::testing::TestKey;
use crate::auth::{AccessToken, ClientSettings, Grant, SigningKey, TokenEndpoint, TokenError};
use crate::config::Secret;

/// Settings with which the gateway fetches its tokens from `/token` of the server.
fn as_client(server: &FakeServer, key: &TestKey) -> UpstreamSettings {
    let client = ClientSettings {
        client_id: "gateway".to_owned(),
        key: SigningKey::from_pem(key.pem.as_bytes(), None).expect("a key that signs"),
        scope: "system/Patient.rs".to_owned(),
        endpoint: TokenEndpoint::At(format!("{}/token", server.url())),
    };
    UpstreamSettings {
        credentials: Credentials::Granted(Grant::Assertion(Box::new(client))),
        ..settings(server)
    }
}

/// Issues `token-1`, `token-2`, … and lets in whoever has the last one that `is_good`.
fn guarded(is_good: impl Fn(usize) -> bool + Send + Sync) -> impl Fn(&Received) -> Reply {
    let issued = Mutex::new(0_usize);
    move |request| {
        let mut issued = issued.lock().expect("no test panics here");
        if request.line() == "POST /token" {
            *issued += 1;
            return Reply::json(&json!({
                "access_token": format!("token-{issued}"), "token_type": "Bearer", "expires_in": 300
            }));
        }
        let bearer = format!("Bearer token-{issued}");
        if is_good(*issued) && request.header("authorization") == Some(&bearer) {
            Reply::json(&patient("1"))
        } else {
            Reply::new(401, "WWW-Authenticate: Bearer\r\n", "")
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_made_again_once() {
    let key = TestKey::p384();
    let server = FakeServer::start(guarded(|issued| issued >= 2)).await;
    let upstream = upstream_with(as_client(&server, &key));
    let access = access();
    for _ in 0..2 {
        upstream.read(&view(&access), "Patient", "1").await.expect("a Patient");
    }
    let asked =
        ["POST /token", "GET /ehr/Patient/1", "POST /token", "GET /ehr/Patient/1", "GET /ehr/Patient/1"];
    assert_eq!(server.lines(), asked);
    let form = &server.seen()[0].body;
    let assertion = form.split("client_assertion=").nth(1).expect("an assertion");
    assert_eq!(key.verify(assertion, &format!("{}/token", server.url()))["sub"], "gateway");

    let server = FakeServer::start(guarded(|_| false)).await;
    let upstream = upstream_with(as_client(&server, &key));
    let error = upstream.read(&view(&access), "Patient", "1").await.expect_err("it fails");
    assert_eq!(error, UpstreamError::Denied(401));
    assert_eq!(server.seen().len(), 4, "one token, one refusal, one more of each");
}

#[tokio::test]
async fn without_a_token_nothing_is_asked() {
    let server = FakeServer::start(|_| Reply::new(400, "", r#"{"error":"invalid_client"}"#)).await;
    let upstream = upstream_with(as_client(&server, &TestKey::p384()));
    let access = access();
    let error = upstream.read(&view(&access), "Patient", "1").await.expect_err("it fails");
    assert_eq!(error, UpstreamError::Token(TokenError::Refused(400)));
    assert_eq!(server.lines(), ["POST /token"]);
}

#[tokio::test]
async fn a_fixed_token_is_sent_as_it_is_and_not_replaced() {
    let server = FakeServer::start(|request| match request.header("authorization") {
        Some("Bearer abc") => Reply::json(&patient("1")),
        _ => Reply::new(401, "", ""),
    })
    .await;
    let access = access();
    for (text, outcome) in [("abc", Ok(patient("1"))), ("abd", Err(UpstreamError::Denied(401)))] {
        let token = AccessToken::new(text).expect("it can be sent");
        let credentials = Credentials::Token(Secret::new(text), token);
        let upstream = upstream_with(UpstreamSettings { credentials, ..settings(&server) });
        assert_eq!(upstream.read(&view(&access), "Patient", "1").await, outcome);
    }
    assert_eq!(server.seen().len(), 2);
}
