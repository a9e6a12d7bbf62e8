//! DELETE: the sender does not want an upload any more (tus 1.0.0, Termination; the draft's cancellation).

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::DoorState;
use super::error::TusError;
use crate::auth::Caller;
use crate::http::middleware::CurrentRequest;
use crate::id::UploadId;

/// Removes an upload; with `?force` also one that is being delivered.
pub(super) async fn terminate(
    state: &DoorState,
    caller: &Caller,
    id: UploadId,
    request: Request,
) -> Result<Response, TusError> {
    let (request, _) = request.into_parts();
    let query = request.uri.query().unwrap_or_default();
    let force = query.split('&').any(|pair| pair == "force" || pair == "force=true");
    let current = request.extensions.get::<CurrentRequest>().map(CurrentRequest::as_str);
    state.exchange.terminate_upload(caller, current.unwrap_or_default(), id, force).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
