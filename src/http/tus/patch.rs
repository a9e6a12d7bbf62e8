//! PATCH: append to an upload (tus 1.0.0), with its length if that was deferred, and with a checksum.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::TusError;
use super::{DoorState, checksum, headers};
use crate::auth::Caller;
use crate::exchange::receive_upload::Reception;
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
    let append = AppendRequest {
        declared: headers::declared(fields),
        length: headers::bytes(fields, "upload-length", TusError::InvalidUploadLength)?,
        checksum: checksum::expected(fields)?,
        ..AppendRequest::new(caller.access(), id, offset)
    };
    let has_checksum = append.checksum.is_some();
    let (body, trailer) = checksum::body(request, append.checksum.as_ref());
    let reception = state.exchange.append_upload(append, body).await?;
    checksum::was_announced(has_checksum, &trailer)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let fields = response.headers_mut();
    fields.insert("upload-offset", HeaderValue::from(reception.offset));
    headers::tell_expiry(fields, reception.expires_at);
    taken(&reception)?;
    Ok(response)
}

/// Whether the whole body was taken.
pub(super) fn taken(reception: &Reception) -> Result<(), TusError> {
    match &reception.ended {
        Ended::Whole => Ok(()),
        Ended::Broken(error) => Err(TusError::Body(*error)),
        Ended::BeyondLength => Err(TusError::SizeExceeded),
        Ended::Wanted => Err(TusError::Interrupted),
        Ended::Stopping => Err(TusError::Stopping),
    }
}
