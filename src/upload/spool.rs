//! [`fhir::Spool`](crate::fhir::Spool) over the upload store: bytes of a request that is still being read,
//! already where they will stay, and invisible because no row names them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha1::{Digest, Sha1};
use tokio_util::task::TaskTracker;

use super::blob::{BlobError, BlobReader, BlobStore, BlobWriter, StorageKey, WantedHash};
use crate::digest::Sha256;
use crate::fhir::{Spool, SpoolError, Spooled};
use crate::id::UploadId;

/// The spool of one request. Dropped before [`UploadSpool::keep`], it removes what it holds.
pub(crate) struct UploadSpool {
    blobs: Arc<dyn BlobStore>,
    tracker: TaskTracker,
    tenant: String,
    owner: String,
    open: Option<Payload>,
    held: Vec<UploadId>,
    /// The one that is being read back, with its reader and position.
    reading: Option<(UploadId, u64, Box<dyn BlobReader>)>,
}

/// A payload that is being written.
struct Payload {
    id: UploadId,
    writer: Box<dyn BlobWriter>,
    /// Taken here and not by the store: of what is uploaded nobody asks for it.
    sha1: Sha1,
}

impl UploadSpool {
    pub(super) fn new(
        blobs: Arc<dyn BlobStore>,
        tracker: TaskTracker,
        (tenant, owner): (&str, &str),
    ) -> Self {
        Self {
            blobs,
            tracker,
            tenant: tenant.to_owned(),
            owner: owner.to_owned(),
            open: None,
            held: Vec::new(),
            reading: None,
        }
    }

    /// Adds a whole payload that is in memory.
    pub(crate) async fn add(&mut self, bytes: Bytes) -> Result<Spooled, SpoolError> {
        self.begin().await?;
        self.write(bytes).await?;
        self.end().await
    }

    /// The rows that name these bytes are committed: they stay.
    pub(crate) fn keep(mut self) {
        self.held.clear();
    }

    /// Nobody knows whether the rows that name these bytes were committed (the database went away while it
    /// was asked to): they stay, and the next start removes those that no row names.
    pub(crate) fn leave(mut self) {
        drop(self.open.take());
        self.held.clear();
    }

    /// Removes everything it holds.
    pub(crate) async fn give_up(mut self) {
        self.abort().await;
        for id in self.held.clone() {
            self.remove(id).await;
        }
    }

    fn key(&self, id: UploadId) -> StorageKey {
        StorageKey::new(&self.tenant, &self.owner, id)
    }
}

#[async_trait]
impl Spool for UploadSpool {
    async fn begin(&mut self) -> Result<(), SpoolError> {
        let id = UploadId::new();
        // Held before the file exists, so that a dropped future leaves nothing.
        self.held.push(id);
        let writer = self.blobs.append(&self.key(id), 0, WantedHash::Sha256).await?;
        self.open = Some(Payload { id, writer, sha1: Sha1::new() });
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), SpoolError> {
        match &mut self.open {
            Some(payload) => {
                payload.sha1.update(&bytes);
                Ok(payload.writer.write(bytes).await?)
            }
            None => Err(SpoolError::Storage(std::io::Error::other("nothing is open in the spool"))),
        }
    }

    async fn end(&mut self) -> Result<Spooled, SpoolError> {
        let Some(Payload { id, mut writer, sha1 }) = self.open.take() else {
            return Err(SpoolError::Storage(std::io::Error::other("nothing is open in the spool")));
        };
        let (length, sha256) = match writer.checkpoint().await? {
            Some(segment) => {
                let other = || SpoolError::Storage(std::io::Error::other("the store has another hash"));
                (segment.length, segment.hash.sha256().ok_or_else(other)?)
            }
            None => (0, Sha256::digest(b"").into()),
        };
        Ok(Spooled { id, length, sha256, sha1: sha1.finalize().into() })
    }

    async fn abort(&mut self) {
        if let Some(Payload { id, mut writer, .. }) = self.open.take() {
            // What is still on its way must not arrive after the removal.
            writer.abandon().await;
            self.remove(id).await;
        }
    }

    async fn read(&mut self, spooled: &Spooled, offset: u64, max: usize) -> Result<Bytes, SpoolError> {
        let mut reader = match self.reading.take() {
            Some((id, at, reader)) if id == spooled.id && at == offset => reader,
            _ => self.blobs.read(&self.key(spooled.id), offset).await?,
        };
        let block = reader.next(max).await?;
        self.reading = Some((spooled.id, offset + block.len() as u64, reader));
        Ok(block)
    }

    async fn discard(&mut self, spooled: &Spooled) {
        self.reading = None;
        self.remove(spooled.id).await;
    }
}

impl UploadSpool {
    async fn remove(&mut self, id: UploadId) {
        match self.blobs.remove(&self.key(id)).await {
            Ok(()) => self.held.retain(|held| *held != id),
            // It stays held: dropping the spool tries again, and the next start sweeps.
            Err(error) => tracing::warn!(upload.id = %id, %error, "spooled bytes could not be removed"),
        }
    }
}

impl Drop for UploadSpool {
    fn drop(&mut self) {
        let open = self.open.take();
        let keys: Vec<StorageKey> =
            self.held.drain(..).map(|id| StorageKey::new(&self.tenant, &self.owner, id)).collect();
        if keys.is_empty() {
            return;
        }
        let blobs = self.blobs.clone();
        self.tracker.spawn(async move {
            if let Some(Payload { mut writer, .. }) = open {
                writer.abandon().await;
            }
            for key in keys {
                if let Err(error) = blobs.remove(&key).await {
                    tracing::warn!(%error, "spooled bytes could not be removed; the next start sweeps them");
                }
            }
        });
    }
}

impl From<BlobError> for SpoolError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full(_) => Self::Full,
            BlobError::Io(source) => Self::Storage(source),
            BlobError::Short { .. } => Self::Storage(std::io::Error::other(error.to_string())),
        }
    }
}
