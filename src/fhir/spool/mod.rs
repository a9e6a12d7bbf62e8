//! Where large strings go while a body is still being read. `upload` implements it: FHIR knows what must
//! be kept, not where bytes live.

#[cfg(test)]
pub(crate) mod testing;

use async_trait::async_trait;
use bytes::Bytes;

use crate::id::UploadId;

/// Bytes that were taken out of a body: kept, but invisible until a transaction makes them an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spooled {
    /// The upload they will become.
    pub(crate) id: UploadId,
    /// How many bytes there are.
    pub(crate) length: u64,
    /// Their SHA-256.
    pub(crate) sha256: [u8; 32],
    /// Their SHA-1, which FHIR R4 `Attachment.hash` is.
    pub(crate) sha1: [u8; 20],
}

/// Bytes could not be kept. The body is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// No space is left.
    #[error("no space is left for the payload")]
    Full,
    /// Storage failed.
    #[error("the payload could not be stored")]
    Storage(#[source] std::io::Error),
}

/// Keeps large strings of one body, one after the other.
///
/// Dropping a spool drops everything it holds that was not made an upload; whatever a crash leaves behind
/// is removed at the next start.
#[async_trait]
pub(crate) trait Spool: Send {
    /// Begins the next one. Only one is open at a time.
    async fn begin(&mut self) -> Result<(), SpoolError>;

    /// Adds bytes to the open one. They may still be in memory when this returns.
    async fn write(&mut self, bytes: Bytes) -> Result<(), SpoolError>;

    /// Closes the open one; its bytes are on stable storage when this returns.
    async fn end(&mut self) -> Result<Spooled, SpoolError>;

    /// Gives up the open one, if there is one, and leaves nothing of it.
    async fn abort(&mut self);

    /// Reads at most `max` bytes of a closed one from `offset` on; none at its end.
    async fn read(&mut self, spooled: &Spooled, offset: u64, max: usize) -> Result<Bytes, SpoolError>;

    /// Leaves nothing of a closed one.
    async fn discard(&mut self, spooled: &Spooled);
}
