//! Concatenation (tus 1.0.0): the bytes of a final upload, copied from its parts in order. Each part is checked against
//! its segments on the way, and what was copied is acknowledged like any append, so that a crash costs one checkpoint.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};
use tokio_util::sync::CancellationToken;

use super::append::{PATIENCE, cut_off};
use super::blob::{BlobWriter, Segment, WantedHash};
use super::lock::Lock;
use super::verified::{VerifiedSource, source_error};
use super::{Source, SourceError, Upload, UploadError, UploadState, Uploads, store};
use crate::auth::Access;
use crate::db::{DbError, Tx};
use crate::id::UploadId;

/// A final upload with all its bytes, the last of which the caller commits with whatever becomes true with them.
pub(crate) struct Concatenated {
    /// The upload, its offset where the last commit left it.
    pub(crate) upload: Upload,
    /// Bytes that are durable but not yet acknowledged.
    pub(crate) tail: Vec<Segment>,
    /// Held until they are.
    pub(crate) lock: Lock,
}

/// Why a final upload does not have its bytes yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConcatError {
    /// The bytes of a part are gone or not those that were received: it never will.
    #[error("a part of the upload is lost")]
    PartLost,
    /// The upload store or the database failed, or the gateway is stopping.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl From<DbError> for ConcatError {
    fn from(error: DbError) -> Self {
        Self::Upload(error.into())
    }
}

impl From<SourceError> for ConcatError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Missing | SourceError::Truncated | SourceError::Corrupt => Self::PartLost,
            SourceError::Storage(error) => UploadError::Blob(error.into()).into(),
        }
    }
}

impl Uploads {
    /// Makes a final upload exist, without bytes; `false` if a part is not there to be used any more. Until it has
    /// their bytes none of them expires or is removed.
    pub(crate) async fn insert_final(
        tx: &mut Tx<'_>,
        upload: &Upload,
        parts: &[UploadId],
    ) -> Result<bool, DbError> {
        let distinct: BTreeSet<UploadId> = parts.iter().copied().collect();
        store::insert(tx, std::slice::from_ref(upload)).await?;
        store::insert_parts(tx, upload, parts).await?;
        store::claim_parts(tx, upload, distinct.len()).await
    }

    /// Copies the bytes of its parts to a final upload, from where an earlier call left it. `None` if it has them all
    /// and is finished.
    pub(crate) async fn concatenate(
        &self,
        access: &Access,
        id: UploadId,
        stopping: &CancellationToken,
    ) -> Result<Option<Concatenated>, ConcatError> {
        let lock = self.locks.take(id, PATIENCE).await.ok_or(UploadError::Locked)?;
        let Some(mut upload) =
            self.find(access, id).await?.filter(|upload| upload.state == UploadState::Open)
        else {
            return Ok(None);
        };
        let parts = {
            let mut reader = self.db.reader().await?;
            store::parts(&mut reader.tx(), access, id).await?
        };
        let mut writer = self
            .blobs
            .append(&upload.key, upload.offset, WantedHash::Any)
            .await
            .map_err(UploadError::from)?;
        let ends = Ends { lock: &lock, stopping };
        let copied = self.copy_parts(access, &mut upload, &parts, writer.as_mut(), &ends).await;
        writer.abandon().await;
        Ok(Some(Concatenated { upload, tail: copied?.into_iter().collect(), lock }))
    }

    /// Acknowledges all of the parts from the offset of `upload` on, but for what comes back.
    async fn copy_parts(
        &self,
        access: &Access,
        upload: &mut Upload,
        parts: &[UploadId],
        writer: &mut dyn BlobWriter,
        ends: &Ends<'_>,
    ) -> Result<Option<Segment>, ConcatError> {
        let from = upload.offset;
        let (mut begin, mut since_checkpoint) = (0, 0);
        for part in parts {
            let part = self.find(access, *part).await?.ok_or(ConcatError::PartLost)?;
            let end = begin + part.offset;
            if end > from.max(begin) {
                let mut source = self.part_from(access, &part, from.saturating_sub(begin)).await?;
                while let Some(mut block) = source.next().await? {
                    ends.check()?;
                    while !block.is_empty() {
                        let left = self.settings.checkpoint_bytes - since_checkpoint;
                        let piece = cut_off(&mut block, left);
                        since_checkpoint += piece.len() as u64;
                        writer.write(piece).await.map_err(UploadError::from)?;
                        if since_checkpoint == self.settings.checkpoint_bytes {
                            since_checkpoint = 0;
                            self.acknowledge(upload, writer).await?;
                        }
                    }
                }
            }
            begin = end;
        }
        Ok(writer.checkpoint().await.map_err(UploadError::from)?)
    }

    /// Makes what was written durable, and counts it.
    async fn acknowledge(&self, upload: &mut Upload, writer: &mut dyn BlobWriter) -> Result<(), ConcatError> {
        if let Some(segment) = writer.checkpoint().await.map_err(UploadError::from)? {
            self.advance(upload, std::slice::from_ref(&segment)).await?;
            upload.offset = segment.end();
        }
        Ok(())
    }

    /// The bytes of a part from `offset` on. What is read and not handed on is checked all the same.
    async fn part_from(
        &self,
        access: &Access,
        part: &Upload,
        offset: u64,
    ) -> Result<PartSource, ConcatError> {
        let mut segments = {
            let mut reader = self.db.reader().await?;
            store::segments(&mut reader.tx(), access, part.id).await?
        };
        segments.retain(|segment| segment.end() > offset);
        let first = segments.first().map(|segment| segment.first_byte).ok_or(ConcatError::PartLost)?;
        for segment in &mut segments {
            segment.first_byte -= first;
        }
        let reader = self.blobs.read(&part.key, first).await.map_err(source_error)?;
        let source = VerifiedSource::new(Some(reader), part.offset - first, segments)?;
        Ok(PartSource { source, skip: offset - first })
    }
}

/// What ends the copying before its end.
struct Ends<'a> {
    /// Somebody removes the upload.
    lock: &'a Lock,
    /// The gateway is stopping.
    stopping: &'a CancellationToken,
}

impl Ends<'_> {
    fn check(&self) -> Result<(), UploadError> {
        if self.stopping.is_cancelled() {
            return Err(UploadError::Stopping);
        }
        if self.lock.is_wanted() { Err(UploadError::Locked) } else { Ok(()) }
    }
}

/// What is left of a part.
struct PartSource {
    source: VerifiedSource,
    /// Bytes that are not wanted any more.
    skip: u64,
}

impl PartSource {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        while let Some(mut block) = self.source.next().await? {
            let skipped = self.skip.min(block.len() as u64);
            self.skip -= skipped;
            block.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
            if !block.is_empty() {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }
}
