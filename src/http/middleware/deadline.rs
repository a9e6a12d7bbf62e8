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

use super::plain;
use crate::http::body::BodyProgress;
use crate::http::state::EdgeState;

pub(super) async fn enforce(State(state): State<EdgeState>, request: Request, next: Next) -> Response {
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
            let mut response =
                plain(StatusCode::SERVICE_UNAVAILABLE, "the request took too long; try again later\n".to_owned());
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
    }
}
