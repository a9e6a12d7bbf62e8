//! The IETF draft "Resumable Uploads for HTTP" on the same resources, for clients that do not speak tus (dex-upload
//! 2.7). Its creation knows no metadata; `Upload-Metadata` is honoured all the same, because a sender manifest is
//! needed. Interim responses (104) cannot be sent through hyper, so a client learns the URL from the final answer.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::dialect::Draft;
use super::error::TusError;
use super::{DoorState, collection_url, create, head, headers, patch};
use crate::auth::Caller;
use crate::exchange::receive_upload::{CreateRequest, Reception};
use crate::http::routes;
use crate::id::UploadId;
use crate::upload::{AppendRequest, UploadError, UploadState};

/// The media type of a piece, from version 6 on.
const PIECE: &str = "application/partial-upload";

/// Creates an upload with the bytes that the request carries.
pub(super) async fn create(
    state: &DoorState,
    caller: &Caller,
    request: Request,
    draft: Draft,
) -> Result<Response, TusError> {
    let collection = collection_url(state, request.headers(), request.uri());
    let fields = request.headers();
    let is_last = draft.is_complete(fields)?;
    let carried = request.body().size_hint().exact();
    let told = told_length(fields, draft)?;
    let length = match (told, carried.filter(|_| is_last)) {
        (Some(told), Some(carried)) if told != carried => return Err(TusError::InvalidUploadLength),
        (told, carried) => told.or(carried),
    };
    if length.is_some_and(|length| length > state.limits.upload_bytes) {
        return Err(TusError::MaxSizeExceeded);
    }
    let mut metadata = headers::metadata(fields, state.metadata_mode)?;
    // What the draft itself has for a media type, as tusd files it.
    let media_type = fields.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(media_type) = media_type.filter(|_| metadata.get("filetype").is_none()) {
        metadata.set("filetype", media_type);
    }
    let creation = CreateRequest { length, fields: metadata, is_partial: false };
    let (id, _) = create::created(state.exchange.create_upload(caller, creation).await?)?;
    let append = AppendRequest { declared: carried, is_last, ..AppendRequest::new(caller.access(), id, 0) };
    let (offset, is_complete) = match append_body(state, append, request).await {
        Ok(reception) => (reception.offset, reception.is_complete),
        Err(error) => {
            tracing::warn!(upload.id = %id, %error, "not all first bytes of an upload were kept");
            (head::look(state, caller, id).await?.offset, false)
        }
    };
    let mut response = StatusCode::CREATED.into_response();
    tell(&mut response, draft, offset, is_complete);
    draft.tell_limit(response.headers_mut(), state.limits.upload_bytes);
    create::tell_location(response.headers_mut(), &collection, id)?;
    Ok(response)
}

/// Appends what the request carries.
pub(super) async fn append(
    state: &DoorState,
    caller: &Caller,
    id: UploadId,
    request: Request,
    draft: Draft,
) -> Result<Response, TusError> {
    let fields = request.headers();
    if draft.tells_lengths() && !headers::is_of_type(fields, PIECE) {
        return Err(TusError::InvalidContentType);
    }
    let offset =
        headers::bytes(fields, "upload-offset", TusError::InvalidOffset)?.ok_or(TusError::InvalidOffset)?;
    let is_last = draft.is_complete(fields)?;
    let carried = request.body().size_hint().exact();
    let ends_at = carried.filter(|_| is_last).and_then(|carried| offset.checked_add(carried));
    let append = AppendRequest {
        declared: carried,
        length: told_length(fields, draft)?.or(ends_at),
        is_last,
        ..AppendRequest::new(caller.access(), id, offset)
    };
    let reception = append_body(state, append, request).await?;
    patch::taken(&reception)?;
    if is_last && !reception.is_complete {
        // It was said to be the end, and is not where the length says.
        return Err(TusError::InvalidUploadLength);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    tell(&mut response, draft, reception.offset, reception.is_complete);
    Ok(response)
}

/// Tells how far an upload is.
pub(super) async fn offset(
    state: &DoorState,
    caller: &Caller,
    id: UploadId,
    fields: &HeaderMap,
    draft: Draft,
) -> Result<Response, TusError> {
    if draft.forbids_in_head(fields) {
        return Err(TusError::InvalidOffset);
    }
    let upload = head::look(state, caller, id).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let is_complete = matches!(upload.state, UploadState::Complete | UploadState::Ready);
    tell(&mut response, draft, upload.offset, is_complete);
    if let Some(length) = upload.length.filter(|_| draft.tells_lengths()) {
        response.headers_mut().insert("upload-length", HeaderValue::from(length));
    }
    draft.tell_limit(response.headers_mut(), state.limits.upload_bytes);
    Ok(response)
}

async fn append_body(
    state: &DoorState,
    append: AppendRequest,
    request: Request,
) -> Result<Reception, UploadError> {
    state.exchange.append_upload(append, routes::body(request, u64::MAX)).await
}

fn told_length(fields: &HeaderMap, draft: Draft) -> Result<Option<u64>, TusError> {
    if draft.tells_lengths() {
        headers::bytes(fields, "upload-length", TusError::InvalidUploadLength)
    } else {
        Ok(None)
    }
}

fn tell(response: &mut Response, draft: Draft, offset: u64, is_complete: bool) {
    response.headers_mut().insert("upload-offset", HeaderValue::from(offset));
    draft.tell(response.headers_mut(), is_complete);
}
