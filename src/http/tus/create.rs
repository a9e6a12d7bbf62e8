//! POST: creation, creation-with-upload, creation-defer-length and concatenation (tus 1.0.0).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::concat::Wanted;
use super::error::TusError;
use super::{DoorState, checksum, collection_url, concat, head, headers};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::exchange::concatenate_upload::ConcatenateRequest;
use crate::exchange::receive_upload::{CreateRequest, Creation, FirstBytes};
use crate::http::body::{self, BodyFault};
use crate::http::routes;
use crate::id::UploadId;
use crate::upload::UploadError;

/// Creates an upload, and takes its first bytes if the request carries some. The manifest is judged before
/// the body is asked for, so that a client that sent `Expect: 100-continue` is spared it (T-21).
pub(super) async fn create(
    state: &DoorState,
    caller: &Caller,
    request: Request,
) -> Result<Response, TusError> {
    let is_partial = match concat::wanted(state, &request)? {
        Wanted::Whole => false,
        Wanted::Partial => true,
        Wanted::Final { parts, field } => return concatenate(state, caller, request, parts, field).await,
    };
    let collection = collection_url(state, request.headers(), request.uri());
    let fields = request.headers();
    let length = length(fields)?;
    if length.is_some_and(|length| length > state.limits.upload_bytes) {
        return Err(TusError::MaxSizeExceeded);
    }
    let declared = headers::declared(fields);
    let is_told_an_offset = headers::carries_bytes(fields);
    let carries_bytes = is_told_an_offset && declared != Some(0);
    let beyond = |declared: u64| length.is_some_and(|length| declared > length);
    if carries_bytes && declared.is_some_and(beyond) {
        return Err(TusError::SizeExceeded);
    }
    let checksum = if carries_bytes { checksum::expected(fields)? } else { None };
    let creation =
        CreateRequest { length, fields: headers::metadata(fields, state.metadata_mode)?, is_partial };
    let (creation, received) = if carries_bytes {
        let (body, _) = checksum::body(request, checksum.as_ref());
        let first = FirstBytes { declared, checksum, body };
        state.exchange.create_upload_with(caller, creation, first).await?
    } else {
        (state.exchange.create_upload(caller, creation).await?, None)
    };
    let (id, mut expires_at) = created(creation)?;

    let mut response = StatusCode::CREATED.into_response();
    if let Some(received) = received {
        // The upload exists whatever becomes of its first bytes: the offset says how many were kept (T-22).
        let offset = match received {
            Ok(reception) => {
                expires_at = reception.expires_at;
                reception.offset
            }
            Err(error @ (UploadError::ChecksumMismatch | UploadError::Checksum(_))) => {
                // Told as what it is; the upload is there without bytes, and can be gone on with (T-26).
                response = TusError::from(error).into_response_to(&Method::POST);
                0
            }
            Err(error) => {
                tracing::warn!(upload.id = %id, %error, "not all first bytes of an upload were kept");
                head::look(state, caller, id).await?.offset
            }
        };
        response.headers_mut().insert("upload-offset", HeaderValue::from(offset));
    } else if is_told_an_offset {
        response.headers_mut().insert("upload-offset", HeaderValue::from(0));
    }
    tell_location(response.headers_mut(), &collection, id)?;
    headers::tell_expiry(response.headers_mut(), expires_at);
    Ok(response)
}

/// Creates a final upload: its length is that of its parts, and its bytes are theirs (T-30 to T-33).
async fn concatenate(
    state: &DoorState,
    caller: &Caller,
    request: Request,
    parts: Vec<UploadId>,
    field: String,
) -> Result<Response, TusError> {
    let (request, body) = request.into_parts();
    let fields = &request.headers;
    match body::collect(body, 0).await {
        Ok(_) => {}
        Err(BodyFault::TooLarge) => return Err(TusError::ModifyFinal),
        Err(fault) => return Err(TusError::Body(routes::body_error(fault))),
    }
    if ["upload-length", "upload-defer-length"].into_iter().any(|name| is_told(fields, name)) {
        return Err(TusError::InvalidUploadLength);
    }
    let concatenation =
        ConcatenateRequest { parts, field, fields: headers::metadata(fields, state.metadata_mode)? };
    let (id, expires_at) = created(state.exchange.concatenate_upload(caller, concatenation).await?)?;
    let mut response = StatusCode::CREATED.into_response();
    let collection = collection_url(state, fields, &request.uri);
    tell_location(response.headers_mut(), &collection, id)?;
    headers::tell_expiry(response.headers_mut(), expires_at);
    Ok(response)
}

/// Upload-Length, or that it is told later (T-12, T-16).
fn length(fields: &HeaderMap) -> Result<Option<u64>, TusError> {
    if !is_told(fields, "upload-defer-length") {
        let length = headers::bytes(fields, "upload-length", TusError::InvalidUploadLength)?;
        return length.ok_or(TusError::InvalidUploadLength).map(Some);
    }
    if is_told(fields, "upload-length") {
        return Err(TusError::AmbiguousUploadLength);
    }
    match headers::bytes(fields, "upload-defer-length", TusError::InvalidUploadLengthDefer)? {
        Some(1) => Ok(None),
        _ => Err(TusError::InvalidUploadLengthDefer),
    }
}

/// A field that is empty counts as absent (dex-upload 2.8).
fn is_told(fields: &HeaderMap, name: &str) -> bool {
    fields.get_all(name).iter().any(|value| !value.is_empty())
}

/// What came into being.
pub(super) fn created(creation: Creation) -> Result<(UploadId, Option<Timestamp>), TusError> {
    match creation {
        Creation::Created { id, expires_at } => Ok((id, expires_at)),
        Creation::Refused { id, rejected } => Err(TusError::Refused { id, rejected }),
        Creation::Unrouted(id) => Err(TusError::Unrouted(id)),
    }
}

/// Says where an upload is that was created at `collection`.
pub(super) fn tell_location(headers: &mut HeaderMap, collection: &str, id: UploadId) -> Result<(), TusError> {
    let location = HeaderValue::try_from(format!("{collection}/{id}"));
    headers.insert(header::LOCATION, location.map_err(|error| TusError::Internal(error.into()))?);
    Ok(())
}
