//! What the fuzz targets in `tests/fuzz` call of the tus door; compiled for them only. It panics when something is
//! wrong with the reading of header fields, never on bad input.

use axum::http::{HeaderMap, HeaderValue};

use super::error::TusError;
use super::headers;

/// Reads `Upload-Length`: a count that is accepted has one spelling, the one that was sent.
pub fn upload_number(text: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let mut fields = HeaderMap::new();
    fields.insert("upload-length", value);
    match headers::bytes(&fields, "upload-length", TusError::InvalidUploadLength) {
        Ok(Some(count)) => {
            assert_eq!(count.to_string().as_bytes(), text);
            assert!(i64::try_from(count).is_ok());
        }
        Ok(None) => assert!(text.is_empty()),
        Err(_) => {}
    }
}
