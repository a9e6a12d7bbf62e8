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

use super::blob::{BlobWriter, Segment, WantedHash};
use super::checksum::{ExpectedChecksum, Hashing};
use super::lock::Lock;
use super::model::{Upload, UploadState};
use super::{UploadError, Uploads};
use crate::auth::Access;
use crate::id::UploadId;

/// How long a newcomer waits for a holder to save its prefix and let go.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What an append is asked to do.
#[derive(Debug)]
pub(crate) struct AppendRequest {
    /// Who asks.
    pub(crate) access: Access,
    /// The upload.
    pub(crate) id: UploadId,
    /// Upload-Offset of the request, in bytes.
    pub(crate) offset: u64,
    /// Content-Length of the request in bytes, if it has one.
    pub(crate) declared: Option<u64>,
    /// Upload-Length, where the request tells it: of an upload whose length is not known yet (T-18).
    pub(crate) length: Option<u64>,
    /// Whether the upload ends where this body does, wherever that is (IETF draft, Upload-Complete).
    pub(crate) is_last: bool,
    /// What the body must hash to. Such a body counts as a whole or not at all.
    pub(crate) checksum: Option<ExpectedChecksum>,
}

impl AppendRequest {
    /// An append of a body of which nothing is known.
    pub(crate) fn new(access: Access, id: UploadId, offset: u64) -> Self {
        Self { access, id, offset, declared: None, length: None, is_last: false, checksum: None }
    }
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

/// An append that is over but for its tail, which the caller commits, together with whatever else becomes true
/// with it. Holds the upload's lock.
#[derive(Debug)]
pub(crate) struct Appended<E> {
    /// The upload, its offset where the last commit left it.
    pub(crate) upload: Upload,
    /// Bytes that are durable but not yet acknowledged; more than one segment only of a body with a checksum.
    pub(crate) tail: Vec<Segment>,
    /// Why it ended.
    pub(crate) ended: Ended<E>,
    /// Held until the tail is committed.
    pub(crate) lock: Option<Lock>,
    /// Whether the upload ends here, whatever is known of its length.
    is_last: bool,
}

impl<E> Appended<E> {
    /// The offset once the tail is committed.
    pub(crate) fn end(&self) -> u64 {
        self.tail.last().map_or(self.upload.offset, Segment::end)
    }

    /// Whether the upload is to be finished in the commit that acknowledges the tail.
    pub(crate) fn fills(&self) -> bool {
        let is_full = match self.upload.length {
            Some(length) => length == self.end(),
            None => self.is_last && matches!(self.ended, Ended::Whole),
        };
        self.upload.state == UploadState::Open && is_full
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
    let lock = if let Some(lock) = uploads.locks.take_free(request.id) {
        lock
    } else {
        // A request that cannot succeed must not interrupt one that does (T-35).
        let upload = uploads.find(&request.access, request.id).await?.ok_or(UploadError::NotFound)?;
        check(uploads, &request, &upload)?;
        uploads.locks.take(request.id, PATIENCE).await.ok_or(UploadError::Locked)?
    };
    let mut upload = uploads.find(&request.access, request.id).await?.ok_or(UploadError::NotFound)?;
    check(uploads, &request, &upload)?;
    if upload.state != UploadState::Open {
        return Ok(Appended { upload, tail: Vec::new(), ended: Ended::Whole, lock: None, is_last: false });
    }
    let most = upload.length.or(request.length).unwrap_or(uploads.settings.max_bytes);
    let room = most.saturating_sub(upload.offset);
    if request.declared.is_some_and(|declared| declared > room) {
        return Err(UploadError::BeyondLength);
    }
    if let (None, Some(length)) = (upload.length, request.length) {
        uploads.declare_length(&upload, length).await?;
        upload.length = Some(length);
    }
    let writer = match uploads.blobs.append(&upload.key, upload.offset, WantedHash::Any).await {
        Ok(writer) => writer,
        Err(error) => {
            let error = UploadError::from(error);
            if matches!(error, UploadError::Damaged) {
                uploads.mark_damaged(&upload).await?;
            }
            return Err(error);
        }
    };
    let hashing = request.checksum.map(Hashing::new);
    let due = Instant::now() + uploads.settings.checkpoint_interval;
    let mut run = Run { uploads, upload, writer, room, since_checkpoint: 0, due, tail: Vec::new(), hashing };
    let outcome = run.drive(body, &lock, stopping).await;
    // Nothing may still be on its way to the blob when the next writer gets the lock.
    run.writer.abandon().await;
    if !matches!(outcome, Ok((_, Some(_)))) {
        // What does not count must not keep a full disk full: opening the blob anew cuts it off.
        let _ = uploads.blobs.append(&run.upload.key, run.upload.offset, WantedHash::Any).await;
    }
    let (ended, tail) = outcome?;
    let (tail, is_last) = (tail.unwrap_or_default(), request.is_last);
    Ok(Appended { upload: run.upload, tail, ended, lock: Some(lock), is_last })
}

/// The first `most` bytes, or all there are; the rest stays.
pub(super) fn cut_off(bytes: &mut Bytes, most: u64) -> Bytes {
    bytes.split_to(usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len()))
}

/// Whether the upload can take what the request brings, as far as that is known without its body. A complete upload
/// takes nothing and is no error.
fn check(uploads: &Uploads, request: &AppendRequest, upload: &Upload) -> Result<(), UploadError> {
    if upload.is_gone(uploads.clock.now()) {
        return Err(UploadError::Gone);
    }
    if upload.is_final() {
        return Err(UploadError::Final);
    }
    if upload.state == UploadState::Damaged {
        return Err(UploadError::Damaged);
    }
    if request.offset != upload.offset {
        return Err(UploadError::OffsetMismatch { expected: upload.offset, got: request.offset });
    }
    match (request.length, upload.length) {
        (Some(told), Some(known)) if told != known => Err(UploadError::LengthConflict),
        (Some(told), None) if told < upload.offset => Err(UploadError::LengthConflict),
        (Some(told), None) if told > uploads.settings.max_bytes => Err(UploadError::TooLong),
        _ => Ok(()),
    }
}

struct Run<'a> {
    uploads: &'a Uploads,
    upload: Upload,
    writer: Box<dyn BlobWriter>,
    /// Bytes the upload still has room for.
    room: u64,
    since_checkpoint: u64,
    /// When the next checkpoint is due by the clock.
    due: Instant,
    /// Durable and not acknowledged.
    tail: Vec<Segment>,
    /// Present where the body counts as a whole or not at all.
    hashing: Option<Hashing>,
}

