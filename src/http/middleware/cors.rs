//! Lets web pages of the configured origins call the gateway. Origins are listed one by one and no cookie is
//! ever accepted, so neither a wildcard nor credentials appear here. What a route itself says about OPTIONS
//! (tus 1.0.0, Core protocol) is left alone: only a preflight is answered here.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
