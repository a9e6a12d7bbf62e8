//! Tests of logins and shared secrets against a token endpoint on a real socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::auth::{Credentials, Tokens};
use crate::clock::{ManualClock, SharedClock, Timestamp};
use crate::outbound::testing::{FakeServer, Received, Reply};
use crate::outbound::tus::Identity;
use crate::outbound::{Limits, Reach};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::parse_rfc3339("2026-05-05T14:03:22Z").expect("an instant")))
}

fn tokens(grant: Grant, clock: &Arc<ManualClock>) -> Tokens {
    let limits = Limits { reach: Reach::Everywhere, ..Limits::default() };
    let clock: SharedClock = clock.clone();
    Credentials::Granted(grant).into_tokens(limits, &clock).expect("TLS can be set up")
}

fn login(server: &FakeServer) -> Grant {
    Grant::DexLogin(DexLogin {
        url: format!("{}/oauth", server.url()),
        username: "sender & co".to_owned(),
        password: Secret::new("pass+word"),
    })
}

async fn authorization(tokens: &Tokens, refused: Option<&str>) -> String {
    tokens.authorization(refused).await.expect("a token").expect("somebody")
}

/// Issues `token-1`, `token-2`, … for an hour, each with what brings the next one; `is_good` says which requests it
/// likes.
fn gateway(is_good: impl Fn(&Received, usize) -> bool) -> impl Fn(&Received) -> Reply {
    let count = AtomicUsize::new(0);
    move |request| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        if !is_good(request, number) {
            return Reply::new(400, "", r#"{"error":"invalid_request","error_description":"x"}"#);
        }
        Reply::json(&json!({
            "access_token": format!("token-{number}"), "token_type": "bearer", "expires_in": 3600,
            "refresh_token": format!("next-{number}"), "scope": "dex:upload", "resource": [],
        }))
    }
}

/// F-01
#[tokio::test]
async fn f_01_a_dex_login_is_spared_as_long_as_the_token_can_be_refreshed() {
    let server = FakeServer::start(gateway(|_, _| true)).await;
    let clock = clock();
    let tokens = tokens(login(&server), &clock);
    assert_eq!(authorization(&tokens, None).await, "Bearer token-1");
    clock.advance(Duration::from_mins(59));
    assert_eq!(authorization(&tokens, None).await, "Bearer token-1");
    clock.advance(Duration::from_mins(1));
    assert_eq!(authorization(&tokens, None).await, "Bearer token-2");
    // Refused before its end, by two at once.
    let [one, other] =
        [Some("Bearer token-2"), Some("Bearer token-2")].map(|refused| authorization(&tokens, refused));
    assert_eq!(futures_util::join!(one, other), ("Bearer token-3".to_owned(), "Bearer token-3".to_owned()));
    assert_eq!(server.lines(), ["POST /oauth", "POST /oauth/refresh", "POST /oauth/refresh"]);
    let seen = server.seen();
    assert_eq!(seen[0].body, "username=sender%20%26%20co&password=pass%2Bword");
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!((&*seen[1].body, &*seen[2].body), ("refresh_token=next-1", "refresh_token=next-2"));
}

/// F-01
#[tokio::test]
async fn f_01_where_a_refresh_is_refused_the_login_is_repeated() {
    let server = FakeServer::start(gateway(|request, _| request.line() == "POST /oauth")).await;
    let clock = clock();
    let tokens = tokens(login(&server), &clock);
    for number in [1, 3] {
        assert_eq!(authorization(&tokens, None).await, format!("Bearer token-{number}"));
        clock.advance(Duration::from_hours(1));
    }
    assert_eq!(server.lines(), ["POST /oauth", "POST /oauth/refresh", "POST /oauth"]);
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_by_its_status_alone() {
    let server = FakeServer::start(gateway(|_, _| false)).await;
    let tokens = tokens(login(&server), &clock());
    let error = tokens.authorization(None).await.expect_err("it is refused").to_string();
    assert_eq!(error, "the authorisation server refused the request for a token with status 400");
    assert!(!format!("{:?}", login(&server)).contains("pass+word"));
}

/// F-01
#[tokio::test]
async fn f_01_a_client_with_a_secret_is_known_by_basic_authentication() {
    let server = FakeServer::start(gateway(|_, _| true)).await;
    for (scope, body) in [
        (None, "grant_type=client_credentials"),
        (Some("dex:upload"), "grant_type=client_credentials&scope=dex%3Aupload"),
    ] {
        let tokens = tokens(
            Grant::SharedSecret(SharedSecret {
                token_url: format!("{}/token", server.url()),
                client_id: "gateway-1".to_owned(),
                client_secret: Secret::new("a:b c"),
                scope: scope.map(str::to_owned),
            }),
            &clock(),
        );
        authorization(&tokens, None).await;
        let seen = server.seen();
        let request = seen.last().expect("a request");
        assert_eq!((request.line(), &*request.body), ("POST /token", body));
        let pair = STANDARD.encode_to_string("gateway-1:a%3Ab%20c");
        assert_eq!(request.header("authorization"), Some(&*format!("Basic {pair}")));
    }
}

#[tokio::test]
async fn whoever_has_one_token_or_none_has_no_other() {
    let token = crate::auth::AccessToken::new("only").expect("a token");
    assert_eq!(authorization(&Tokens::Fixed(token.clone()), None).await, "Bearer only");
    let other = Tokens::Fixed(token).authorization(Some("Bearer only")).await;
    assert_eq!(other.expect("no error"), None);
    assert_eq!(Tokens::None.authorization(None).await.expect("no error"), None);
}