impl Run<'_> {
    /// Takes the body. What is durable in the end but not acknowledged comes back, unless it is not to count.
    async fn drive<E, B>(
        &mut self,
        body: B,
        lock: &Lock,
        stopping: &CancellationToken,
    ) -> Result<(Ended<E>, Option<Vec<Segment>>), UploadError>
    where
        B: Stream<Item = Result<Bytes, E>> + Send,
    {
        let mut body = std::pin::pin!(body);
        let ended = loop {
            lock.waits();
            let next = tokio::select! {
                biased;
                () = stopping.cancelled() => break Ended::Stopping,
                () = lock.wanted() => break Ended::Wanted,
                next = body.next() => next,
                () = tokio::time::sleep_until(self.due), if self.is_owed() => {
                    self.checkpoint().await?;
                    continue;
                }
            };
            lock.works();
            let bytes = match next {
                None => break Ended::Whole,
                Some(Err(error)) => break Ended::Broken(error),
                Some(Ok(bytes)) => bytes,
            };
            if bytes.len() as u64 > self.room {
                break Ended::BeyondLength;
            }
            if let Some(hashing) = &mut self.hashing {
                hashing.update(&bytes);
            }
            self.write(bytes).await?;
            if self.due <= Instant::now() && self.is_owed() {
                self.checkpoint().await?;
            }
        };
        let is_kept = match (&ended, self.hashing.take()) {
            // Nobody can say of a part of a body whether it is the one that was meant.
            (Ended::BeyondLength, _) | (Ended::Broken(_) | Ended::Wanted | Ended::Stopping, Some(_)) => false,
            (Ended::Whole, Some(hashing)) => {
                if !hashing.agrees()? {
                    return Err(UploadError::ChecksumMismatch);
                }
                true
            }
            (_, None) => true,
        };
        if !is_kept {
            return Ok((ended, None));
        }
        let mut tail = std::mem::take(&mut self.tail);
        tail.extend(self.writer.checkpoint().await?);
        Ok((ended, Some(tail)))
    }

    /// Whether something is to be acknowledged before the end: the last bytes of the upload are with the end.
    fn is_owed(&self) -> bool {
        self.since_checkpoint > 0 && self.room > 0
    }

    /// Writes what has room, in pieces that end where a checkpoint is due by its bytes: so a bucket gets whole objects,
    /// and no short one after each.
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), UploadError> {
        while !bytes.is_empty() {
            let left = self.uploads.settings.checkpoint_bytes.saturating_sub(self.since_checkpoint);
            let piece = cut_off(&mut bytes, left);
            let length = piece.len() as u64;
            self.room -= length;
            self.since_checkpoint += length;
            self.writer.write(piece).await?;
            if length == left {
                self.checkpoint().await?;
            }
        }
        Ok(())
    }

    /// Makes what arrived durable and acknowledges it, unless it is the last of the upload: then the caller
    /// finishes the upload in the same commit. Of a body with a checksum nothing is acknowledged before its end.
    async fn checkpoint(&mut self) -> Result<(), UploadError> {
        if !self.is_owed() {
            return Ok(());
        }
        if let Some(segment) = self.writer.checkpoint().await? {
            if self.hashing.is_some() {
                self.tail.push(segment);
            } else {
                self.uploads.advance(&self.upload, std::slice::from_ref(&segment)).await?;
                self.upload.offset = segment.end();
            }
        }
        self.since_checkpoint = 0;
        self.due = Instant::now() + self.uploads.settings.checkpoint_interval;
        Ok(())
    }
}
