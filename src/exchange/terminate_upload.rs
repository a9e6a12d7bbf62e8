//! Uploads that end before their time, or instead of being completed: their sender removes them (tus 1.0.0,
//! Termination), or nobody went on with them (Expiration). What is left is a row that says so, with its reports; the
//! bytes go. A delivery that is under way keeps them, unless it is called off in the same commit (dex-upload W-28).

use std::sync::Arc;
use std::time::Duration;

use super::{Exchange, store};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::{Access, Caller};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery;
use crate::id::UploadId;
use crate::report::{self, Report};
use crate::telemetry::metrics::count_ended_uploads;
use crate::upload::{Door, Lock, Upload, UploadError, UploadState, Uploads, progress};

/// What is reported of an upload that its sender removes.
const TERMINATED: &str = "the upload was removed by its sender";
/// What is reported of an upload that nobody went on with.
const EXPIRED: &str = "the upload was not completed in time";
/// The same of one that could not be gone on with: this report takes the place of the one that said so.
const EXPIRED_DAMAGED: &str =
    "the upload could not be completed, because bytes were lost, and its time is over";

/// What is logged where bytes stay for now.
pub(super) const LEFT: &str = "the bytes of this upload cannot be removed yet; a later round tries again";

/// How long an answer waits for the removal of bytes, which goes on behind it.
const REMOVAL: Duration = Duration::from_secs(5);

/// Why an upload is not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TerminationRefused {
    /// A delivery of it is under way.
    #[error("a delivery of the upload is under way")]
    UnderWay,
    /// It did not come in by tus: others count on it.
    #[error("the upload belongs to a FHIR resource")]
    NotByTus,
    /// It cannot be had.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl From<DbError> for TerminationRefused {
    fn from(error: DbError) -> Self {
        Self::Upload(error.into())
    }
}

/// What became of an upload that was to be removed.
enum Termination {
    Done,
    UnderWay,
    /// It is not any more what it was a moment ago.
    Changed,
}

impl Exchange {
    /// Removes an upload. While a delivery of it is under way that is refused, unless it is called off with `force`.
    pub(crate) async fn terminate_upload(
        self: &Arc<Self>,
        caller: &Caller,
        request_id: &str,
        id: UploadId,
        force: bool,
    ) -> Result<(), TerminationRefused> {
        let (upload, lock) = self.uploads.hold(&caller.access(), id).await?;
        if upload.door != Door::Tus || self.is_held(&caller.access(), id).await? {
            return Err(TerminationRefused::NotByTus);
        }
        let now = self.clock.now();
        let entry = Entry {
            tenant: caller.tenant().to_owned(),
            owner: caller.id().to_owned(),
            at: now,
            action: "terminate",
            outcome: AuditOutcome::Success,
            entity: Some(id.to_string()),
            detail: Vec::new(),
            request_id: Some(request_id.to_owned()),
        };
        let force = force || self.settings.terminate_during_delivery;
        let exchange = self.clone();
        // Whoever asked may go away between the commit and the end: the bytes go all the same.
        let ended = self.outlive(async move {
            let outcome = exchange
                .db
                .write((upload.clone(), entry), move |(upload, entry), tx| {
                    Box::pin(async move {
                        let outcome = terminate(tx, upload, force, now).await?;
                        if matches!(outcome, Termination::Done) {
                            audit::record(tx, entry).await?;
                        }
                        Ok::<_, DbError>(outcome)
                    })
                })
                .await?;
            if matches!(outcome, Termination::Done) {
                count_ended_uploads("terminated", 1);
                exchange.remove_bytes(upload, lock).await;
            }
            Ok::<_, DbError>(outcome)
        });
        match ended.await.map_err(UploadError::from)?? {
            Termination::Done => Ok(()),
            Termination::UnderWay => Err(TerminationRefused::UnderWay),
            Termination::Changed => Err(UploadError::Locked.into()),
        }
    }

