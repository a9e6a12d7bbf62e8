//! `.well-known/davinci-configuration`: where this gateway takes what Da Vinci guides send (HRex endpoint discovery).
//! Anybody may read it.

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::routes::DoorState;
use crate::cdex::discovery::{DAVINCI_CONFIGURATION, configuration};

/// The document, at the root of the host and below the FHIR base.
pub(super) fn routes() -> Router<DoorState> {
    Router::new()
        .route(DAVINCI_CONFIGURATION, get(read))
        .route(&format!("/fhir{DAVINCI_CONFIGURATION}"), get(read))
}

async fn read(State(state): State<DoorState>) -> Response {
    let identifier = state.exchange.settings.identifier.as_ref();
    let identifier = identifier.map(|(system, value)| (&**system, &**value));
    let text = configuration(identifier, &state.fhir_base).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
