//! Upload resources: their state in the database and their bytes in a [`blob::BlobStore`].
//!
//! [`Content`] is bytes of a resource that no upload is about.
//!
//! Bytes come in by [`append`](Uploads::append) (the tus door), through a [`UploadSpool`] (the FHIR door), or from
//! other uploads ([`concatenate`](Uploads::concatenate)), and leave through a [`Source`]. An upload can [`end`] without
//! ever being complete: it expires, or its sender removes it. This stage moves offsets; what it means that an upload is
//! complete is `exchange`'s business, which calls [`Uploads::complete`] in the transaction that makes it true.
//!
//! Small uploads are acknowledged from a [`Journal`], where there is one, and [`enter`] it before they are anything
//! else.

mod append;
pub(crate) mod blob;
mod checksum;
mod concat;
mod content;
mod end;
mod enter;
mod error;
mod expiry;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod journal;
mod lock;
mod metadata;
mod model;
mod source;
mod spool;
mod store;
mod unremoved;
mod verified;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Access;
use crate::clock::{SharedClock, Timestamp};
use crate::db::{Db, DbError, Tx};
use crate::id::UploadId;
use crate::report::{self, Report, Stage};

pub(crate) use append::{AppendRequest, Appended, Ended};
pub(crate) use blob::{BlobStore, FileBlobs, ObjectBlobs, Segment, StorageKey};
pub(crate) use checksum::{
    CHECKSUM_ALGORITHMS, ChecksumError, ChecksumTrailer, ExpectedChecksum, UploadChecksum,
};
pub(crate) use concat::{ConcatError, Concatenated};
pub(crate) use content::{Content, ContentReader};
pub(crate) use enter::SMALL;
pub(crate) use error::UploadError;
pub(crate) use expiry::Expiry;
pub(crate) use journal::{Group, Journal};
pub(crate) use lock::Lock;
pub(crate) use metadata::{MetadataMode, UploadMetadata};
pub(crate) use model::{Concat, Door, Upload, UploadState, stream_fields};
pub(crate) use source::{Source, SourceError, Sources, Stored, StoredBytes};
pub(crate) use spool::UploadSpool;
pub(crate) use verifier::Verifier;

use unremoved::Unremoved;
use verified::{VerifiedSource, source_error};

/// What is reported of an upload whose own bytes are lost.
pub(crate) const BYTES_LOST: &str = "bytes of the upload are lost; it cannot be completed";

/// How uploads are taken in.
#[derive(Debug, Clone)]
pub(crate) struct UploadSettings {
    /// The most bytes that one may have.
    pub(crate) max_bytes: u64,
    /// While an append goes on, it acknowledges what it has after this many bytes …
    pub(crate) checkpoint_bytes: u64,
    /// … or after this much time, if anything arrived in it.
    pub(crate) checkpoint_interval: Duration,
    /// How long an upload may stay incomplete.
    pub(crate) expiry: Expiry,
}

/// The uploads of a gateway.
pub(crate) struct Uploads {
    db: Db,
    clock: SharedClock,
    blobs: Arc<dyn BlobStore>,
    locks: Arc<lock::Locks>,
    settings: UploadSettings,
    tracker: TaskTracker,
    unremoved: Unremoved,
    journal: Option<Journal>,
}

impl Uploads {
    /// The uploads whose rows are in `db` and whose bytes are in `blobs`. `tracker` follows the removal of
    /// bytes that no row came to name.
    pub(crate) fn new(
        db: Db,
        clock: SharedClock,
        blobs: Arc<dyn BlobStore>,
        settings: UploadSettings,
        tracker: TaskTracker,
    ) -> Self {
        let (locks, unremoved) = (Arc::default(), Unremoved::default());
        Self { db, clock, blobs, locks, settings, tracker, unremoved, journal: None }
    }