    /// Whether a submission that was accepted names an upload whose bytes no stored resource has yet. It is looked for
    /// outside the commit, because it means to read all that the owner has submitted.
    async fn is_held(&self, access: &Access, id: UploadId) -> Result<bool, DbError> {
        let is_named = {
            let mut reader = self.db.reader().await?;
            store::names_upload(&mut reader.tx(), access, id).await?
        };
        Ok(is_named && self.uploads.find_content(access, id).await?.is_none())
    }

    /// Lets uploads expire that nobody went on with, or could; returns how many.
    pub(super) async fn expire_uploads(&self, now: Timestamp) -> Result<u64, DbError> {
        let (mut count, mut after) = (0, None);
        let mut is_store_away = false;
        loop {
            let (expired, last) = self.uploads.expired(now, after).await?;
            for (upload, _lock) in expired {
                let reason = if upload.state == UploadState::Damaged { EXPIRED_DAMAGED } else { EXPIRED };
                let ended = self
                    .db
                    .write(upload.clone(), move |upload, tx| {
                        Box::pin(end(tx, upload, (UploadState::Expired, reason), now))
                    })
                    .await?;
                if !ended {
                    continue;
                }
                count += 1;
                // One that waits for a store that is away is enough.
                if is_store_away {
                    self.uploads.remove_later(&upload);
                } else if let Err(error) = self.uploads.remove_bytes(&upload).await {
                    tracing::warn!(upload.id = %upload.id, %error, "{LEFT}");
                    is_store_away = true;
                }
            }
            // Those that cannot end now must not keep the others.
            after = last;
            if after.is_none() {
                break;
            }
        }
        if count > 0 {
            count_ended_uploads("expired", count);
            tracing::info!(expired = count, "removed uploads that were not completed in time");
        }
        Ok(count)
    }

    /// Removes the bytes of an upload that has ended. A store that is away is not waited for: they go when it is back.
    async fn remove_bytes(self: &Arc<Self>, upload: Upload, lock: Lock) {
        let exchange = self.clone();
        let removing = self.outlive(async move {
            if let Err(error) = exchange.uploads.remove_bytes(&upload).await {
                tracing::warn!(upload.id = %upload.id, %error, "{LEFT}");
            }
            drop(lock);
        });
        // Whether it is done, is not, or was cut off by a stop: the upload has ended.
        let _ = tokio::time::timeout(REMOVAL, removing).await;
    }
}

async fn terminate(
    tx: &mut Tx<'_>,
    upload: &Upload,
    force: bool,
    now: Timestamp,
) -> Result<Termination, DbError> {
    let access = Access::of_owner(&upload.tenant, &upload.owner);
    if Uploads::is_wanted(tx, upload.id).await? {
        return Ok(Termination::UnderWay);
    }
    if upload.state == UploadState::Complete {
        let deliveries = delivery::list(tx, &access, upload.id).await?;
        if !force && deliveries.iter().any(|delivery| delivery.status.is_under_way()) {
            return Ok(Termination::UnderWay);
        }
        delivery::cancel(tx, &access, upload.id, now).await?;
    }
    let ended = end(tx, upload, (UploadState::Terminated, TERMINATED), now).await?;
    Ok(if ended { Termination::Done } else { Termination::Changed })
}

/// Leaves the row of an upload alone, and reports why; `false` if it changed meanwhile.
async fn end(
    tx: &mut Tx<'_>,
    upload: &Upload,
    (state, reason): (UploadState, &str),
    now: Timestamp,
) -> Result<bool, DbError> {
    if !Uploads::end(tx, upload, state, now).await? {
        return Ok(false);
    }
    if !upload.is_partial() {
        let stage = progress(upload, upload.offset, now).stage;
        report::record(tx, &upload.stream(), &[Report::failure(stage, reason, now, now)]).await?;
    }
    Ok(true)
}

#[cfg(test)]
#[path = "terminate_upload_tests.rs"]
mod tests;
