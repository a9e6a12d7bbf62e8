//! The edge; the only folder that knows axum.
//!
//! [`listener`] accepts connections and bounds them, [`middleware`] wraps every request, [`body`] reads
//! request bodies, [`health`] answers the operator. [`router`] puts the layers around the routes of the
//! doors, which have a folder each.

pub(crate) mod body;
mod dex;
mod discovery;
mod extract;
mod fhir;
mod health;
pub(crate) mod listener;
pub(crate) mod middleware;
mod openapi;
pub(crate) mod routes;
pub(crate) mod state;
#[cfg(test)]
mod testing;
mod tus;
mod write_timeout;

#[cfg(fuzzing)]
pub(crate) use self::tus::fuzzing;

pub(crate) use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use state::EdgeState;

/// The router of the main listener: `routes` and liveness, and, unless they have a listener of their own,
/// readiness and metrics; all of it behind the layers of [`middleware`].
pub(crate) fn router(state: &EdgeState, routes: Router) -> Router {
    let mut routes = routes.merge(health::live_routes());
    if state.settings.admin_listen.is_none() {
        routes = routes.merge(health::admin_routes(state.clone()));
    }
    middleware::wrap(routes.fallback(not_found), state)
}

/// The router of the second listener (`server.admin_listen`).
pub(crate) fn admin_router(state: &EdgeState) -> Router {
    let routes = health::live_routes().merge(health::admin_routes(state.clone()));
    middleware::wrap(routes.fallback(not_found), state)
}

/// What tusd and the DEX upload server say for a path they do not know.
async fn not_found() -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::NOT_FOUND, plain, "404 page not found\n").into_response()
}
