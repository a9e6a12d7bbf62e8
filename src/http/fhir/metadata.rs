//! `GET /fhir/metadata`: the CapabilityStatement.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::error::FhirError;
use super::{DoorState, respond};
use crate::cdex::{CapabilityFacts, capability_statement};
use crate::fhir::{self, NotAcceptable};

/// What this gateway can do, limits included (CONF-022, CONF-024).
pub(super) async fn read(State(state): State<DoorState>, headers: HeaderMap) -> Response {
    if let Err(error) = acceptable(&headers) {
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

/// Whether the client accepts what this door writes.
pub(super) fn acceptable(headers: &HeaderMap) -> Result<(), FhirError> {
    let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    let accept: Vec<&str> = accept.collect();
    fhir::negotiate(Some(&accept.join(",")))
        .map_err(|NotAcceptable| FhirError::NotAcceptable(NotAcceptable::issue()))
}
