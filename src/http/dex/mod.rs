//! The DEX Upload API beside tus: what is known of an upload, deliveries and their repetition, and the gateway's health
//! and version in DEX's shapes. Each path answers with and without CDC's `/upload` in front. `/oauth` is that of the
//! gateway in front of DEX.

mod deliveries;
mod health;
mod info;
mod oauth;
mod route;
mod summary;
mod version;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Serialize;

use super::routes::DoorState;
use crate::db::DbError;

/// The routes of the DEX door.
pub(super) fn routes() -> Router<DoorState> {
    let mut router = Router::new()
        .route("/", get(version::root))
        .route("/oauth", any(oauth::login))
        .route("/oauth/refresh", any(oauth::refresh));
    for prefix in ["", "/upload"] {
        router = router
            .route(&format!("{prefix}/info/{{id}}"), get(info::read))
            .route(&format!("{prefix}/route/{{id}}"), post(route::redeliver).fallback(route::only_post))
            .route(&format!("{prefix}/deliveries"), get(deliveries::list))
            .route(&format!("{prefix}/deliveries/redeliver"), post(deliveries::redeliver))
            .route(&format!("{prefix}/health"), get(health::read))
            .route(&format!("{prefix}/version"), get(version::read));
        // Without an id there is nothing (dex-upload 1.0); the tus door must not take the words for one.
        for word in ["info", "info/", "route", "route/"] {
            router = router.route(&format!("{prefix}/{word}"), any(super::not_found));
        }
    }
    router
}

/// A JSON answer that ends in a newline, as DEX's do.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => internal(&error),
    }
}

/// A plain-text answer.
fn text(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text.into()).into_response()
}

/// The database failed: for now, or for a reason that somebody has to look at.
fn unavailable(error: &DbError) -> Response {
    if !error.is_transient() {
        return internal(error);
    }
    tracing::error!(error = error as &dyn std::error::Error, "a DEX request failed");
    let text = text(StatusCode::SERVICE_UNAVAILABLE, "not available at the moment\n");
    ([(header::RETRY_AFTER, "5")], text).into_response()
}

/// Something broke inside. The answer is the same whatever it was (dex-upload W-31).
fn internal(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "a DEX request failed");
    text(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong; the log knows more by the request id\n")
}
