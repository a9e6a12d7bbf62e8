//! The time a handler has. While a request body arrives it does not run: the pace of the body is the
//! client's and has bounds of its own ([`crate::http::body`]). It begins when the body has been read, has
//! failed, or is dropped; for a request without a body, at once.
//!
//! A handler past its time is dropped. What must not stop half-way runs in a tracked future of its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Form;
use crate::fhir::IssueType;
use crate::http::body::BodyProgress;
use crate::http::state::EdgeState;

pub(super) async fn enforce(State(state): State<EdgeState>, request: Request, next: Next) -> Response {
    let form = Form::of(&request);
    let progress = request.extensions().get::<Arc<BodyProgress>>().cloned();
    let out_of_time = async {
        if let Some(progress) = progress {
            progress.ended().await;
        }
        tokio::time::sleep(state.settings.handler_timeout).await;
    };
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = out_of_time => {
            tracing::warn!("a handler ran out of time");
            let text = "the request took too long; try again later";
            let mut response = form.refusal(StatusCode::SERVICE_UNAVAILABLE, IssueType::Transient, text);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
    }
}
