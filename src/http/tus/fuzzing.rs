//! What the fuzz targets in `tests/fuzz` call of the tus door; compiled for them only. It panics when something is
//! wrong with the reading of header fields, never on bad input.

use axum::http::{HeaderMap, HeaderValue};

use super::concat::{self, Wanted};
use super::dialect::parse_boolean;
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

/// Reads `Upload-Concat`: it names one upload for each URL, and what is accepted can be sent back in a header.
pub fn upload_concat(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Some(Wanted::Final { parts, field }) = concat::parse(text) {
        assert_eq!(field, text);
        assert!(!parts.is_empty());
        for part in parts {
            assert!(text.contains(&part.to_string()));
        }
    }
}

/// Reads `Upload-Complete`: a Boolean begins with its own two characters and nothing but parameters follow.
pub fn upload_complete(text: &[u8]) {
    if let Some(said) = parse_boolean(text) {
        let trimmed = text.trim_ascii();
        assert!(trimmed.starts_with(if said { b"?1" } else { b"?0" }));
        assert!(trimmed.len() == 2 || trimmed[2] == b';');
    }
}
