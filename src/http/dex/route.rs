//! `POST /route/{id}`: deliver an upload again (dex-upload 1.5, with what is marked FIX there).

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use super::DoorState;
use crate::exchange::redeliver::{Redelivery, RedeliveryRefused};
use crate::http::body;
use crate::http::extract::Authenticated;
use crate::http::middleware::CurrentRequest;
use crate::id::UploadId;

/// A body of this call has two short words in it.
const BODY_LIMIT: u64 = 16 * 1024;

/// Other keys mean nothing, as with DEX.
#[derive(Deserialize)]
struct RouteWire {
    target: String,
    source: Option<String>,
    /// Beyond DEX: says what would be done, and does nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Queues one delivery and answers with the upload's id, or with JSON where that is accepted.
pub(super) async fn redeliver(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Extension(current): Extension<CurrentRequest>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let wants_json = accepts_json(request.headers());
    let body = match body::collect(request.into_body(), BODY_LIMIT).await {
        Ok(body) => body,
        Err(fault) => return super::text(fault.status(), ""),
    };
    let Ok(RouteWire { target, source, dry_run }) = serde_json::from_slice(&body) else {
        return super::text(StatusCode::BAD_REQUEST, "");
    };
    if source.is_some_and(|source| source != "upload") {
        return super::text(StatusCode::BAD_REQUEST, "Could not find source\n");
    }
    let Ok(id) = id.parse::<UploadId>() else { return unknown() };
    match state.exchange.redeliver(&caller, current.as_str(), id, (&target, dry_run)).await {
        Ok(redelivery) if wants_json => {
            let (delivery, status) = match redelivery {
                Redelivery::Queued(delivery) => (delivery, "queued"),
                Redelivery::AlreadyUnderWay(delivery) => (delivery, "under-way"),
            };
            let wire = serde_json::json!({ "upload_id": id, "delivery_id": delivery, "status": status });
            super::json(StatusCode::OK, &wire)
        }
        Ok(_) => super::text(StatusCode::OK, id.to_string()),
        Err(RedeliveryRefused::UnknownUpload) => unknown(),
        Err(RedeliveryRefused::Gone) => {
            super::text(StatusCode::GONE, "the upload has expired or was removed\n")
        }
        Err(RedeliveryRefused::Incomplete) => {
            super::text(StatusCode::CONFLICT, "the upload is not complete\n")
        }
        Err(RedeliveryRefused::UnknownTarget) => super::text(StatusCode::BAD_REQUEST, "Invalid target\n"),
        Err(RedeliveryRefused::NotRouted) => {
            super::text(StatusCode::BAD_REQUEST, "Invalid target for metadata\n")
        }
        Err(RedeliveryRefused::Db(error)) => super::unavailable(&error),
    }
}

/// DEX answers any other method with 400 and no body; its tests expect that.
pub(super) async fn only_post() -> Response {
    super::text(StatusCode::BAD_REQUEST, "")
}

fn unknown() -> Response {
    super::text(StatusCode::NOT_FOUND, "source file does not exist\n")
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}
