//! Uploads that end before their time, or instead of being completed: their sender removes them (tus 1.0.0,
//! Termination), or nobody went on with them (Expiration). What is left is a row that says so, with its reports; the
//! bytes go. A delivery that is under way keeps them, unless it is called off in the same commit (dex-upload W-28).

use std::sync::Arc;

use super::Exchange;
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::{Access, Caller};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery;
use crate::id::UploadId;
use crate::report::{self, Report};
use crate::telemetry::metrics::count_ended_uploads;
use crate::upload::{Door, Upload, UploadError, UploadState, Uploads, progress};

/// What is reported of an upload that its sender removes.
const TERMINATED: &str = "the upload was removed by its sender";
/// What is reported of an upload that nobody went on with.
const EXPIRED: &str = "the upload was not completed in time";

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
        if upload.door != Door::Tus {
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
        let outcome = self
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
        match outcome {
            Termination::Done => {}
            Termination::UnderWay => return Err(TerminationRefused::UnderWay),
            Termination::Changed => return Err(UploadError::Locked.into()),
        }
        count_ended_uploads("terminated", 1);
        let exchange = self.clone();
        // Whoever asked may go away; the bytes go all the same.
        let removed = self.outlive(async move {
            exchange.remove_bytes(&upload).await;
            drop(lock);
        });
        Ok(removed.await.map_err(UploadError::from)?)
    }

    /// Lets uploads expire that nobody went on with; returns how many.
    pub(super) async fn expire_uploads(&self, now: Timestamp) -> Result<u64, DbError> {
        let mut count = 0;
        loop {
            let before = count;
            for (upload, _lock) in self.uploads.expired(now).await? {
                let ended = self
                    .db
                    .write(upload.clone(), move |upload, tx| {
                        Box::pin(end(tx, upload, (UploadState::Expired, EXPIRED), now))
                    })
                    .await?;
                if ended {
                    self.remove_bytes(&upload).await;
                    count += 1;
                }
            }
            if count == before {
                break;
            }
        }
        if count > 0 {
            count_ended_uploads("expired", count);
            tracing::info!(expired = count, "removed uploads that were not completed in time");
        }
        Ok(count)
    }

    pub(super) async fn remove_bytes(&self, upload: &Upload) {
        if let Err(error) = self.uploads.remove_bytes(upload).await {
            tracing::warn!(upload.id = %upload.id, %error, "the next start sweeps the bytes of this upload");
        }
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
