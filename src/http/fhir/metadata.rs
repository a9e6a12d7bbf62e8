//! `GET /fhir/metadata`: the CapabilityStatement.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::error::FhirError;
use super::{BASE, DoorState, respond};
use crate::cdex::{CapabilityFacts, capability_statement};
use crate::fhir;

/// What this gateway can do, limits included (CONF-022, CONF-024).
pub(super) async fn read(State(state): State<DoorState>, headers: HeaderMap) -> Response {
    if let Err(error) = acceptable(&headers) {
        return error.into_response();
    }
    let facts = CapabilityFacts {
        origin: state.base_url.to_string(),
        base: format!("{}{BASE}", state.base_url),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        payload_limit_bytes: state.limits.payload_bytes,
        body_limit_bytes: state.limits.body_bytes,
        date: state.exchange.clock.now(),
    };
    respond::resource(StatusCode::OK, &capability_statement(&facts))
}

/// Whether the client accepts what this door writes.
pub(super) fn acceptable(headers: &HeaderMap) -> Result<(), FhirError> {
    let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    let accept: Vec<&str> = accept.collect();
    fhir::accepts_json(&accept.join(",")).map_err(|error| FhirError::NotAcceptable(error.to_string()))
}
