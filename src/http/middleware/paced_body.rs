//! Gives every request a body that fails when its client is too slow, and a [`BodyProgress`] that says how
//! far it is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::body::{BodyProgress, PaceRules, PacedBody};
use crate::http::state::EdgeState;

/// Long enough that a line which stalls for some seconds passes.
const RATE_WINDOW: Duration = Duration::from_mins(1);

pub(super) async fn wrap(State(state): State<EdgeState>, mut request: Request, next: Next) -> Response {
    let rules = PaceRules {
        idle_timeout: state.settings.idle_timeout,
        bytes_per_sec: state.settings.minimum_rate_bytes_per_sec,
        window: RATE_WINDOW,
    };
    let progress = Arc::new(BodyProgress::default());
    request.extensions_mut().insert(progress.clone());
    next.run(request.map(|body| Body::new(PacedBody::new(body, rules, progress)))).await
}
