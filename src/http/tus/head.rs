//! HEAD: how far an upload is (tus 1.0.0). It looks at what is durable and takes no lock, so it neither
//! waits for a running append nor disturbs it (dex-upload W-25).

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::DoorState;
use super::error::TusError;
use crate::auth::Caller;
use crate::id::UploadId;
use crate::upload::{UploadMetadata, UploadState};

/// Tells offset, length and metadata of an upload.
pub(super) async fn head(state: &DoorState, caller: &Caller, id: UploadId) -> Result<Response, TusError> {
    let upload = state.exchange.uploads.find(&caller.access(), id).await?.ok_or(TusError::NotFound)?;
    if upload.state == UploadState::Damaged {
        return Err(TusError::Damaged);
    }
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert("upload-offset", HeaderValue::from(upload.offset));
    if let Some(length) = upload.length {
        headers.insert("upload-length", HeaderValue::from(length));
    }
    let fields = upload.manifest.fields().iter();
    let metadata: UploadMetadata =
        fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if let Ok(metadata) = HeaderValue::try_from(metadata.to_header()) {
        headers.insert("upload-metadata", metadata);
    }
    Ok(response)
}
