//! The tus door: resumable upload protocol 1.0.0 under three prefixes, which are the DEX Upload API's own
//! (`/files`), the same behind its gateway (`/upload/files`) and CDC's public one (`/upload`).
//!
//! One entry takes every method, because `X-HTTP-Method-Override` may change it and because the version
//! check comes before any other. Bodies are handed on as streams; nothing is read here.

mod create;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod head;
mod headers;
mod patch;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use self::error::TusError;
use super::extract::Authenticated;
use super::routes::DoorState;
use crate::id::UploadId;

/// The protocol version spoken here.
const VERSION: &str = "1.0.0";
/// What is spoken beyond the core protocol.
const EXTENSIONS: &str = "creation,creation-with-upload";

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
    let answer = match method {
        Method::OPTIONS => Ok(options(&state)),
        _ if !speaks_our_version(request.headers(), &method) => Err(TusError::UnsupportedVersion),
        Method::POST => create::create(&state, &caller, request).await,
        _ => Err(TusError::MethodNotAllowed("OPTIONS, POST")),
    };
    finish(answer, &method)
}

/// Requests to one upload.
async fn resource(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let method = effective_method(&request);
    let id = id.parse::<UploadId>().map_err(|_| TusError::NotFound);
    let answer = match (&method, id) {
        (&Method::OPTIONS, _) => Ok(options(&state)),
        _ if !speaks_our_version(request.headers(), &method) => Err(TusError::UnsupportedVersion),
        (&Method::HEAD, Ok(id)) => head::head(&state, &caller, id).await,
        (&Method::PATCH, Ok(id)) => patch::patch(&state, &caller, id, request).await,
        (&Method::HEAD | &Method::PATCH, Err(error)) => Err(error),
        _ => Err(TusError::MethodNotAllowed("HEAD, OPTIONS, PATCH")),
    };
    finish(answer, &method)
}

/// tus 1.0.0, X-HTTP-Method-Override: it replaces the method where a client cannot send PATCH.
fn effective_method(request: &Request) -> Method {
    let overridden =
        request.headers().get("x-http-method-override").filter(|_| request.method() == Method::POST);
    overridden
        .and_then(|value| Method::from_bytes(value.as_bytes().to_ascii_uppercase().as_slice()).ok())
        .unwrap_or_else(|| request.method().clone())
}

/// tus 1.0.0, Tus-Resumable: a request in another version must not be processed. A HEAD may do without the
/// header, as with tusd; whatever changes something may not.
fn speaks_our_version(headers: &HeaderMap, method: &Method) -> bool {
    match headers.get("tus-resumable") {
        Some(version) => version == VERSION,
        None => matches!(*method, Method::HEAD | Method::GET),
    }
}

/// tus 1.0.0, OPTIONS: what this server can do.
fn options(state: &DoorState) -> Response {
    let headers = [
        ("tus-version", HeaderValue::from_static(VERSION)),
        ("tus-extension", HeaderValue::from_static(EXTENSIONS)),
        ("tus-max-size", HeaderValue::from(state.limits.upload_bytes)),
    ];
    // 200 rather than 204, as tusd answers: old browsers want it.
    (StatusCode::OK, headers).into_response()
}

fn finish(answer: Result<Response, TusError>, method: &Method) -> Response {
    let mut response = answer.unwrap_or_else(|error| error.into_response_to(method));
    let headers = response.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The URL of an upload for a client that created it at the path `collection`: absolute where a public URL is configured,
/// otherwise relative to the server, because only the client knows by which name it came (dex-upload W-09).
fn location(state: &DoorState, collection: &str, id: UploadId) -> String {
    let base = state.public_url.as_deref().unwrap_or_default();
    format!("{base}{collection}/{id}")
}
