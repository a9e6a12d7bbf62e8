//! Small uploads. One whose bytes all come at once and are few lies in the database beside its row: one commit makes row
//! and bytes durable, where a file needs a sync of its own and another of its folder. Whatever does not turn out so goes
//! to the blob store, and whoever reads need not know where bytes are.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::blob::{BlobError, BlobReader, BlobStore, BlobWriter, Segment, StorageKey};
use super::{Upload, Uploads, store};
use crate::db::{DbError, Tx};

/// Takes the bytes of one append. As long as they may turn out to be all of a small upload they are only gathered.
pub(super) struct Taking {
    blobs: Arc<dyn BlobStore>,
    key: StorageKey,
    /// Present while nothing is in the blob store.
    gathering: Option<Gathering>,
    /// Present once something is.
    writer: Option<Box<dyn BlobWriter>>,
}

/// Bytes in memory, fewer than [`UploadSettings::small_bytes`](super::UploadSettings::small_bytes).
struct Gathering {
    bytes: BytesMut,
    /// How many make the upload whole.
    whole: u64,
}

impl Taking {
    /// Begins to append at the offset of an upload.
    pub(super) async fn begin(uploads: &Uploads, upload: &Upload) -> Result<Self, BlobError> {
        let small =
            upload.length.filter(|length| upload.offset == 0 && *length <= uploads.settings.small_bytes);
        let gathering = small.map(|whole| Gathering { bytes: BytesMut::new(), whole });
        let mut taking =
            Self { blobs: uploads.blobs.clone(), key: upload.key.clone(), gathering, writer: None };
        if taking.gathering.is_none() {
            taking.writer = Some(taking.blobs.append(&taking.key, upload.offset).await?);
        }
        Ok(taking)
    }

    /// Adds bytes.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        if let Some(gathering) = &mut self.gathering {
            gathering.bytes.extend_from_slice(&bytes);
            return Ok(());
        }
        self.store().await?.write(bytes).await
    }

    /// Makes what arrived durable; but if it is all of a small upload that is left to [`Uploads::keep_small`], to which
    /// [`Taking::small`] gives it.
    pub(super) async fn checkpoint(&mut self) -> Result<Option<Segment>, BlobError> {
        match &self.gathering {
            Some(Gathering { bytes, .. }) if bytes.is_empty() => Ok(None),
            Some(Gathering { bytes, whole }) if bytes.len() as u64 == *whole => {
                Ok(Some(Segment { first_byte: 0, length: *whole, sha256: Sha256::digest(bytes).into() }))
            }
            _ => self.store().await?.checkpoint().await,
        }
    }

    /// All bytes of a small upload, if that is what arrived.
    pub(super) fn small(&mut self) -> Option<Bytes> {
        let gathering =
            self.gathering.take_if(|gathering| gathering.bytes.len() as u64 == gathering.whole)?;
        Some(gathering.bytes.freeze())
    }

    /// Returns when nothing is being written any more; whether there is something in the blob store.
    pub(super) async fn abandon(&mut self) -> bool {
        match &mut self.writer {
            Some(writer) => {
                writer.abandon().await;
                true
            }
            None => false,
        }
    }

    /// The blob store's writer, with what was only gathered in it.
    async fn store(&mut self) -> Result<&mut dyn BlobWriter, BlobError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.blobs.append(&self.key, 0).await?,
        };
        let writer = self.writer.insert(writer);
        if let Some(gathering) = self.gathering.take() {
            writer.write(gathering.bytes.freeze()).await?;
        }
        Ok(writer.as_mut())
    }
}

impl Uploads {
    /// Whether an upload of this length is small.
    pub(crate) fn is_small(&self, length: u64) -> bool {
        length > 0 && length <= self.settings.small_bytes
    }

    /// Keeps all bytes of an upload beside its row.
    pub(crate) async fn keep_small(tx: &mut Tx<'_>, upload: &Upload, bytes: &Bytes) -> Result<(), DbError> {
        store::insert_small(tx, upload, bytes).await
    }

    /// Opens the bytes of an upload or a resource, wherever they are, to read from `offset` on.
    pub(super) async fn read(&self, key: &StorageKey, offset: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        let small = async {
            let mut reader = self.db.reader().await?;
            store::find_small(&mut reader.tx(), key).await
        };
        match small.await.map_err(|error| BlobError::Io(std::io::Error::other(error)))? {
            Some(bytes) => {
                let skipped = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Box::new(SmallReader(bytes.slice(skipped..))))
            }
            None => self.blobs.read(key, offset).await,
        }
    }

    /// Removes the bytes under a key, wherever they are.
    pub(super) async fn remove_blob(&self, key: &StorageKey) -> Result<(), super::UploadError> {
        self.db
            .write(key.clone(), |key, tx| Box::pin(store::remove_small(tx, key)))
            .await
            .map_err(|error: DbError| error)?;
        Ok(self.blobs.remove(key).await?)
    }
}

/// Bytes from the database.
struct SmallReader(Bytes);

#[async_trait]
impl BlobReader for SmallReader {
    async fn next(&mut self, max: usize) -> Result<Bytes, BlobError> {
        Ok(self.0.split_to(max.min(self.0.len())))
    }
}
