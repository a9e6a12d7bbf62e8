//! The FHIR door: the REST API under `/fhir`. Answers are JSON; errors are OperationOutcomes. A request
//! that cannot be answered in JSON is refused before anything happens.
//!
//! [`interaction`] reads requests of the REST API and [`respond`] writes its answers, [`bundle`] those that are Bundles;
//! [`binary`] moves raw bytes, [`operation`] serves what begins with `$`, [`metadata`] says what there is, [`error`] what went wrong.

mod binary;
mod bundle;
mod error;
mod interaction;
mod metadata;
mod operation;
mod prefer;
mod respond;

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};

use self::error::FhirError;
use super::routes::DoorState;

/// The routes of the FHIR door. What a path names is decided once it is decoded (H-05); the templates are there to
/// be counted and logged by.
pub(super) fn routes() -> Router<DoorState> {
    let mut router = Router::new().route("/fhir/metadata", get(metadata::read).fallback(only_get));
    for template in [
        "/fhir",
        "/fhir/",
        "/fhir/{type}",
        "/fhir/{type}/{id}",
        "/fhir/{type}/{id}/{part}",
        "/fhir/{type}/{id}/{part}/{version}",
        "/fhir/{*path}",
    ] {
        router = router.route(template, any(interaction::serve));
    }
    router
}

async fn only_get() -> Response {
    FhirError::MethodNotAllowed("GET, HEAD").into_response()
}
