//! A [`Source`] that reads a blob once and on that one read checks it against the hash of each segment that
//! was acknowledged. A truncated or changed file is an error before its last byte, never a short success
//! (dex-upload W-04).

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::blob::{BlobError, BlobReader, Segment};
use super::source::{Source, SourceError, Stored};

/// Bytes handed on at a time.
const BLOCK: u64 = 1024 * 1024;

/// A [`Source`] over a blob and the segments that the database remembers of it.
pub(super) struct VerifiedSource {
    reader: Option<Box<dyn BlobReader>>,
    length: u64,
    segments: VecDeque<Segment>,
    /// Bytes of the first segment in the queue that were read, and their hash so far.
    in_segment: u64,
    segment_sha256: Sha256,
    /// `None` where one segment is the whole upload: its hash says it all.
    whole: Option<Sha256>,
    sha256: Option<[u8; 32]>,
}

impl VerifiedSource {
    /// `reader` may be absent only for an upload without bytes.
    pub(super) fn new(
        reader: Option<Box<dyn BlobReader>>,
        length: u64,
        segments: Vec<Segment>,
    ) -> Result<Self, SourceError> {
        let mut end = 0;
        for segment in &segments {
            if segment.first_byte != end {
                return Err(SourceError::Corrupt);
            }
            end = segment.end();
        }
        if end != length || (reader.is_none() && length > 0) {
            return Err(SourceError::Corrupt);
        }
        Ok(Self {
            reader,
            length,
            whole: (segments.len() != 1).then(Sha256::new),
            segments: segments.into(),
            in_segment: 0,
            segment_sha256: Sha256::new(),
            sha256: None,
        })
    }
}

#[async_trait]
impl Source for VerifiedSource {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let (Some(segment), Some(reader)) = (self.segments.front(), &mut self.reader) else {
            if let Some(whole) = self.whole.take() {
                self.sha256 = Some(whole.finalize().into());
            }
            return Ok(None);
        };
        let left = segment.length - self.in_segment;
        let max = usize::try_from(left.min(BLOCK)).unwrap_or(usize::MAX);
        let block = reader.next(max).await.map_err(source_error)?;
        if block.is_empty() && left > 0 {
            return Err(SourceError::Truncated);
        }
        self.segment_sha256.update(&block);
        if let Some(whole) = &mut self.whole {
            whole.update(&block);
        }
        self.in_segment += block.len() as u64;
        if self.in_segment == segment.length {
            let sha256: [u8; 32] = self.segment_sha256.finalize_reset().into();
            if sha256 != segment.sha256 {
                return Err(SourceError::Corrupt);
            }
            if self.whole.is_none() {
                self.sha256 = Some(sha256);
            }
            self.segments.pop_front();
            self.in_segment = 0;
        }
        Ok(Some(block))
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256
    }

    fn stored(&self) -> Option<Stored> {
        // Of several segments nobody has the hash of the whole yet.
        if self.whole.is_some() || self.in_segment > 0 {
            return None;
        }
        let segment = self.segments.front()?;
        let (bucket, name) = self.reader.as_ref()?.object()?;
        Some(Stored { bucket, name, sha256: segment.sha256 })
    }
}

/// A failure of the store, as whoever reads it needs to know it.
pub(super) fn source_error(error: BlobError) -> SourceError {
    match error {
        BlobError::Short { .. } => SourceError::Truncated,
        BlobError::Full(source) | BlobError::Io(source) => SourceError::Storage(source),
    }
}
