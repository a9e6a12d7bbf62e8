//! Tests of the way to the identity provider, which is a server on a socket that keeps RFC 6749.

use serde_json::json;

use super::*;
use crate::outbound::testing::{FakeServer, Received, Reply};

fn field(request: &Received, name: &str) -> Option<String> {
    let value = request.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    value.map(str::to_owned)
}

/// A token endpoint with one registered client and one user.
fn provider(request: &Received) -> Reply {
    let refused = |status, error: &str| {
        Reply::new(status, "Content-Type: application/json\r\n", &json!({ "error": error }).to_string())
    };
    // gate:way s3cret, with both halves encoded as a form.
    if request.header("authorization") != Some("Basic Z2F0ZSUzQXdheTpzM2NyZXQ=") {
        return refused(401, "invalid_client");
    }
    let granted = match field(request, "grant_type").as_deref() {
        Some("password") => {
            field(request, "username").as_deref() == Some("sender")
                && field(request, "password").as_deref() == Some("p%26w")
                && field(request, "scope").as_deref() == Some("dex%3Aupload")
        }
        Some("refresh_token") => field(request, "refresh_token").as_deref() == Some("again"),
        _ => return refused(400, "unsupported_grant_type"),
    };
    if !granted {
        return refused(400, "invalid_grant");
    }
    Reply::json(&json!({
        "access_token": "t", "token_type": "bearer", "expires_in": 3600, "refresh_token": "again",
        "scope": "dex:upload", "resource": ["r"], "internal": "x",
    }))
}

fn front(url: &str, change: impl FnOnce(&mut FrontSettings)) -> OAuthFront {
    let mut settings = FrontSettings {
        token_url: format!("{url}/token"),
        client_id: Some("gate:way".to_owned()),
        client_secret: Some(Secret::new("s3cret")),
        scope: Some("dex:upload".to_owned()),
        reach: Reach::Everywhere,
        timeout: Duration::from_secs(20),
        query_credentials: false,
    };
    change(&mut settings);
    OAuthFront::new(settings).expect("a client")
}

#[tokio::test]
async fn a_login_and_a_refresh_bring_what_the_provider_says_and_no_more() {
    let server = FakeServer::start(provider).await;
    let front = front(server.url(), |_| {});
    for brought in [Brought::Login("sender", "p&w"), Brought::RefreshToken("again")] {
        let told = front.ask(brought).await.expect("a token");
        let names: Vec<&str> = told.keys().map(String::as_str).collect();
        assert_eq!(names, ["access_token", "token_type", "expires_in", "refresh_token", "scope", "resource"]);
        assert_eq!(told["expires_in"].to_string(), "3600");
    }
    assert_eq!(server.lines(), ["POST /token", "POST /token"], "nothing of it in the URL");
}

#[tokio::test]
async fn whose_fault_a_refusal_is_can_be_told() {
    let server = FakeServer::start(provider).await;
    let wrong = front(server.url(), |_| {}).ask(Brought::Login("sender", "other")).await;
    assert_eq!(wrong, Err(FrontError::Refused("invalid_grant")));
    let stranger = front(server.url(), |settings| settings.client_secret = Some(Secret::new("x")));
    let refused = stranger.ask(Brought::Login("sender", "p&w")).await;
    assert_eq!(refused, Err(FrontError::Gateway("invalid_client")));
    let nobody = front("http://127.0.0.1:1", |_| {}).ask(Brought::RefreshToken("ZZ")).await;
    assert_eq!(nobody, Err(FrontError::Call(OutboundError::Connect)));
    let public = front(server.url(), |settings| settings.reach = Reach::Public);
    assert_eq!(
        public.ask(Brought::RefreshToken("ZZ")).await,
        Err(FrontError::Call(OutboundError::Forbidden))
    );
}

#[tokio::test]
async fn answers_that_are_no_tokens_are_told_apart() {
    let cases = [
        (Reply::new(200, "", "ZZ"), FrontError::NotAToken(200)),
        (Reply::new(200, "", r#"{"access_token":5}"#), FrontError::NotAToken(200)),
        (Reply::new(302, "Location: /ZZ\r\n", ""), FrontError::NotAToken(302)),
        (Reply::new(400, "", "<html>"), FrontError::NotAToken(400)),
        (Reply::new(401, "", r#"{"error":"invalid_grant"}"#), FrontError::Refused("invalid_grant")),
        (Reply::new(429, "Retry-After: 7\r\n", ""), FrontError::Later(Some(Duration::from_secs(7)))),
        (Reply::new(503, "", ""), FrontError::Later(None)),
    ];
    for (reply, expected) in cases {
        let server = FakeServer::start(move |_| reply.clone()).await;
        let refused = front(server.url(), |_| {}).ask(Brought::RefreshToken("again")).await;
        assert_eq!(refused, Err(expected));
        assert!(!format!("{expected} {expected:?}").contains("ZZ"));
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up() {
    let server = FakeServer::start(|_| Reply::Stall(String::new())).await;
    let front = front(server.url(), |settings| settings.timeout = Duration::from_millis(50));
    let refused = front.ask(Brought::RefreshToken("again")).await;
    assert_eq!(refused, Err(FrontError::Call(OutboundError::Timeout)));
}
