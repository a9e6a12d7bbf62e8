//! `Upload-Checksum` of a request (tus 1.0.0, Checksum): in its header, or announced there and sent in the trailer of a
//! chunked body. What the field says is read by `upload`.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};

use super::error::TusError;
use crate::exchange::Body;
use crate::http::routes;
use crate::upload::{ChecksumError, ChecksumTrailer, ExpectedChecksum, UploadChecksum};

const FIELD: &str = "upload-checksum";

/// What the body of a request must hash to, if anything is said about that.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<ExpectedChecksum>, TusError> {
    if let Some(checksum) = read(headers) {
        let known = |checksum| Some(ExpectedChecksum::Known(checksum, Arc::default()));
        return checksum.map(known).map_err(TusError::Checksum);
    }
    let announced = headers.get_all(header::TRAILER).iter().any(|names| {
        let mut names = names.as_bytes().split(|&byte| byte == b',');
        names.any(|name| name.trim_ascii().eq_ignore_ascii_case(FIELD.as_bytes()))
    });
    Ok(announced.then(|| ExpectedChecksum::Trailer(Arc::default())))
}

/// The body of a request whose checksum is `expected`, and what a trailer of it says.
pub(super) fn body(request: Request, expected: Option<&ExpectedChecksum>) -> (Body, ChecksumTrailer) {
    let trailer = match expected {
        Some(ExpectedChecksum::Known(_, trailer) | ExpectedChecksum::Trailer(trailer)) => trailer.clone(),
        None => Arc::default(),
    };
    let told = trailer.clone();
    let body = routes::body_with_trailers(request, move |trailers| {
        if let Some(checksum) = read(trailers) {
            // A body has one set of trailers.
            let _ = told.set(checksum);
        }
    });
    (body, trailer)
}

/// Whether no checksum came that nobody had announced: of a body that was acknowledged on its way nobody can say any
/// more whether it agrees.
pub(super) fn was_announced(expected: bool, trailer: &ChecksumTrailer) -> Result<(), TusError> {
    if expected || trailer.get().is_none() {
        Ok(())
    } else {
        Err(TusError::Checksum(ChecksumError::Malformed))
    }
}

/// The field, if it is there and not empty; one that is there twice says nothing.
fn read(headers: &HeaderMap) -> Option<Result<UploadChecksum, ChecksumError>> {
    let mut values = headers.get_all(FIELD).iter().filter(|value| !value.is_empty());
    let value = values.next()?;
    match values.next() {
        None => Some(UploadChecksum::parse(value.as_bytes())),
        Some(_) => Some(Err(ChecksumError::Malformed)),
    }
}
