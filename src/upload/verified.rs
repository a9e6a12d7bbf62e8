//! A [`Source`] that reads a blob once and on that one read checks it against the hash of each segment that
//! was acknowledged. A truncated or changed file is an error before its last byte, never a short success
//! (dex-upload W-04).

use async_trait::async_trait;
use bytes::Bytes;

use super::blob::{BlobError, BlobReader, Segment};
use super::source::{Source, SourceError, Stored, StoredBytes};
use super::verifier::Verifier;

/// Bytes handed on at a time.
const BLOCK: u64 = 1024 * 1024;

/// A [`Source`] over a blob and the segments that the database remembers of it.
pub(super) struct VerifiedSource {
    reader: Option<Box<dyn BlobReader>>,
    length: u64,
    verifier: Verifier,
    sha256: Option<[u8; 32]>,
}

impl VerifiedSource {
    /// `reader` may be absent only for an upload without bytes.
    pub(super) fn new(
        reader: Option<Box<dyn BlobReader>>,
        length: u64,
        segments: Vec<Segment>,
    ) -> Result<Self, SourceError> {
        if reader.is_none() && length > 0 {
            return Err(SourceError::Corrupt);
        }
        Ok(Self { reader, length, verifier: Verifier::new(length, segments)?, sha256: None })
    }
}

#[async_trait]
impl Source for VerifiedSource {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let (Some(wanted), Some(reader)) = (self.verifier.wanted(), &mut self.reader) else {
            self.sha256 = self.verifier.finish();
            return Ok(None);
        };
        let max = usize::try_from(wanted.min(BLOCK)).unwrap_or(usize::MAX);
        let block = reader.next(max).await.map_err(source_error)?;
        if block.is_empty() && wanted > 0 {
            return Err(SourceError::Truncated);
        }
        self.verifier.update(&block)?;
        Ok(Some(block))
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256
    }

    fn stored(&self) -> Option<Stored> {
        let (bucket, objects) = self.reader.as_ref()?.objects()?;
        let held: u64 = objects.iter().map(StoredBytes::length).sum();
        (held == self.length).then(|| Stored { bucket, objects, verifier: self.verifier.clone() })
    }
}

/// A failure of the store, as whoever reads it needs to know it.
pub(super) fn source_error(error: BlobError) -> SourceError {
    match error {
        BlobError::Short { .. } => SourceError::Truncated,
        BlobError::Full(source) | BlobError::Io(source) => SourceError::Storage(source),
    }
}
