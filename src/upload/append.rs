//! One append: a stream of bytes to durable bytes to a moved offset.
//!
//! The order is the promise (security-reliability-scale 3.4): take the lock, check the offset, write, sync,
//! then move the offset in the database, and only then may anybody be told. After a crash the offset in
//! the database is the truth, and a longer file is cut back to it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::blob::{BlobWriter, Segment};
use super::lock::Lock;
use super::model::{Upload, UploadState};
use super::{UploadError, Uploads};
use crate::auth::Access;
use crate::id::UploadId;

/// How long a newcomer waits for a holder to save its prefix and let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an append is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct AppendRequest {
    /// Who asks.
    pub(crate) access: Access,
    /// The upload.
    pub(crate) id: UploadId,
    /// Upload-Offset of the request, in bytes.
    pub(crate) offset: u64,
    /// Content-Length of the request in bytes, if it has one.
    pub(crate) declared: Option<u64>,
}

/// Why an append stopped taking bytes.
#[derive(Debug)]
pub(crate) enum Ended<E> {
    /// The body was over.
    Whole,
    /// The body broke; what arrived is kept (tus 1.0.0, PATCH; T-07).
    Broken(E),
    /// More bytes came than the upload has room for; those since the last checkpoint are dropped.
    BeyondLength,
    /// Another request wants the upload.
    Wanted,
    /// The gateway is stopping.
    Stopping,
}

/// An append that is over but for its last segment, which the caller commits, together with whatever else
/// becomes true with it. Holds the upload's lock.
#[derive(Debug)]
pub(crate) struct Appended<E> {
    /// The upload, its offset where the last commit left it.
    pub(crate) upload: Upload,
    /// Bytes that are durable but not yet acknowledged.
    pub(crate) last: Option<Segment>,
    /// Why it ended.
    pub(crate) ended: Ended<E>,
    /// Held until the last segment is committed.
    pub(crate) lock: Option<Lock>,
}

impl<E> Appended<E> {
    /// Whether the upload is to be finished in the commit that acknowledges `last`.
    pub(crate) fn fills(&self) -> bool {
        let offset = self.last.as_ref().map_or(self.upload.offset, Segment::end);
        self.upload.state == UploadState::Open && self.upload.length == Some(offset)
    }
}

/// Appends a body. A complete upload takes nothing and is no error (T-36).
///
/// *Cancellation*: bytes since the last checkpoint are not acknowledged; the caller runs this in a tracked
/// future of its own, so that a client that disconnects does not cancel it.
pub(super) async fn append<E, B>(
    uploads: &Uploads,
    request: AppendRequest,
    body: B,
    stopping: &CancellationToken,
) -> Result<Appended<E>, UploadError>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    // A request that cannot succeed must not interrupt one that does (T-35).
    let upload = uploads.find(&request.access, request.id).await?.ok_or(UploadError::NotFound)?;
    if request.offset != upload.offset {
        return Err(UploadError::OffsetMismatch { expected: upload.offset, got: request.offset });
    }
    let lock = uploads.locks.take(request.id, PATIENCE).await.ok_or(UploadError::Locked)?;
    let upload = uploads.find(&request.access, request.id).await?.ok_or(UploadError::NotFound)?;
    match upload.state {
        UploadState::Damaged => return Err(UploadError::Damaged),
        UploadState::Complete if request.offset == upload.offset => {
            return Ok(Appended { upload, last: None, ended: Ended::Whole, lock: None });
        }
        UploadState::Open | UploadState::Complete => {}
    }
    if request.offset != upload.offset {
        return Err(UploadError::OffsetMismatch { expected: upload.offset, got: request.offset });
    }
    let room = upload.length.map_or(u64::MAX, |length| length - upload.offset);
    if request.declared.is_some_and(|declared| declared > room) {
        return Err(UploadError::BeyondLength);
    }
    let writer = match uploads.blobs.append(&upload.key, upload.offset).await {
        Ok(writer) => writer,
        Err(error) => {
            let error = UploadError::from(error);
            if matches!(error, UploadError::Damaged) {
                uploads.mark_damaged(&upload).await?;
            }
            return Err(error);
        }
    };
    let mut run = Run { uploads, upload, writer, room, since_checkpoint: 0 };
    let outcome = run.drive(body, &lock, stopping).await;
    // Nothing may still be on its way to the blob when the next writer gets the lock.
    run.writer.abandon().await;
    let (ended, last) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            // What was not acknowledged must not keep a full disk full: opening the blob anew cuts it off.
            let _ = uploads.blobs.append(&run.upload.key, run.upload.offset).await;
            return Err(error);
        }
    };
    Ok(Appended { upload: run.upload, last, ended, lock: Some(lock) })
}

struct Run<'a> {
    uploads: &'a Uploads,
    upload: Upload,
    writer: Box<dyn BlobWriter>,
    /// Bytes the upload still has room for.
    room: u64,
    since_checkpoint: u64,
}

impl Run<'_> {
    /// Takes the body; what is durable in the end but not acknowledged comes back as a segment.
    async fn drive<E, B>(
        &mut self,
        body: B,
        lock: &Lock,
        stopping: &CancellationToken,
    ) -> Result<(Ended<E>, Option<Segment>), UploadError>
    where
        B: Stream<Item = Result<Bytes, E>> + Send,
    {
        let mut body = std::pin::pin!(body);
        let interval = self.uploads.settings.checkpoint_interval;
        let mut due = Instant::now() + interval;
        let ended = loop {
            let next = tokio::select! {
                biased;
                () = stopping.cancelled() => break Ended::Stopping,
                () = lock.wanted() => break Ended::Wanted,
                next = body.next() => next,
                () = tokio::time::sleep_until(due), if self.since_checkpoint > 0 => {
                    self.checkpoint().await?;
                    due = Instant::now() + interval;
                    continue;
                }
            };
            let bytes = match next {
                None => break Ended::Whole,
                Some(Err(error)) => break Ended::Broken(error),
                Some(Ok(bytes)) => bytes,
            };
            let length = bytes.len() as u64;
            if length > self.room {
                break Ended::BeyondLength;
            }
            self.room -= length;
            self.since_checkpoint += length;
            self.writer.write(bytes).await?;
            let enough = self.since_checkpoint >= self.uploads.settings.checkpoint_bytes;
            if enough || (due <= Instant::now() && self.since_checkpoint > 0) {
                self.checkpoint().await?;
                due = Instant::now() + interval;
            }
        };
        let last = match ended {
            Ended::BeyondLength => None,
            _ => self.writer.checkpoint().await?,
        };
        Ok((ended, last))
    }

    /// Makes what arrived durable and acknowledges it, unless it is the last of the upload: then the caller
    /// finishes the upload in the same commit.
    async fn checkpoint(&mut self) -> Result<(), UploadError> {
        if self.room == 0 {
            return Ok(());
        }
        if let Some(segment) = self.writer.checkpoint().await? {
            let end = segment.end();
            self.uploads.advance(&self.upload, segment).await?;
            self.upload.offset = end;
        }
        self.since_checkpoint = 0;
        Ok(())
    }
}
