//! `GET /fhir/metadata` and `OPTIONS /fhir`: the CapabilityStatement. Also what the client accepts of what this door
//! writes.

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::DoorState;
use super::error::FhirError;
use super::interaction::form;
use crate::cdex::CapabilityFacts;
use crate::fhir::address::parameters;
use crate::fhir::{self, NotAcceptable};
use crate::http::body;

/// Of a body that means nothing, as much as is read.
const MOST_UNREAD: u64 = 64 * 1024;

/// The general parameters in use here.
#[derive(Default, Deserialize)]
struct Format {
    #[serde(rename = "_format")]
    format: Option<String>,
}

/// What this gateway can do, limits included (CONF-022, CONF-024).
pub(super) async fn read(State(state): State<DoorState>, request: Request) -> Response {
    answer(&state, request).await.unwrap_or_else(FhirError::into_response)
}

/// The CapabilityStatement as a request wants it.
pub(super) async fn answer(state: &DoorState, request: Request) -> Result<Response, FhirError> {
    let form = form(state, &request);
    let (parts, unread) = request.into_parts();
    // What nobody asked for has to go before so long an answer: a connection that is closed over unread bytes takes
    // the answer with it.
    let _ = body::collect(unread, MOST_UNREAD).await;
    let (uri, headers) = (&parts.uri, &parts.headers);
    acceptable(uri, headers)?;
    let facts = CapabilityFacts {
        public_url: &state.base_url,
        software_version: env!("CARGO_PKG_VERSION"),
        payload_limit_bytes: state.limits.payload_bytes,
        body_limit_bytes: state.limits.body_bytes,
        date: state.started_at,
    };
    let parameters = parameters(uri.query().unwrap_or_default());
    let statement = state.exchange.shown_capability_statement(&facts, &parameters)?;
    let mut response = if is_known(headers, &statement.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        form.text(StatusCode::OK, statement.text)
    };
    if let Ok(etag) = HeaderValue::from_str(&statement.etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Whether the client has what the tag names (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let fields = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    fields.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

/// Whether the client accepts what this door writes. `_format` goes before `Accept` (FHIR R4 http, General
/// Parameters).
pub(super) fn acceptable(uri: &Uri, headers: &HeaderMap) -> Result<(), FhirError> {
    fhir::negotiate(Some(&accepted(uri, headers)))
        .map_err(|NotAcceptable| FhirError::NotAcceptable(NotAcceptable::issue()))
}

/// The media ranges that the client accepts.
pub(super) fn accepted(uri: &Uri, headers: &HeaderMap) -> String {
    let Query(Format { format }) = Query::try_from_uri(uri).unwrap_or_default();
    if let Some(format) = format {
        // A `+` in a query is a space once decoded, and nobody who writes `fhir+json` there means one.
        return format.replace(' ', "+");
    }
    let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    accept.collect::<Vec<_>>().join(",")
}
