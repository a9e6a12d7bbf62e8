//! The layers around every request. From the outside in, and why in this order:
//!
//! 1. [`request_id`]: everything after it can name the request.
//! 2. [`paced_body`]: the log below it can say how much was read, the deadline when reading was over.
//! 3. [`request_log`]: one line and the request metrics, also for what the layers below answer themselves.
//! 4. [`security_headers`]: on every answer, also on those of the layers below.
//! 5. [`cors`]: a preflight asks about a route without being meant for it.
//! 6. [`catch_panic`]: a handler that panics becomes a 500, which the layers above treat like any other.
//! 7. [`deadline`]: innermost, so that only the handler's own time counts.

mod catch_panic;
mod cors;
mod deadline;
mod paced_body;
mod request_id;
mod request_log;
mod security_headers;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::state::EdgeState;
use crate::fhir::{Issue, IssueType, operation_outcome};

pub(crate) use request_id::CurrentRequest;

/// Puts the layers around `routes`, its fallback included.
pub(super) fn wrap(routes: Router, state: &EdgeState) -> Router {
    // axum runs the layer added last first, so this list is read from the bottom up.
    routes
        .layer(from_fn_with_state(state.clone(), deadline::enforce))
        .layer(from_fn(catch_panic::answer))
        .layer(from_fn_with_state(state.clone(), cors::apply))
        .layer(from_fn(security_headers::set))
        .layer(from_fn(request_log::write))
        .layer(from_fn_with_state(state.clone(), paced_body::wrap))
        .layer(from_fn(request_id::assign))
}

/// The form in which a layer answers by itself: below `/fhir` clients expect an OperationOutcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Fhir,
    /// tus 1.0.0, Tus-Resumable: in every answer to who speaks it.
    Tus,
    Plain,
}

impl Form {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        if path == "/fhir" || path.starts_with("/fhir/") {
            Self::Fhir
        } else if request.headers().contains_key("tus-resumable") {
            Self::Tus
        } else {
            Self::Plain
        }
    }

    /// An answer in words that are the same for everybody.
    fn refusal(self, status: StatusCode, code: IssueType, text: &str) -> Response {
        match self {
            Self::Fhir => {
                let outcome = operation_outcome(&[Issue::refusal(code, text)]).to_string();
                (status, [(header::CONTENT_TYPE, "application/fhir+json; charset=utf-8")], outcome)
                    .into_response()
            }
            Self::Tus => {
                let mut response = Self::Plain.refusal(status, code, text);
                response.headers_mut().insert("tus-resumable", HeaderValue::from_static("1.0.0"));
                response
            }
            Self::Plain => {
                (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n"))
                    .into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests;
