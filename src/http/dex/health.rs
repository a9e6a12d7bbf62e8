//! `/health` in the shape that DEX's tools read: always 200, the verdict in the body (dex-upload 1.3).
//! Orchestrators ask `/health/live` and `/health/ready`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::DoorState;

#[derive(Serialize)]
struct HealthWire {
    status: &'static str,
    services: Vec<ServiceWire>,
}

#[derive(Serialize)]
struct ServiceWire {
    service: String,
    status: &'static str,
    health_issue: String,
}

/// The health of each part, under the names that DEX gives them.
pub(super) async fn read(State(state): State<DoorState>) -> Response {
    let mut services: Vec<ServiceWire> = state
        .exchange
        .check_health()
        .await
        .into_iter()
        .map(|check| {
            let (service, works) = state.exchange.dex_name(&check.part);
            ServiceWire {
                service,
                status: if check.issue.is_none() { "UP" } else { "DOWN" },
                health_issue: check.issue.unwrap_or_else(|| works.to_owned()),
            }
        })
        .collect();
    services.sort_by(|one, other| one.service.cmp(&other.service));
    let degraded = services.iter().any(|service| service.status == "DOWN");
    super::json(StatusCode::OK, &HealthWire { status: if degraded { "DEGRADED" } else { "UP" }, services })
}
