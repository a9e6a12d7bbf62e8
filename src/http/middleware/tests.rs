//! Tests of the layers around made-up routes, called as a service.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use tower::ServiceExt;

use super::CurrentRequest;
use crate::config::ServerConfig;
use crate::http::body::{BodyFault, collect};
use crate::http::state::{Check, EdgeState};
use crate::http::testing::edge;
use crate::telemetry::testing::LogLines;

fn routes() -> Router {
    Router::new()
        .route(
            "/Patient/{id}",
            get(|request: Request| async move {
                request.extensions().get::<CurrentRequest>().expect("every request has one").to_string()
            }),
        )
        .route("/fhir/panic", get(async || -> StatusCode { panic!("ZZPHI") }))
        .route("/panic", get(async || -> StatusCode { panic!("ZZPHI") }))
        .route("/hold", get(async || -> StatusCode { std::future::pending().await }))
        .route("/length", post(async |request: Request| length(request).await))
}

async fn length(request: Request) -> Response {
    match collect(request.into_body(), 10).await {
        Ok(body) => body.len().to_string().into_response(),
        Err(fault) => (fault.status(), fault.to_string()).into_response(),
    }
}

async fn call(state: &EdgeState, request: Request) -> Response {
    crate::http::router(state, routes()).oneshot(request).await.expect("it is infallible")
}

async fn get_from(state: &EdgeState, path: &str) -> Response {
    call(state, Request::get(path).body(Body::empty()).expect("a request")).await
}

async fn text(response: Response) -> String {
    let bytes = collect(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn unchanged(_: &mut ServerConfig) {}

#[tokio::test]
async fn a_harmless_request_id_is_sent_back_and_only_a_uuid_is_logged() {
    let longest = "a".repeat(64);
    let too_long = "a".repeat(65);
    let uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let cases = [
        (uuid, true),
        ("client-1.A_b", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        ("a b", false),
        ("a\tb", false),
        ("<script>", false),
    ];
    for (sent, kept) in cases {
        LogLines::capture();
        let request = Request::get("/Patient/1").header("X-Request-Id", sent).body(Body::empty());
        let response = call(&edge(unchanged), request.expect("a request")).await;
        let lines = LogLines::captured();
        let answered = header(&response, "x-request-id").expect("it is sent back").to_owned();
        assert_eq!(answered == sent, kept, "{sent}");
        let current = text(response).await;
        assert!(kept || answered == current, "{answered}");
        assert_eq!(current == sent, sent == uuid, "{current}");
        assert!(lines.contains(&format!("request.id={current}")), "{lines}");
        assert!(sent.is_empty() || sent == uuid || !lines.contains(sent), "{lines}");
    }
}

#[tokio::test]
async fn the_log_has_one_line_per_request_with_the_route_and_nothing_of_path_or_query() {
    let state = edge(unchanged);
    LogLines::capture();
    get_from(&state, "/Patient/ZZPHI-1?name=ZZPHI-2").await;
    get_from(&state, "/ZZPHI-3").await;
    let lines = LogLines::captured();
    assert_eq!(lines.matches("http.request{request.id=").count(), 2, "{lines}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("route=\"/Patient/{id}\"") && lines.contains("status=200"), "{lines}");
    assert!(lines.contains("route=\"unmatched\"") && lines.contains("status=404"), "{lines}");
    assert!(!lines.contains("ZZPHI"), "{lines}");
}

#[tokio::test]
async fn a_panic_is_a_500_that_names_only_the_request() {
    let state = edge(unchanged);
    LogLines::capture();
    let response = get_from(&state, "/panic").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    let id = header(&response, "x-request-id").expect("it is sent back").to_owned();
    assert_eq!(text(response).await, format!("internal error; request {id}\n"));
    let lines = LogLines::captured();
    assert!(lines.contains("status=500") && !lines.contains("ZZPHI"), "{lines}");
}

#[tokio::test]
async fn a_fhir_client_is_told_in_fhir() {
    let response = get_from(&edge(unchanged), "/fhir/panic").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(header(&response, "content-type"), Some("application/fhir+json; charset=utf-8"));
    let outcome: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    assert_eq!(outcome["issue"][0]["code"], "exception");
}

#[tokio::test]
async fn t_01_whoever_speaks_tus_is_told_so_by_every_layer() {
    let slow = edge(|settings| settings.handler_timeout = Duration::ZERO);
    let quick = edge(unchanged);
    let elsewhere = Request::post("/length").header("origin", "https://elsewhere.example");
    for (state, request, status) in
        [(&quick, Request::get("/panic"), 500), (&slow, Request::get("/hold"), 503), (&quick, elsewhere, 403)]
    {
        let request = request.header("tus-resumable", "1.0.0").body(Body::empty()).expect("a request");
        let response = call(state, request).await;
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "tus-resumable"), Some("1.0.0"), "{status}");
    }
    assert_eq!(header(&get_from(&slow, "/hold").await, "tus-resumable"), None, "nobody speaks tus");
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_plain_text_with_all_headers() {
    let response = get_from(&edge(unchanged), "/nowhere").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(text(response).await, "404 page not found\n");
}

#[tokio::test]
async fn a_handler_past_its_time_is_dropped() {
    let response = get_from(&edge(|settings| settings.handler_timeout = Duration::ZERO), "/hold").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&response, "retry-after"), Some("5"));
}

#[tokio::test]
async fn the_time_in_which_a_body_arrives_is_not_the_handlers() {
    let late = futures_util::stream::once(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Ok::<_, BodyFault>(Bytes::from("12345"))
    });
    let request = Request::post("/length").body(Body::from_stream(late)).expect("a request");
    let response = call(&edge(|settings| settings.handler_timeout = Duration::ZERO), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "5");
}

