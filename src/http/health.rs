//! `/health/live`, `/health/ready` and `/metrics`: for whoever operates the gateway; none asks for a token,
//! and none says more than names of ours.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::state::{Check, EdgeState};

#[derive(Serialize)]
struct HealthWire<'a> {
    status: &'static str,
    checks: Vec<CheckWire<'a>>,
}

#[derive(Serialize)]
struct CheckWire<'a> {
    name: &'a str,
    status: &'static str,
}

/// Whether the process lives at all.
pub(super) fn live_routes() -> Router {
    Router::new().route("/health/live", get(async || answer(StatusCode::OK, &[])))
}

/// Whether it should be sent requests, and its metrics.
pub(super) fn admin_routes(state: EdgeState) -> Router {
    Router::new().route("/health/ready", get(ready)).route("/metrics", get(metrics)).with_state(state)
}

async fn ready(State(state): State<EdgeState>) -> Response {
    let mut checks = (state.readiness)().await;
    checks.push(Check { name: "accepting".to_owned(), up: !state.stopping.is_cancelled(), needed: true });
    let ready = checks.iter().all(|check| check.up || !check.needed);
    answer(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &checks)
}

async fn metrics(State(state): State<EdgeState>) -> Response {
    let text = state.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn answer(status: StatusCode, checks: &[Check]) -> Response {
    let word = |up| if up { "UP" } else { "DOWN" };
    let wire = HealthWire {
        status: word(status.is_success()),
        checks: checks.iter().map(|check| CheckWire { name: &check.name, status: word(check.up) }).collect(),
    };
    match serde_json::to_vec(&wire) {
        Ok(json) => (status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
