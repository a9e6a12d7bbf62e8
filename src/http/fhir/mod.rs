//! The FHIR door: the REST API under `/fhir`. Answers are JSON; errors are OperationOutcomes. A request
//! that cannot be answered in JSON is refused before anything happens.
//!
//! [`interaction`] reads requests of the REST API and [`respond`] writes its answers, [`bundle`] those that are
//! Bundles; [`binary`] moves raw bytes, [`operation`] serves what begins with `$`, [`export`] exports and their files,
//! [`metadata`] says what there is, [`error`] what went wrong.

mod binary;
mod bundle;
mod error;
mod export;
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
/// be counted and logged by, and whatever has none of these forms is decided in the same place.
pub(super) fn routes() -> Router<DoorState> {
    let mut routes = Router::new().route("/metadata", get(metadata::read).fallback(only_get));
    for template in ["/", "/{type}", "/{type}/{id}", "/{type}/{id}/{part}", "/{type}/{id}/{part}/{version}"] {
        routes = routes.route(template, any(interaction::serve));
    }
    for (status, file) in [
        ("/$export-status/{job}", "/$export-file/{job}/{file}"),
        // As some clients write a dollar sign (H-05).
        ("/%24export-status/{job}", "/%24export-file/{job}/{file}"),
    ] {
        routes =
            routes.route(status, get(export::status).delete(export::remove).fallback(export::status_only));
        routes = routes.route(file, get(export::file).fallback(only_get));
    }
    // The base with a slash at its end is not below it as the router sees it.
    Router::new().nest("/fhir", routes.fallback(interaction::serve)).route("/fhir/", any(interaction::serve))
}

async fn only_get() -> Response {
    FhirError::MethodNotAllowed("GET, HEAD").into_response()
}
