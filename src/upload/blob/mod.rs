//! Where the bytes of uploads live. A [`BlobStore`] knows keys and bytes, nothing of uploads, owners or
//! databases; what it promises is checked by `contract.rs` on every implementation.

#[cfg(test)]
pub(crate) mod contract;
mod file;
mod object;
mod span;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::source::StoredBytes;
use crate::digest::ContentHash;
use crate::id::UploadId;
use crate::outbound::bucket::Bucket;

pub(crate) use file::FileBlobs;
pub(super) use file::make_folders;
pub(crate) use object::ObjectBlobs;

/// The name of a blob: `tenant/owner/upload`, so that access rules of the storage can follow tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StorageKey(String);

impl StorageKey {
    /// The key of an upload.
    pub(crate) fn new(tenant: &str, owner: &str, id: UploadId) -> Self {
        Self(format!("{tenant}/{owner}/{id}"))
    }

    /// The key as the database keeps it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a key back from the database or from a listing.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The upload whose bytes these are; `None` for something that is none of ours.
    pub(crate) fn upload_id(&self) -> Option<UploadId> {
        self.0.rsplit('/').next()?.parse().ok()
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes that one append made durable: what the database remembers of them, and a delivery checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset of its first byte in the upload.
    pub(crate) first_byte: u64,
    /// Length in bytes.
    pub(crate) length: u64,
    /// The hash of its bytes.
    pub(crate) hash: ContentHash,
}

impl Segment {
    /// Offset of the byte after its last.
    pub(crate) fn end(&self) -> u64 {
        self.first_byte + self.length
    }
}

/// Which hash the segments of an append are to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WantedHash {
    /// Any that tells other bytes from them, as the store chooses.
    Any,
    /// SHA-256, because somebody wants to know it.
    Sha256,
}

/// Why bytes could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// No space is left.
    #[error("no space is left in the upload store")]
    Full(#[source] std::io::Error),
    /// Fewer bytes are there than were acknowledged: storage lost them.
    #[error("the upload store holds {found} bytes where {expected} were acknowledged")]
    Short {
        /// Bytes acknowledged.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// Storage failed.
    #[error("the upload store failed")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for BlobError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full(error),
            _ => Self::Io(error),
        }
    }
}

/// A place for blobs.
#[async_trait]
pub(crate) trait BlobStore: Send + Sync {
    /// Opens a blob to append at `offset`, which the database says is its acknowledged length. Offset 0 makes
    /// the blob; bytes after the offset, which nobody was promised, are cut off. Its segments have this `hash`.
    ///
    /// # Errors
    /// [`BlobError::Short`] if acknowledged bytes are gone.
    async fn append(
        &self,
        key: &StorageKey,
        offset: u64,
        hash: WantedHash,
    ) -> Result<Box<dyn BlobWriter>, BlobError>;

    /// Writes blobs that are whole, each anew; all of them are durable when this returns. If it fails, some may be
    /// there and some in part.
    async fn store(&self, blobs: Vec<(StorageKey, Bytes)>) -> Result<(), BlobError> {
        for (key, bytes) in blobs {
            let mut writer = self.append(&key, 0, WantedHash::Any).await?;
            let written = match writer.write(bytes).await {
                Ok(()) => writer.checkpoint().await,
                Err(error) => Err(error),
            };
            writer.abandon().await;
            written?;
        }
        Ok(())
    }

    /// Opens a blob to read from `offset` on.
    async fn read(&self, key: &StorageKey, offset: u64) -> Result<Box<dyn BlobReader>, BlobError>;

    /// Removes a blob; it is no error if there is none.
    async fn remove(&self, key: &StorageKey) -> Result<(), BlobError>;

    /// The keys of all blobs that have not been written since this store was opened: what a crash may have
    /// left behind. Asked once, after the start.
    async fn left_over(&self) -> Result<Vec<StorageKey>, BlobError>;

    /// The mark that [`BlobStore::mark`] left, if there is one.
    async fn marked(&self) -> Result<Option<String>, BlobError>;

    /// Marks the store as the one of a database. A marked store stays as it is.
    async fn mark(&self, id: &str) -> Result<(), BlobError>;

    /// Whether the store can be written to.
    async fn check(&self) -> Result<(), BlobError>;
}

/// A blob open for appending.
///
/// Dropping it leaves every byte up to the last checkpoint; later ones may or may not be there, and may even
/// still be on their way: whoever lets somebody else write the blob afterwards awaits
/// [`BlobWriter::abandon`] first.
#[async_trait]
pub(crate) trait BlobWriter: Send {
    /// Adds bytes. They may still be in memory when this returns, at most two blocks of 1 MiB.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError>;

    /// Makes everything written so far durable and returns what was added since the last checkpoint; `None`
    /// if that is nothing.
    async fn checkpoint(&mut self) -> Result<Option<Segment>, BlobError>;

    /// Returns when nothing is being written any more, so that the blob may be opened anew. What was written
    /// since the last checkpoint is given up.
    async fn abandon(&mut self);
}

/// A blob open for reading.
#[async_trait]
pub(crate) trait BlobReader: Send {
    /// The next block of at most `max` bytes; empty at the end.
    async fn next(&mut self, max: usize) -> Result<Bytes, BlobError>;

    /// What holds the blob in a bucket, in order, before anything was read of it; `None` if nothing does.
    fn objects(&self) -> Option<(Bucket, Vec<StoredBytes>)> {
        None
    }
}
