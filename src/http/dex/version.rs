//! `/` and `/version`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::DoorState;

#[derive(Serialize)]
struct VersionWire {
    repo: &'static str,
    latest_release_version: &'static str,
    git_short_sha: &'static str,
}

#[derive(Serialize)]
struct RootWire {
    system: &'static str,
    dex_product: &'static str,
    dex_app: &'static str,
    server_time: String,
}

/// Which build this is; a build that was not stamped has no commit.
pub(super) async fn read() -> Response {
    let wire = VersionWire {
        repo: env!("CARGO_PKG_NAME"),
        latest_release_version: concat!("v", env!("CARGO_PKG_VERSION")),
        git_short_sha: option_env!("CDEX_BUILD_SHA").unwrap_or_default(),
    };
    super::json(StatusCode::OK, &wire)
}

/// What DEX says of itself at its root.
pub(super) async fn root(State(state): State<DoorState>) -> Response {
    let wire = RootWire {
        system: "DEX",
        dex_product: "UPLOAD API",
        dex_app: "upload server",
        server_time: state.exchange.clock.now().to_string(),
    };
    super::json(StatusCode::OK, &wire)
}
