//! The tus door: resumable upload protocol 1.0.0 with all its extensions, under three prefixes, which are the DEX
//! Upload API's own (`/files`), the same behind its gateway (`/upload/files`) and CDC's public one (`/upload`). The
//! IETF draft that follows tus is a second [`dialect`] on the same resources.
//!
//! One entry takes every method, because `X-HTTP-Method-Override` may change it and because the version
//! check comes before any other. Bodies are handed on as streams; nothing is read here.

mod checksum;
mod concat;
mod create;
mod dialect;
mod draft;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod head;
mod headers;
mod patch;
mod terminate;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use self::dialect::{Dialect, Draft, VERSION};
use self::error::TusError;
use super::extract::Authenticated;
use super::routes::DoorState;
use crate::id::UploadId;
use crate::upload::CHECKSUM_ALGORITHMS;

/// What is spoken beyond the core protocol.
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,checksum,\
    checksum-trailer,termination,concatenation";

/// The routes of the tus door.
pub(super) fn routes() -> Router<DoorState> {
    let mut router = Router::new();
    for prefix in ["/files", "/upload/files"] {
        router = router
            .route(prefix, any(collection))
            .route(&format!("{prefix}/"), any(collection))
            .route(&format!("{prefix}/{{id}}"), any(resource));
    }
    router
        .route("/upload", any(collection))
        .route("/upload/", any(collection))
        .route("/upload/{id}", any(resource))
}

/// Requests to the place where uploads are created.
async fn collection(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Response {
    let method = effective_method(&request);
    let draft = Draft::of(request.headers());
    let dialect = Dialect::of(request.headers(), &method);
    let answer = match (&method, &dialect) {
        (&Method::OPTIONS, _) => Ok(options(&state, draft)),
        (_, Err(_)) => Err(Dialect::refusal(request.headers())),
        (&Method::POST, Ok(Dialect::Tus)) => create::create(&state, &caller, request).await,
        (&Method::POST, Ok(Dialect::Draft(draft))) => draft::create(&state, &caller, request, *draft).await,
        _ => Err(TusError::MethodNotAllowed("OPTIONS, POST")),
    };
    finish(answer, &method, dialect.ok())
}

/// Requests to one upload.
async fn resource(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let method = effective_method(&request);
    let draft = Draft::of(request.headers());
    let dialect = Dialect::of(request.headers(), &method);
    let answer = match (&method, &dialect, id.parse::<UploadId>()) {
        (&Method::OPTIONS, _, _) => Ok(options(&state, draft)),
        (_, Err(_), _) => Err(Dialect::refusal(request.headers())),
        (&Method::HEAD | &Method::PATCH | &Method::DELETE, _, Err(_)) => Err(TusError::NotFound),
        (&Method::DELETE, _, Ok(id)) => terminate::terminate(&state, &caller, id, request).await,
        (&Method::HEAD, Ok(Dialect::Tus), Ok(id)) => head::head(&state, &caller, id).await,
        (&Method::PATCH, Ok(Dialect::Tus), Ok(id)) => patch::patch(&state, &caller, id, request).await,
        (&Method::HEAD, Ok(Dialect::Draft(draft)), Ok(id)) => {
            draft::offset(&state, &caller, id, request.headers(), *draft).await
        }
        (&Method::PATCH, Ok(Dialect::Draft(draft)), Ok(id)) => {
            draft::append(&state, &caller, id, request, *draft).await
        }
        _ => Err(TusError::MethodNotAllowed("DELETE, HEAD, OPTIONS, PATCH")),
    };
    finish(answer, &method, dialect.ok())
}

/// tus 1.0.0, X-HTTP-Method-Override: it replaces the method where a client cannot send PATCH or DELETE.
fn effective_method(request: &Request) -> Method {
    let overridden =
        request.headers().get("x-http-method-override").filter(|_| request.method() == Method::POST);
    overridden
        .and_then(|value| Method::from_bytes(value.as_bytes().to_ascii_uppercase().as_slice()).ok())
        .unwrap_or_else(|| request.method().clone())
}

/// tus 1.0.0, OPTIONS: what this server can do. Who asks in a version of the draft is told its limit too.
fn options(state: &DoorState, draft: Option<Draft>) -> Response {
    let headers = [
        ("tus-version", HeaderValue::from_static(VERSION)),
        ("tus-extension", HeaderValue::from_static(EXTENSIONS)),
        ("tus-max-size", HeaderValue::from(state.limits.upload_bytes)),
        ("tus-checksum-algorithm", HeaderValue::from_static(CHECKSUM_ALGORITHMS)),
    ];
    // 200 rather than 204, as tusd answers: old browsers want it.
    let mut response = (StatusCode::OK, headers).into_response();
    if let Some(draft) = draft {
        draft.tell_limit(response.headers_mut(), state.limits.upload_bytes);
    }
    response
}

fn finish(answer: Result<Response, TusError>, method: &Method, dialect: Option<Dialect>) -> Response {
    let mut response = answer.unwrap_or_else(|error| error.into_response_to(method));
    let headers = response.headers_mut();
    match dialect {
        Some(Dialect::Draft(draft)) => draft.tell_version(headers),
        Some(Dialect::Tus) | None => {
            headers.insert("tus-resumable", HeaderValue::from_static(VERSION));
        }
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The URL under which uploads are created that this request went to, without a slash at its end; the uploads lie below
/// it. Absolute where a public URL is configured, otherwise relative to the server, because only the client knows by
/// which name it came (dex-upload W-09) — unless it came by the very address that we listen on: aiotus takes no
/// relative URL, and there is nothing between it and us that would have another name.
fn collection_url(state: &DoorState, headers: &HeaderMap, uri: &Uri) -> String {
    let base = match &state.public_url {
        Some(url) => url,
        None if is_direct(headers, &state.base_url) => &*state.base_url,
        None => "",
    };
    format!("{base}{}", uri.path().trim_end_matches('/'))
}

/// Whether a request names the address that we listen on, and nobody says to have passed it on.
fn is_direct(headers: &HeaderMap, base_url: &str) -> bool {
    let passed_on = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| base_url.strip_prefix("http://") == Some(host))
        && !passed_on.into_iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W-09
    #[test]
    fn only_who_comes_by_our_own_address_is_told_it() {
        let cases: [(&[(&str, &str)], bool); 7] = [
            (&[("host", "127.0.0.1:8080")], true),
            (&[("host", "127.0.0.1:8081")], false),
            (&[("host", "localhost:8080")], false),
            (&[("host", "attacker.example")], false),
            (&[("host", "127.0.0.1:8080"), ("x-forwarded-host", "gateway.example")], false),
            (&[("host", "127.0.0.1:8080"), ("via", "1.1 proxy")], false),
            (&[], false),
        ];
        for (fields, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_direct(&headers, "http://127.0.0.1:8080"), expected, "{fields:?}");
        }
    }
}
