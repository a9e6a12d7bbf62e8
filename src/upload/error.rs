//! What can go wrong with an upload. Status codes are `http`'s business.

use super::blob::BlobError;
use super::checksum::ChecksumError;
use crate::db::DbError;

/// An upload could not be created, appended to or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// No such upload for this caller.
    #[error("no such upload")]
    NotFound,
    /// The offset named is not the upload's (tus 1.0.0, PATCH: 409).
    #[error("the offset is {expected}, not {got}")]
    OffsetMismatch {
        /// The upload's offset.
        expected: u64,
        /// The offset that the request named.
        got: u64,
    },
    /// It was terminated or has expired; its row alone is left (tus 1.0.0: 410).
    #[error("the upload is gone")]
    Gone,
    /// It is made of partial uploads and takes no bytes (tus 1.0.0, Concatenation: 403).
    #[error("a final upload takes no bytes")]
    Final,
    /// The length told is another than the one told before, or less than what is here (T-18: 400).
    #[error("the length does not agree with what is known of the upload")]
    LengthConflict,
    /// The length told is more than any upload may have.
    #[error("the upload is longer than allowed")]
    TooLong,
    /// The checksum of the body says nothing (tus 1.0.0, Checksum: 400).
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// The body does not agree with its checksum; none of it is kept (tus 1.0.0, Checksum: 460).
    #[error("the body does not agree with its checksum")]
    ChecksumMismatch,
    /// The request carries more bytes than the upload's length leaves room for.
    #[error("the body is longer than what is left of the upload")]
    BeyondLength,
    /// Another request is writing and did not stop in time.
    #[error("another request is writing this upload")]
    Locked,
    /// The upload lost acknowledged bytes and can neither be continued nor delivered.
    #[error("the upload has lost bytes")]
    Damaged,
    /// The bytes in the store are named by another database's rows.
    #[error("the store belongs to another database; to start anew, name another folder")]
    ForeignStore,
    /// No space is left.
    #[error("no space is left")]
    Full,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// The store of bytes failed.
    #[error("the upload store failed")]
    Blob(#[source] BlobError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<BlobError> for UploadError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full(_) => Self::Full,
            BlobError::Short { .. } => Self::Damaged,
            BlobError::Io(_) => Self::Blob(error),
        }
    }
}
