//! POST: creation and creation-with-upload (tus 1.0.0).

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::TusError;
use super::{DoorState, headers, location};
use crate::auth::Caller;
use crate::exchange::receive_upload::Creation;
use crate::http::routes;
use crate::manifest::ManifestFields;
use crate::upload::{AppendRequest, UploadMetadata};

/// Creates an upload, and takes its first bytes if the request carries some. The manifest is judged before
/// the body is asked for, so that a client that sent `Expect: 100-continue` is spared it (T-21).
pub(super) async fn create(
    state: &DoorState,
    caller: &Caller,
    request: Request,
) -> Result<Response, TusError> {
    let collection = request.uri().path().trim_end_matches('/').to_owned();
    let fields = request.headers();
    // A field that is empty counts as absent (dex-upload 2.8).
    let field = |name| fields.get(name).filter(|value| !value.is_empty());
    if field("upload-concat").is_some() {
        return Err(TusError::NotImplemented);
    }
    match (field("upload-defer-length"), field("upload-length")) {
        (Some(_), Some(_)) => return Err(TusError::AmbiguousUploadLength),
        (Some(defer), None) if defer != "1" => return Err(TusError::InvalidUploadLengthDefer),
        // Telling the length later is not offered yet: the length is missing.
        _ => {}
    }
    let length = headers::bytes(fields, "upload-length", TusError::InvalidUploadLength)?
        .ok_or(TusError::InvalidUploadLength)?;
    if length > state.limits.upload_bytes {
        return Err(TusError::MaxSizeExceeded);
    }
    let declared = headers::declared(fields);
    let carries_bytes = headers::carries_bytes(fields) && declared != Some(0);
    if carries_bytes && declared.is_some_and(|declared| declared > length) {
        return Err(TusError::SizeExceeded);
    }
    // Several lines of one field are one list (RFC 9110, 5.3).
    let lines: Vec<&[u8]> = fields.get_all("upload-metadata").iter().map(HeaderValue::as_bytes).collect();
    let metadata = UploadMetadata::parse(&lines.join(&b","[..]), state.metadata_mode)
        .map_err(|error| TusError::InvalidMetadata(error.to_string()))?;
    let manifest: ManifestFields = metadata.into_pairs().into_iter().collect();

    let id = match state.exchange.create_upload(caller, Some(length), manifest).await? {
        Creation::Created(id) => id,
        Creation::Refused { id, rejected } => return Err(TusError::Refused { id, rejected }),
        Creation::Unrouted(id) => return Err(TusError::Unrouted(id)),
    };
    let mut response = StatusCode::CREATED.into_response();
    if carries_bytes {
        let append = AppendRequest { access: caller.access(), id, offset: 0, declared };
        let body = routes::body(request, u64::MAX);
        // The upload exists whatever becomes of its first bytes: the offset says how many were kept (T-22).
        let offset = match state.exchange.append_upload(append, body).await {
            Ok(reception) => reception.offset,
            Err(error) => {
                tracing::warn!(upload.id = %id, %error, "the first bytes of an upload were not kept");
                0
            }
        };
        response.headers_mut().insert("upload-offset", HeaderValue::from(offset));
    }
    let location = location(state, &collection, id);
    let location = HeaderValue::try_from(location).map_err(|error| TusError::Internal(error.into()))?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}
