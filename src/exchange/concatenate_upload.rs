//! A final upload, made of partial ones (tus 1.0.0, Concatenation). It is judged as any upload is and exists at once;
//! its bytes are copied by an errand of the same commit, which finishes it. The parts stay as they are until they
//! expire or are removed, so that others can be made of them (T-30, T-33).

use std::sync::Arc;

use super::Exchange;
use super::follow_agenda::FollowError;
use super::receive_upload::{Creation, begin_reports};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::id::UploadId;
use crate::manifest::ManifestFields;
use crate::report;
use crate::upload::{
    BYTES_LOST, Concat, ConcatError, Concatenated, Door, Upload, UploadError, UploadState, Uploads,
};

/// What is reported of an upload whose parts cannot be read any more.
const PART_LOST: &str = "a part of the upload is lost; it cannot be completed";

/// An upload that a sender wants made of others.
#[derive(Debug)]
pub(crate) struct ConcatenateRequest {
    /// The partial uploads, in order; one may stand there several times.
    pub(crate) parts: Vec<UploadId>,
    /// Upload-Concat as it was received.
    pub(crate) field: String,
    /// The sender's manifest fields; those of the parts do not count.
    pub(crate) fields: ManifestFields,
}

/// Why parts cannot be concatenated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConcatenationRefused {
    /// One of them is not there for this caller.
    #[error("there is no such partial upload")]
    PartMissing,
    /// One of them is an upload of its own.
    #[error("one of the uploads is not a partial one")]
    NotPartial,
    /// One of them has not got all its bytes.
    #[error("a partial upload is not finished")]
    PartUnfinished,
    /// Together they are longer than an upload may be.
    #[error("the parts are longer than allowed")]
    TooLong,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Exchange {
    /// Creates a final upload; its bytes follow.
    pub(crate) async fn concatenate_upload(
        &self,
        caller: &Caller,
        request: ConcatenateRequest,
    ) -> Result<Creation, ConcatenationRefused> {
        let ConcatenateRequest { parts, field, fields } = request;
        let (id, now) = (UploadId::new(), self.clock.now());
        let length = self.length_of_parts(caller, &parts, now).await?;
        if length > self.uploads.max_bytes() {
            return Err(ConcatenationRefused::TooLong);
        }
        let manifest = match self.admit(caller, id, fields, now).await? {
            Ok(manifest) => manifest,
            Err(refused) => return Ok(refused),
        };
        let owner = (caller.tenant(), caller.id());
        let mut upload = Upload::new(owner, id, Door::Tus, Some(length), manifest, now);
        upload.concat = Some(Concat::Final(field));
        upload.expires_at = self.uploads.expires_at(&upload, now);
        let errand = NewItem {
            tenant: upload.tenant.clone(),
            owner: upload.owner.clone(),
            errand: Errand::ConcatenateUpload,
            subject: id.to_string(),
            version: 0,
            due_at: now,
        };
        let expires_at = upload.expires_at;
        self.db
            .write((upload, parts, errand), move |(upload, parts, errand), tx| {
                Box::pin(async move {
                    // A part may have expired, or have been removed, since it was looked at.
                    if !Uploads::insert_final(tx, upload, parts).await? {
                        return Err(ConcatenationRefused::PartMissing);
                    }
                    agenda::add(tx, std::slice::from_ref(errand)).await?;
                    Ok(report::record(tx, &upload.stream(), &begin_reports(upload, now)).await?)
                })
            })
            .await?;
        self.agenda.wake();
        Ok(Creation::Created { id, expires_at })
    }

    async fn length_of_parts(
        &self,
        caller: &Caller,
        parts: &[UploadId],
        now: Timestamp,
    ) -> Result<u64, ConcatenationRefused> {
        let mut length = 0_u64;
        for part in parts {
            let found = self.uploads.find(&caller.access(), *part).await?;
            let part = found.filter(|part| !part.is_gone(now)).ok_or(ConcatenationRefused::PartMissing)?;
            if !part.is_partial() {
                return Err(ConcatenationRefused::NotPartial);
            }
            if part.state != UploadState::Ready {
                return Err(ConcatenationRefused::PartUnfinished);
            }
            length = length.saturating_add(part.offset);
        }
        Ok(length)
    }

    /// Gives a final upload its bytes and finishes it. The subject is its id.
    pub(super) async fn join_parts(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Ok(id) = item.subject.parse() else { return Ok(self.forget(item).await?) };
        match self.uploads.concatenate(&item.access(), id, &self.stopping).await {
            Ok(None) => Ok(self.forget(item).await?),
            Ok(Some(Concatenated { upload, tail, lock })) => {
                let finishing = self.finishing(upload, tail).await;
                self.db
                    .write((finishing, item.clone()), |(finishing, item), tx| {
                        Box::pin(async move {
                            if agenda::done(tx, item).await? {
                                finishing.write(tx).await?;
                            }
                            Ok::<_, DbError>(())
                        })
                    })
                    .await?;
                drop(lock);
                self.announce_finished();
                Ok(())
            }
            Err(ConcatError::PartLost) => Ok(self.give_up_concatenation(item, id, PART_LOST).await?),
            Err(ConcatError::Upload(UploadError::Damaged)) => {
                Ok(self.give_up_concatenation(item, id, BYTES_LOST).await?)
            }
            Err(ConcatError::Upload(UploadError::Stopping)) => {
                let now = self.clock.now();
                let later =
                    self.db.write(item.clone(), move |item, tx| Box::pin(agenda::later(tx, item, now)));
                Ok(later.await.map(drop).map_err(|error: DbError| error)?)
            }
            Err(ConcatError::Upload(UploadError::Db(error))) => Err(error.into()),
            Err(error) => Err(FollowError::Unavailable(error.to_string())),
        }
    }

    /// Bytes cannot be read, and never will be: somebody has to see it.
    async fn give_up_concatenation(
        &self,
        item: &Item,
        id: UploadId,
        reason: &'static str,
    ) -> Result<(), DbError> {
        tracing::error!(upload.id = %id, reason, "a final upload cannot be put together");
        let now = self.clock.now();
        let Some(upload) = self.uploads.find(&item.access(), id).await? else {
            return self.forget(item).await;
        };
        self.db
            .write((upload, item.clone()), move |(upload, item), tx| {
                Box::pin(async move {
                    if agenda::done(tx, item).await? {
                        Uploads::give_up(tx, upload, reason, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}