    /// The most bytes that an upload may have.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.settings.max_bytes
    }

    /// Looks an upload up.
    pub(crate) async fn find(&self, access: &Access, id: UploadId) -> Result<Option<Upload>, DbError> {
        self.row_of(access, id).await?;
        let mut reader = self.db.reader().await?;
        store::find(&mut reader.tx(), access, id).await
    }

    /// Looks an upload up as it was acknowledged, without waiting for it to be redeemed: whoever asks the database
    /// about it next may find less.
    pub(crate) async fn look(&self, access: &Access, id: UploadId) -> Result<Option<Upload>, DbError> {
        match self.journal.as_ref().and_then(|journal| journal.find(access, id)) {
            Some(upload) => Ok(Some(upload)),
            None => self.find(access, id).await,
        }
    }

    /// Makes uploads exist: open ones without bytes, or complete ones, whose bytes are one segment.
    pub(crate) async fn insert(tx: &mut Tx<'_>, uploads: &[Upload]) -> Result<(), DbError> {
        store::insert(tx, uploads).await?;
        let segments: Vec<_> = uploads.iter().filter_map(|upload| Some((upload, upload.whole()?))).collect();
        store::insert_segments(tx, &segments).await
    }

    /// The first bytes of an upload, at most `most` of them.
    pub(crate) async fn head(&self, upload: &Upload, most: usize) -> Result<Bytes, UploadError> {
        Ok(self.blobs.read(&upload.key, 0).await?.next(most).await?)
    }

    /// The key under which an upload of this owner shares the bytes of a resource.
    pub(crate) fn key_of((tenant, owner): (&str, &str), content: &Content) -> StorageKey {
        StorageKey::new(tenant, owner, content.id)
    }

    /// Writes all bytes of an upload that does not exist yet, and returns their SHA-256. Until a row names them the
    /// start takes them for left over.
    ///
    /// # Errors
    /// The store failed; what it took is removed, then or later.
    pub(crate) async fn store_whole(&self, upload: &Upload, bytes: Bytes) -> Result<[u8; 32], UploadError> {
        let sha256 = Sha256::digest(&bytes).into();
        match self.blobs.store(vec![(upload.key.clone(), bytes)]).await {
            Ok(()) => Ok(sha256),
            Err(error) => {
                // Not remembered for later: an upload may begin under the same key.
                let _ = self.blobs.remove(&upload.key).await;
                Err(error.into())
            }
        }
    }

    /// Takes a body; see [`Appended`] for what is left to the caller.
    pub(crate) async fn append<E, B>(
        &self,
        request: AppendRequest,
        body: B,
        stopping: &CancellationToken,
    ) -> Result<Appended<E>, UploadError>
    where
        B: Stream<Item = Result<Bytes, E>> + Send,
    {
        append::append(self, request, body, stopping).await
    }

    /// Acknowledges segments that do not complete the upload.
    pub(crate) async fn advance(&self, upload: &Upload, segments: &[Segment]) -> Result<(), UploadError> {
        let Some(end) = segments.last().map(Segment::end) else { return Ok(()) };
        let now = self.clock.now();
        let expires_at = self.expires_at(upload, now);
        let moved = self
            .db
            .write((upload.clone(), segments.to_vec()), move |(upload, segments), tx| {
                Box::pin(async move {
                    if !store::advance(tx, upload, end, (now, expires_at)).await? {
                        return Ok::<_, DbError>(false);
                    }
                    insert_tail(tx, upload, segments).await?;
                    if !upload.is_partial() {
                        report::record(tx, &upload.stream(), &[progress(upload, end, now)]).await?;
                    }
                    Ok(true)
                })
            })
            .await?;
        if moved { Ok(()) } else { Err(UploadError::Locked) }
    }

    /// Marks an upload complete, or ready if it is a partial one, whose last bytes are `tail`; `false` if it already
    /// is, or if somebody else moved its offset.
    pub(crate) async fn complete(
        tx: &mut Tx<'_>,
        upload: &Upload,
        tail: &[Segment],
        now: Timestamp,
    ) -> Result<bool, DbError> {
        let end = tail.last().map_or(upload.offset, Segment::end);
        // A partial upload may expire still; its time runs on.
        let expires_at = upload.expires_at.filter(|_| upload.is_partial());
        if !store::complete(tx, upload, end, (now, expires_at)).await? {
            return Ok(false);
        }
        insert_tail(tx, upload, tail).await?;
        Ok(true)
    }

    /// When an upload expires that nothing happens to after `now`; `None` if it never does.
    pub(crate) fn expires_at(&self, upload: &Upload, now: Timestamp) -> Option<Timestamp> {
        self.settings.expiry.of(&upload.manifest).map(|time| now.after(time))
    }

    /// Keeps the length of an upload that was not known yet.
    async fn declare_length(&self, upload: &Upload, length: u64) -> Result<(), UploadError> {
        let declared = self
            .db
            .write(upload.clone(), move |upload, tx| Box::pin(store::declare_length(tx, upload, length)))
            .await
            .map_err(|error: DbError| error)?;
        if declared { Ok(()) } else { Err(UploadError::Locked) }
    }

    /// A spool for one request of this owner.
    pub(crate) fn spool(&self, access: &Access) -> UploadSpool {
        let owner = access.owner().unwrap_or_default();
        UploadSpool::new(self.blobs.clone(), self.tracker.clone(), (access.tenant(), owner))
    }

    /// Makes sure that rows and bytes belong together, and ties them to each other the first time.
    ///
    /// A gateway started with another database would find that no row names any of these bytes, and sweep
    /// them all away.
    pub(crate) async fn tie_store(&self) -> Result<(), UploadError> {
        let of_rows = {
            let mut reader = self.db.reader().await?;
            store::store_id(&mut reader.tx()).await?
        };
        match (of_rows, self.blobs.marked().await?) {
            (Some(rows), Some(bytes)) if rows == bytes => Ok(()),
            (_, Some(_)) => Err(UploadError::ForeignStore),
            (Some(rows), None) => Ok(self.blobs.mark(&rows).await?),
            (None, None) => {
                let id = UploadId::new().to_string();
                // The row first: a crash in between is mended by the next start.
                self.db.write(id.clone(), |id, tx| Box::pin(store::insert_store_id(tx, id))).await?;
                Ok(self.blobs.mark(&id).await?)
            }
        }
    }

    /// Uploads whose last byte is in but which a crash kept from being finished.
    pub(crate) async fn full_but_open(&self) -> Result<Vec<Upload>, DbError> {
        let mut reader = self.db.reader().await?;
        store::full_but_open(&mut reader.tx()).await
    }

    /// Removes bytes that a crash left without a row to name them; returns how many blobs. It waits until what the
    /// crash left in the journal is redeemed.
    pub(crate) async fn sweep(&self) -> Result<usize, UploadError> {
        // The blobs of what is redeemed just now have no row yet.
        if let Some(journal) = &self.journal {
            journal.wait_for_left_over().await;
        }
        let mut removed = 0;
        for key in self.blobs.left_over().await? {
            let Some(id) = key.upload_id() else { continue };
            let mut reader = self.db.reader().await?;
            let mut tx = reader.tx();
            if !store::exists(&mut tx, id).await? && !content::exists(&mut tx, id).await? {
                self.blobs.remove(&key).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether bytes can be stored.
    pub(crate) async fn check(&self) -> Result<(), UploadError> {
        Ok(self.blobs.check().await?)
    }

    /// Marks an upload as one that can never be completed, and reports why. One that is not open any more is left as it
    /// is: whoever ended it has reported that.
    pub(crate) async fn give_up(
        tx: &mut Tx<'_>,
        upload: &Upload,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), DbError> {
        if store::mark_damaged(tx, upload, now).await? && !upload.is_partial() {
            let stage = progress(upload, upload.offset, now).stage;
            report::record(tx, &upload.stream(), &[Report::failure(stage, reason, now, now)]).await?;
        }
        Ok(())
    }

    async fn mark_damaged(&self, upload: &Upload) -> Result<(), DbError> {
        tracing::error!(upload.id = %upload.id, "the upload store lost acknowledged bytes");
        let now = self.clock.now();
        self.db
            .write(upload.clone(), move |upload, tx| Box::pin(Self::give_up(tx, upload, BYTES_LOST, now)))
            .await
    }
}

#[async_trait]
impl Sources for Uploads {
    async fn open(&self, access: &Access, id: UploadId) -> Result<Box<dyn Source>, SourceError> {
        let rows = async {
            let mut reader = self.db.reader().await?;
            let upload = store::find(&mut reader.tx(), access, id).await?;
            let upload = upload.filter(|upload| upload.state == UploadState::Complete);
            let segments = match upload.as_ref().and_then(Upload::whole) {
                Some(whole) => vec![whole],
                None => store::segments(&mut reader.tx(), access, id).await?,
            };
            Ok::<_, DbError>((upload, segments))
        };
        let (upload, segments) =
            rows.await.map_err(|error| SourceError::Storage(std::io::Error::other(error)))?;
        let upload = upload.ok_or(SourceError::Missing)?;
        let reader = match upload.offset {
            0 => None,
            _ => Some(self.blobs.read(&upload.key, 0).await.map_err(source_error)?),
        };
        Ok(Box::new(VerifiedSource::new(reader, upload.offset, segments)?))
    }
}

async fn insert_tail(tx: &mut Tx<'_>, upload: &Upload, tail: &[Segment]) -> Result<(), DbError> {
    let segments: Vec<_> = tail.iter().map(|segment| (upload, segment.clone())).collect();
    store::insert_segments(tx, &segments).await
}

/// The report that an upload has `offset` bytes.
pub(crate) fn progress(upload: &Upload, offset: u64, now: Timestamp) -> Report {
    let stage =
        Stage::UploadStatus { filename: upload.manifest.filename().to_owned(), offset, size: upload.length };
    Report::success(stage, now, now)
}

#[cfg(test)]
mod tests;
