//! A handler that panics harms its own request only. What it said goes nowhere: a panic message may hold
//! what the client sent; the panic hook logs the place.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;

use super::{CurrentRequest, Form};
use crate::fhir::IssueType;

pub(super) async fn answer(request: Request, next: Next) -> Response {
    let form = Form::of(&request);
    let id = request.extensions().get::<CurrentRequest>().cloned();
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        let id = id.as_ref().map_or("unknown", CurrentRequest::as_str);
        let text = format!("internal error; request {id}");
        form.refusal(StatusCode::INTERNAL_SERVER_ERROR, IssueType::Exception, &text)
    })
}
