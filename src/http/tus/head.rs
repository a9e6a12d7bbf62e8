//! HEAD: how far an upload is (tus 1.0.0). It looks at what is durable and takes no lock, so it neither
//! waits for a running append nor disturbs it (dex-upload W-25).

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::DoorState;
use super::error::TusError;
use super::headers;
use crate::auth::Caller;
use crate::id::UploadId;
use crate::upload::{Upload, UploadMetadata, UploadState};

/// Tells offset, length and metadata of an upload.
pub(super) async fn head(state: &DoorState, caller: &Caller, id: UploadId) -> Result<Response, TusError> {
    let upload = look(state, caller, id).await?;
    let mut response = StatusCode::OK.into_response();
    let fields = response.headers_mut();
    // Of a final upload there is nothing to continue; the offset says that it is done (T-31).
    if !upload.is_final() || upload.state == UploadState::Complete {
        fields.insert("upload-offset", HeaderValue::from(upload.offset));
    }
    match upload.length {
        Some(length) => fields.insert("upload-length", HeaderValue::from(length)),
        None => fields.insert("upload-defer-length", HeaderValue::from_static("1")),
    };
    if let Some(concat) = upload.concat.as_ref().and_then(|c| HeaderValue::try_from(c.as_str()).ok()) {
        fields.insert("upload-concat", concat);
    }
    let metadata = upload.manifest.fields().iter();
    let metadata: UploadMetadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    // A part that came without metadata has none to give back.
    let came_with_some = !upload.manifest.data_stream_id().is_empty();
    if let (true, Ok(metadata)) = (came_with_some, HeaderValue::try_from(metadata.to_header())) {
        fields.insert("upload-metadata", metadata);
    }
    headers::tell_expiry(fields, upload.expires_at);
    Ok(response)
}

/// An upload that is there, whole or in part.
pub(super) async fn look(state: &DoorState, caller: &Caller, id: UploadId) -> Result<Upload, TusError> {
    let upload = state.exchange.uploads.look(&caller.access(), id).await?.ok_or(TusError::NotFound)?;
    if upload.is_gone(state.exchange.clock.now()) {
        return Err(TusError::Gone);
    }
    if upload.state == UploadState::Damaged { Err(TusError::Damaged) } else { Ok(upload) }
}
