//! `GET /fhir/metadata`: the CapabilityStatement.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::error::FhirError;
use super::{DoorState, respond};
use crate::cdex::{CapabilityFacts, capability_statement};
use crate::fhir::{self, NotAcceptable};

/// The general parameters in use here.
#[derive(Default, Deserialize)]
struct Format {
    #[serde(rename = "_format")]
    format: Option<String>,
}

/// What this gateway can do, limits included (CONF-022, CONF-024).
pub(super) async fn read(State(state): State<DoorState>, uri: Uri, headers: HeaderMap) -> Response {
    if let Err(error) = acceptable(&uri, &headers) {
        return error.into_response();
    }
    let facts = CapabilityFacts {
        public_url: &state.base_url,
        software_version: env!("CARGO_PKG_VERSION"),
        payload_limit_bytes: state.limits.payload_bytes,
        body_limit_bytes: state.limits.body_bytes,
        date: state.started_at,
    };
    respond::resource(StatusCode::OK, &capability_statement(&facts))
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
