//! `/oauth`, where clients of DEX get their tokens: what goes on to the identity provider, what comes back, and what is
//! in no log.

use serde_json::json;

use crate::support::endpoint::{Endpoint, Reply};
use crate::support::gateway::Gateway;
use crate::support::http::{Answer, Request};

fn with_front(provider: &Endpoint, more: &[(&str, &str)]) -> Gateway {
    let url = format!("{}/token", provider.url());
    let settings = [
        ("CDEX_AUTH__OAUTH_FRONT__TOKEN_URL", url.as_str()),
        ("CDEX_AUTH__OAUTH_FRONT__PRIVATE_ADDRESSES", "true"),
        ("CDEX_AUTH__OAUTH_FRONT__CLIENT_ID", "gateway"),
        ("CDEX_AUTH__OAUTH_FRONT__CLIENT_SECRET", "ZZOURS"),
        ("CDEX_TELEMETRY__LOG_FILTER", "debug"),
    ];
    Gateway::with(&[&settings[..], more].concat())
}

fn form(gateway: &Gateway, path: &str, body: &str) -> Answer {
    let kind = "application/x-www-form-urlencoded";
    gateway.ask(&Request::new("POST", path).header("Content-Type", kind).body(body))
}

fn token() -> Reply {
    Reply::new(200).resource(&json!({
        "access_token": "ZZTOKEN", "token_type": "bearer", "expires_in": 3600, "refresh_token": "ZZREFRESH",
        "scope": "dex:upload", "resource": ["x"], "session": "ZZSESSION",
    }))
}

#[test]
fn a_login_and_a_refresh_go_to_the_identity_provider_and_into_no_log() {
    let provider = Endpoint::start();
    let gateway = with_front(&provider, &[]);
    provider.answer([token(), token()]);
    let login = form(&gateway, "/oauth", "username=ZZUSER&password=ZZ%26PASS").expect(200);
    assert_eq!(login.header("Cache-Control"), Some("no-store"));
    let told = login.json();
    assert_eq!((&told["access_token"], &told["expires_in"]), (&json!("ZZTOKEN"), &json!(3600)));
    assert_eq!(told["resource"], json!(["x"]));
    assert_eq!(told.get("session"), None, "only what a token answer may say");
    form(&gateway, "/oauth/refresh", "refresh_token=ZZREFRESH").expect(200);

    let received = provider.received();
    let bodies: Vec<_> = received.iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    assert_eq!(bodies[0], "grant_type=password&username=ZZUSER&password=ZZ%26PASS");
    assert_eq!(bodies[1], "grant_type=refresh_token&refresh_token=ZZREFRESH");
    for request in &received {
        assert_eq!(request.line, "POST /token");
        assert!(request.header("Authorization").is_some_and(|value| value.starts_with("Basic ")));
    }
    assert!(!gateway.wrote().contains("ZZ"), "nothing of it is logged");
    assert!(!gateway.get("/metrics").text().contains("ZZ"));
}

#[test]
fn without_a_provider_there_is_nothing() {
    let gateway = Gateway::start();
    for path in ["/oauth", "/oauth/refresh"] {
        let answer = form(&gateway, path, "username=u&password=p").expect(404);
        assert_eq!(answer.text(), "404 page not found\n");
    }
}

#[test]
fn what_is_no_login_is_refused_before_anybody_is_asked() {
    let provider = Endpoint::start();
    let gateway = with_front(&provider, &[]);
    for (path, body) in [
        ("/oauth", ""),
        ("/oauth", "username=u"),
        ("/oauth", "username=u&password="),
        ("/oauth", "username=u&username=v&password=p"),
        ("/oauth?username=u&password=p", ""),
        ("/oauth/refresh", "username=u&password=p"),
        ("/oauth/refresh?refresh_token=t", ""),
    ] {
        let refused = form(&gateway, path, body).expect(400).json();
        assert_eq!(refused["error"], "invalid_request", "{path} {body}");
        assert!(refused["error_description"].is_string());
    }
    let json = Request::new("POST", "/oauth").header("Content-Type", "application/json").body("{}");
    gateway.ask(&json).expect(400);
    let get = gateway.get("/oauth?username=u&password=p").expect(405);
    assert_eq!(get.header("Allow"), Some("POST"));
    let long = format!("username=u&password={}", "p".repeat(20_000));
    form(&gateway, "/oauth", &long).expect(413);
    assert!(provider.received().is_empty());
}

#[test]
fn a_query_string_is_taken_where_that_is_set_and_into_no_log_of_ours() {
    let provider = Endpoint::start();
    let gateway = with_front(&provider, &[("CDEX_AUTH__OAUTH_FRONT__QUERY_CREDENTIALS", "true")]);
    provider.answer([token(), token(), token()]);
    gateway.get("/oauth?username=ZZUSER&password=ZZPASS").expect(200);
    form(&gateway, "/oauth?username=ZZUSER&password=ZZPASS", "").expect(200);
    gateway.get("/oauth/refresh?refresh_token=ZZREFRESH").expect(200);
    assert_eq!(provider.received().len(), 3);
    assert!(provider.received().iter().all(|request| request.line == "POST /token"));
    assert!(!gateway.wrote().contains("ZZ"));
    gateway.ask(&Request::new("DELETE", "/oauth")).expect(405);
}

#[test]
fn refusals_and_troubles_of_the_provider_are_told_apart() {
    let provider = Endpoint::start();
    let gateway = with_front(&provider, &[]);
    let error = |status, code: &str| {
        Reply::new(status).resource(&json!({ "error": code, "error_description": "ZZUSER is wrong" }))
    };
    for (reply, status, code) in [
        (error(400, "invalid_grant"), 400, "invalid_grant"),
        (error(401, "invalid_grant"), 400, "invalid_grant"),
        (error(401, "invalid_client"), 502, "server_error"),
        (Reply::new(200), 502, "server_error"),
        (Reply::new(302).header("Location", "http://127.0.0.1:1/"), 502, "server_error"),
        (Reply::new(500), 503, "temporarily_unavailable"),
        (Reply::new(429).header("Retry-After", "9"), 503, "temporarily_unavailable"),
    ] {
        provider.answer([reply]);
        let answer = form(&gateway, "/oauth", "username=u&password=p").expect(status);
        assert_eq!(answer.json()["error"], code);
        assert!(!answer.text().contains("ZZ"));
        if status == 503 {
            assert!(answer.header("Retry-After").is_some());
        }
    }
    assert!(!gateway.wrote().contains("ZZ"));
}
