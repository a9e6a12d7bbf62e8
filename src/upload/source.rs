//! The bytes of a finished upload on their way out, as a delivery reads them: in order, in blocks, and
//! checked against what was acknowledged when they came in.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::verifier::Verifier;
use crate::auth::Access;
use crate::id::UploadId;
use crate::outbound::bucket::Bucket;

/// The bytes of an upload cannot be read, or are not those that were acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// There is no such finished upload.
    #[error("the upload does not exist")]
    Missing,
    /// Storage ended before the upload did.
    #[error("the stored bytes end early")]
    Truncated,
    /// Storage holds other bytes than were acknowledged.
    #[error("the stored bytes are not those that were received")]
    Corrupt,
    /// Storage failed.
    #[error("the stored bytes could not be read")]
    Storage(#[source] std::io::Error),
}

/// An upload that lies in a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The bucket.
    pub(crate) bucket: Bucket,
    /// What holds its bytes, in order.
    pub(crate) objects: Vec<StoredBytes>,
    /// Compares a copy with what was acknowledged.
    pub(crate) verifier: Verifier,
}

/// Bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBytes {
    /// The name of the object.
    pub(crate) name: String,
    /// How many bytes it has.
    pub(crate) of: u64,
    /// Which of them are meant.
    pub(crate) range: Range<u64>,
}

impl StoredBytes {
    /// How many bytes are meant.
    pub(crate) fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether all of the object is meant.
    pub(crate) fn is_whole(&self) -> bool {
        self.length() == self.of
    }
}

/// One reading of an upload from its first byte to its last.
#[async_trait]
pub(crate) trait Source: Send {
    /// How many bytes there are.
    fn length(&self) -> u64;

    /// The next block, at most 1 MiB; `None` after the last. What it returns has been checked against the
    /// segments that were acknowledged, up to the last segment that ended.
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError>;

    /// SHA-256 of all bytes, once [`Source::next`] has returned `None`.
    fn sha256(&self) -> Option<[u8; 32]>;

    /// Where the bytes lie, if that is in a bucket and before anything was read: it can copy them without anybody
    /// sending them.
    fn stored(&self) -> Option<Stored> {
        None
    }
}

/// Opens uploads for reading.
#[async_trait]
pub(crate) trait Sources: Send + Sync {
    /// Begins one reading of a finished upload.
    async fn open(&self, access: &Access, upload_id: UploadId) -> Result<Box<dyn Source>, SourceError>;
}
