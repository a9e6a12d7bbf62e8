//! PATCH: append to an upload (tus 1.0.0).

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::TusError;
use super::{DoorState, headers};
use crate::auth::Caller;
use crate::http::routes;
use crate::id::UploadId;
use crate::upload::{AppendRequest, Ended};

/// Streams the body to the upload and answers with the offset that is durable.
pub(super) async fn patch(
    state: &DoorState,
    caller: &Caller,
    id: UploadId,
    request: Request,
) -> Result<Response, TusError> {
    let fields = request.headers();
    if !headers::carries_bytes(fields) {
        return Err(TusError::InvalidContentType);
    }
    let offset =
        headers::bytes(fields, "upload-offset", TusError::InvalidOffset)?.ok_or(TusError::InvalidOffset)?;
    let append = AppendRequest { access: caller.access(), id, offset, declared: headers::declared(fields) };
    let reception = state.exchange.append_upload(append, routes::body(request, u64::MAX)).await?;
    match reception.ended {
        Ended::Whole => {
            let offset = [("upload-offset", HeaderValue::from(reception.offset))];
            Ok((StatusCode::NO_CONTENT, offset).into_response())
        }
        Ended::Broken(error) => Err(TusError::Body(error)),
        Ended::BeyondLength => Err(TusError::SizeExceeded),
        Ended::Wanted => Err(TusError::Interrupted),
        Ended::Stopping => Err(TusError::Stopping),
    }
}
