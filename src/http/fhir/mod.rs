//! The FHIR door: the REST API under `/fhir`. Answers are JSON; errors are OperationOutcomes. A request
//! that cannot be answered in JSON is refused before anything happens.

mod error;
mod metadata;
mod operation;
mod respond;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};

use self::error::FhirError;
use super::routes::DoorState;
use crate::fhir::{Issue, IssueType};

/// The routes of the FHIR door.
pub(super) fn routes() -> Router<DoorState> {
    Router::new()
        .route("/fhir/metadata", get(metadata::read).fallback(only_get))
        .route("/fhir/$submit-attachment", any(operation::submit_attachment))
        .route("/fhir", any(unknown))
        .route("/fhir/", any(unknown))
        .route("/fhir/{*name}", any(by_name))
}

/// Clients may write `$` as `%24`: a path means what it says once it is decoded (H-05).
async fn by_name(state: State<DoorState>, Path(name): Path<String>, request: Request) -> Response {
    if name != "$submit-attachment" {
        return unknown().await;
    }
    operation::submit_attachment.call(request, state.0).await
}

/// Whatever this version does not serve.
async fn unknown() -> Response {
    let text = "This interaction is not supported; /fhir/metadata lists those that are";
    respond::outcome(StatusCode::NOT_FOUND, &[Issue::refusal(IssueType::NotSupported, text)])
}

async fn only_get() -> Response {
    FhirError::MethodNotAllowed("GET, HEAD").into_response()
}
