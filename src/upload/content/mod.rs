//! Bytes of a stored resource that are too long for its row: written through a spool, named by a row in the
//! transaction that keeps the resource, and read from any byte on. They are never delivered of themselves.
//!
//! A complete upload may lend its bytes to a resource: then both rows carry the same id, and the bytes stay as long as
//! either does.

mod store;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::blob::{BlobReader, Segment, StorageKey};
use super::verified::{VerifiedSource, source_error};
use super::{Source, SourceError, Uploads};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::digest::ContentHash;
use crate::fhir::Spooled;
use crate::id::UploadId;

pub(super) use store::exists;

/// Bytes read at a time.
const BLOCK: usize = 256 * 1024;

/// What is known of such bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Their name in the store.
    pub(crate) id: UploadId,
    /// How many there are.
    pub(crate) length: u64,
    /// Their SHA-256.
    pub(crate) sha256: [u8; 32],
}

impl From<&Spooled> for Content {
    fn from(spooled: &Spooled) -> Self {
        Self { id: spooled.id, length: spooled.length, sha256: spooled.sha256 }
    }
}

/// A stretch of such bytes on its way out.
pub(crate) struct ContentReader {
    reading: Reading,
    left: u64,
}

enum Reading {
    /// All of them: checked against their hash before the last block is handed on.
    Whole(Box<dyn Source>),
    /// A part: their hash says nothing about it.
    Part(Box<dyn BlobReader>),
}

impl ContentReader {
    /// The next block; `None` after the last.
    ///
    /// # Errors
    /// The stored bytes cannot be read, or are not those that were kept. What came before must not be taken for the
    /// whole.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.left == 0 {
            return Ok(None);
        }
        let block = match &mut self.reading {
            Reading::Whole(source) => source.next().await?.unwrap_or_default(),
            Reading::Part(reader) => {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(BLOCK);
                reader.next(most).await.map_err(source_error)?
            }
        };
        if block.is_empty() {
            return Err(SourceError::Truncated);
        }
        self.left = self.left.saturating_sub(block.len() as u64);
        Ok(Some(block))
    }
}

impl Uploads {
    /// Makes bytes belong to a resource that the same transaction keeps. Bytes that belong to one already stay as they
    /// are.
    pub(crate) async fn insert_contents(
        tx: &mut Tx<'_>,
        access: &Access,
        contents: &[Content],
        now: Timestamp,
    ) -> Result<(), DbError> {
        store::insert(tx, access, contents, now).await
    }

    /// Looks bytes up.
    pub(crate) async fn find_content(
        &self,
        access: &Access,
        id: UploadId,
    ) -> Result<Option<Content>, DbError> {
        let mut reader = self.db.reader().await?;
        Ok(store::find(&mut reader.tx(), access, id).await?.map(|(content, _)| content))
    }

    /// Begins to read `length` bytes from `first_byte` on.
    ///
    /// # Errors
    /// There are no such bytes for this caller, or the store does not give them.
    pub(crate) async fn read_content(
        &self,
        access: &Access,
        id: UploadId,
        (first_byte, length): (u64, u64),
    ) -> Result<ContentReader, SourceError> {
        let storage = |error: DbError| SourceError::Storage(std::io::Error::other(error));
        let found = {
            let mut reader = self.db.reader().await.map_err(storage)?;
            store::find(&mut reader.tx(), access, id).await.map_err(storage)?
        };
        let (content, owner) = found.ok_or(SourceError::Missing)?;
        let key = StorageKey::new(access.tenant(), &owner, content.id);
        let reader = self.blobs.read(&key, first_byte).await.map_err(source_error)?;
        let reading = if first_byte == 0 && length == content.length {
            let whole = Segment { first_byte: 0, length, hash: ContentHash::Sha256(content.sha256) };
            Reading::Whole(Box::new(VerifiedSource::new(Some(reader), length, vec![whole])?))
        } else {
            Reading::Part(reader)
        };
        Ok(ContentReader { reading, left: length })
    }
}
