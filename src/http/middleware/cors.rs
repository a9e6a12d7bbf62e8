//! Lets web pages of the configured origins call the gateway, and turns away those of any other that would change
//! something: a browser sends a simple request without asking first. Origins are listed one by one and no cookie is
//! ever accepted, so neither a wildcard nor credentials appear here. What a route itself says about OPTIONS
//! (tus 1.0.0, Core protocol) is left alone: only a preflight is answered here.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Form;
use crate::config::ServerConfig;
use crate::fhir::IssueType;
use crate::http::state::EdgeState;

const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Accept, Prefer, If-Match, If-None-Match, \
    If-None-Exist, Idempotency-Key, X-Request-Id, X-HTTP-Method-Override, X-Requested-With, Tus-Resumable, \
    Upload-Length, Upload-Defer-Length, Upload-Offset, Upload-Metadata, Upload-Checksum, Upload-Concat, \
    Upload-Complete, Upload-Incomplete, Upload-Draft-Interop-Version";
const EXPOSED_HEADERS: &str = "Location, ETag, Last-Modified, Link, Retry-After, X-Request-Id, Tus-Resumable, \
    Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Length, Upload-Defer-Length, \
    Upload-Offset, Upload-Metadata, Upload-Concat, Upload-Expires, Upload-Complete, Upload-Incomplete, \
    Upload-Limit, Upload-Draft-Interop-Version";
/// How long a browser may remember the answer to a preflight.
const MAX_AGE_SECS: &str = "3600";

pub(super) async fn apply(State(state): State<EdgeState>, request: Request, next: Next) -> Response {
    let allowed = &state.settings.cors_origins;
    if changes_something(request.method()) && is_foreign(&state.settings, &request) {
        return refuse(&request);
    }
    if allowed.is_empty() {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let origin = origin.filter(|origin| allowed.iter().any(|allowed| origin == allowed.as_str()));
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);

    let mut response = if is_preflight && origin.is_some() {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        put(headers, header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        put(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        put(headers, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    // A cache between us must not give one origin's answer to another.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        put(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
    response
}

fn changes_something(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// Whether a page of another origin than our own asks, one that is not listed either. Who is no page has no origin.
fn is_foreign(settings: &ServerConfig, request: &Request) -> bool {
    let is_known = |origin: &HeaderValue| {
        settings.cors_origins.iter().any(|allowed| origin == allowed.as_str())
            || origin.to_str().is_ok_and(|origin| is_own(settings, request, origin))
    };
    !request.headers().get_all(header::ORIGIN).iter().all(is_known)
}

/// Whether an origin is ours: that of the public URL, or where there is none the host that the request came to.
fn is_own(settings: &ServerConfig, request: &Request, origin: &str) -> bool {
    if let Some(url) = &settings.public_url {
        let end = url.find("://").map_or(0, |at| at + 3);
        let host = url[end..].split('/').next().unwrap_or_default();
        return url[..end].eq_ignore_ascii_case(&origin[..end.min(origin.len())])
            && origin.get(end..).is_some_and(|own| own.eq_ignore_ascii_case(host));
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(Authority::as_str));
    let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    named.is_some() && named == host
}

/// Nothing has been looked at but the origin.
fn refuse(request: &Request) -> Response {
    let form = Form::of(request);
    let text = match form {
        Form::Fhir => "The origin of the page is not allowed to call",
        // dex-upload 2.4
        Form::Tus | Form::Plain => "ERR_ORIGIN_NOT_ALLOWED: request origin is not allowed",
    };
    let mut response = form.refusal(StatusCode::FORBIDDEN, IssueType::Forbidden, text);
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