#[tokio::test]
async fn a_faulty_body_has_the_status_of_its_fault() {
    let silent = || Body::from_stream(futures_util::stream::pending::<Result<Bytes, BodyFault>>());
    let broken = || {
        let error = io::Error::from(io::ErrorKind::ConnectionReset);
        Body::from_stream(
            futures_util::stream::iter([Err::<Bytes, _>(error)]).chain(futures_util::stream::pending()),
        )
    };
    let cases = [
        (silent(), StatusCode::REQUEST_TIMEOUT),
        (broken(), StatusCode::BAD_REQUEST),
        (Body::from("12345678901"), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (body, status) in cases {
        let state = edge(|settings| settings.idle_timeout = Duration::from_millis(5));
        let request = Request::post("/length").body(body).expect("a request");
        assert_eq!(call(&state, request).await.status(), status);
    }
}

#[tokio::test]
async fn readiness_follows_the_checks_and_ends_with_the_stop() {
    let state = edge(unchanged);
    let response = get_from(&state, "/health/ready").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        text(response).await,
        r#"{"status":"UP","checks":[{"name":"database","status":"UP"},{"name":"accepting","status":"UP"}]}"#
    );
    let mut broken = state.clone();
    broken.readiness =
        Arc::new(|| Box::pin(async { vec![Check { name: "database".to_owned(), up: false, needed: true }] }));
    let response = get_from(&broken, "/health/ready").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        text(response).await.starts_with(r#"{"status":"DOWN","checks":[{"name":"database","status":"DOWN"}"#)
    );
    state.stopping.cancel();
    assert_eq!(get_from(&state, "/health/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get_from(&state, "/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_move_with_the_admin_listener() {
    let state = edge(unchanged);
    get_from(&state, "/Patient/ZZPHI-9").await;
    let shown = text(get_from(&state, "/metrics").await).await;
    assert!(shown.contains(r#"cdex_http_requests_total{method="GET",route="/Patient/{id}",status="200"}"#));
    assert!(!shown.contains("ZZPHI"), "{shown}");

    let moved = edge(|settings| settings.admin_listen = Some(([127, 0, 0, 1], 9090).into()));
    for path in ["/metrics", "/health/ready"] {
        assert_eq!(get_from(&moved, path).await.status(), StatusCode::NOT_FOUND, "{path}");
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let admin = crate::http::admin_router(&moved).oneshot(request).await.expect("it is infallible");
        assert_eq!(admin.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(get_from(&moved, "/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_listed_origins_are_told_that_they_may_call() {
    let state = edge(|settings| settings.cors_origins = vec!["https://app.example".to_owned()]);
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false), ("null", false)]
    {
        let preflight = Request::options("/length")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "PATCH")
            .body(Body::empty())
            .expect("a request");
        let response = call(&state, preflight).await;
        assert_eq!(response.status() == StatusCode::NO_CONTENT, allowed, "{origin}");
        let told = header(&response, "access-control-allow-origin");
        assert_eq!(told, allowed.then_some(origin));
        assert_eq!(header(&response, "vary"), Some("Origin"));
        assert_eq!(header(&response, "access-control-allow-credentials"), None);
    }
}

/// W-09: a browser sends a simple request of any page, and asks nobody first.
#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    const PAGE: &str = "https://app.example";
    let listed = |settings: &mut ServerConfig| settings.cors_origins = vec![PAGE.to_owned()];
    let public =
        |settings: &mut ServerConfig| settings.public_url = Some("https://Gateway.example/x".to_owned());
    let cases: [(EdgeState, &[&str], StatusCode); 11] = [
        (edge(unchanged), &[], StatusCode::OK),
        (edge(unchanged), &["http://127.0.0.1:8080"], StatusCode::OK),
        (edge(unchanged), &["https://evil.example"], StatusCode::FORBIDDEN),
        (edge(unchanged), &["null"], StatusCode::FORBIDDEN),
        (edge(unchanged), &["http://127.0.0.1:8081"], StatusCode::FORBIDDEN),
        (edge(listed), &[PAGE], StatusCode::OK),
        (edge(listed), &["https://evil.example"], StatusCode::FORBIDDEN),
        (edge(listed), &[PAGE, "https://evil.example"], StatusCode::FORBIDDEN),
        (edge(public), &["https://gateway.example"], StatusCode::OK),
        (edge(public), &["http://gateway.example"], StatusCode::FORBIDDEN),
        // Who rebinds a name of theirs to our address names it as host, too.
        (edge(public), &["http://127.0.0.1:8080"], StatusCode::FORBIDDEN),
    ];
    for (state, origins, expected) in cases {
        let mut request =
            Request::post("/length").header("Host", "127.0.0.1:8080").header("Tus-Resumable", "1.0.0");
        for origin in origins {
            request = request.header("Origin", *origin);
        }
        let response = call(&state, request.body(Body::from("12345")).expect("a request")).await;
        assert_eq!(response.status(), expected, "{origins:?}");
        if expected == StatusCode::FORBIDDEN {
            assert_eq!(header(&response, "tus-resumable"), Some("1.0.0"));
            let told = text(response).await;
            assert_eq!(told, "ERR_ORIGIN_NOT_ALLOWED: request origin is not allowed\n");
        }
    }
    let request = Request::post("/fhir/Patient").header("Origin", "https://evil.example").body(Body::empty());
    let response = call(&edge(unchanged), request.expect("a request")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(header(&response, "content-type"), Some("application/fhir+json; charset=utf-8"));
    let request = Request::get("/Patient/1").header("Origin", "https://evil.example").body(Body::empty());
    assert_eq!(call(&edge(unchanged), request.expect("a request")).await.status(), StatusCode::OK);
}
