//! What the fuzz targets in `tests/fuzz` call of this stage; compiled for them only. It panics when something is
//! wrong with the codecs of `Upload-Metadata` and `Upload-Checksum`, never on bad input.

use super::checksum::UploadChecksum;
use super::metadata::{MetadataMode, UploadMetadata};

/// Reads a header: what the strict reading accepts the lenient one reads alike, and both write what they read
/// again.
pub fn upload_metadata(header: &[u8]) {
    let lenient = UploadMetadata::parse(header, MetadataMode::Lenient);
    if let Ok(strict) = UploadMetadata::parse(header, MetadataMode::Strict) {
        assert_eq!(lenient, Ok(strict));
    }
    if let Ok(metadata) = lenient {
        let written = metadata.to_header();
        assert!(written.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        assert_eq!(UploadMetadata::parse(written.as_bytes(), MetadataMode::Strict), Ok(metadata));
    }
}

/// Reads `Upload-Checksum`: what is accepted has one spelling, the one that was sent.
pub fn upload_checksum(field: &[u8]) {
    if let Ok(checksum) = UploadChecksum::parse(field) {
        assert_eq!(checksum.to_field().as_bytes(), field);
    }
}
