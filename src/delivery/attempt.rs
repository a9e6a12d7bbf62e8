//! One attempt of one delivery: open the upload, send it, settle. The I/O runs with no transaction open,
//! beside the renewal of the lease. An attempt whose lease is lost writes nothing, unless it succeeded and the delivery
//! was called off meanwhile; one that cannot settle leaves the row to the end of its lease, and the next attempt finds
//! the work done.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::breaker::Verdict;
use super::meter::{Meter, Metered};
use super::model::AttemptOutcome;
use super::progress::Leased;
use super::store::{self, CarriedUpload, Settlement};
use super::{Delivered, Deliveries, Delivery, DeliveryError, DeliveryRequest, DeliveryStatus, Retry};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::id::DeliveryId;
use crate::report::{Report, Stage};
use crate::telemetry::metrics::DELIVERY_ATTEMPTS;
use crate::upload::SourceError;

/// How often a lease is renewed within its length.
const RENEWALS_PER_LEASE: u32 = 3;

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was settled; this is where the delivery stands.
    Settled(DeliveryStatus),
    /// Somebody else has the delivery now; nothing was written.
    LeaseLost,
    /// The delivery was called off before the attempt had succeeded; nothing was written.
    CalledOff,
    /// The gateway is stopping; the lease was given back and no attempt counted.
    Parked,
}

/// What makes a delivery an attempt's.
struct Lease {
    tenant: String,
    id: DeliveryId,
    epoch: i64,
}

impl Lease {
    fn of(delivery: &Delivery) -> Self {
        Self { tenant: delivery.tenant.clone(), id: delivery.id, epoch: delivery.lease_epoch }
    }
}

impl Deliveries {
    /// Makes one attempt of a delivery that this worker has leased, in a slot of this generation.
    ///
    /// *Cancellation*: the row stays leased until its lease ends; nothing half-done is visible.
    pub(super) async fn attempt(
        &self,
        delivery: Delivery,
        generation: u64,
        stop: &CancellationToken,
    ) -> Result<Ended, DbError> {
        let started_at = self.clock.now();
        let upload = self.carried_upload(&delivery).await?;
        if stop.is_cancelled() {
            return self.park(delivery).await;
        }
        let meter = Arc::new(Meter::default());
        // Who asked for a call that may take long gets it.
        let patience = self.settings.stall_timeout.max(delivery.timeout.unwrap_or_default());
        let sent = tokio::select! {
            // What has been sent is settled, even if the gateway is stopping at the same moment.
            biased;
            sent = AssertUnwindSafe(self.send(&delivery, upload.as_ref(), &meter)).catch_unwind() => sent,
            () = stop.cancelled() => return self.park(delivery).await,
            () = self.lease_lost(&delivery) => return self.lost(&Lease::of(&delivery)).await,
            () = meter.stalled(patience) => Ok(Err(DeliveryError::Stalled)),
        };
        let sent = sent.unwrap_or(Err(DeliveryError::Panicked));
        let verdict = sent.as_ref().err().map_or(Verdict::Works, DeliveryError::verdict);
        self.lane(&delivery.target).ended(verdict, generation, self.clock.now());
        self.settle(delivery, upload, (started_at, meter.bytes()), sent).await
    }

    async fn carried_upload(&self, delivery: &Delivery) -> Result<Option<CarriedUpload>, DbError> {
        let mut reader = self.db.reader().await?;
        store::carried_upload(&mut reader.tx(), delivery).await
    }

    async fn send(
        &self,
        delivery: &Delivery,
        upload: Option<&CarriedUpload>,
        meter: &Arc<Meter>,
    ) -> Result<Delivered, DeliveryError> {
        let destination = self.destination(&delivery.target).ok_or(DeliveryError::NoSuchTarget)?;
        let upload = upload.ok_or(SourceError::Missing)?;
        let source = self.sources.open(&Access::of_worker(&delivery.tenant), delivery.upload_id).await?;
        let request = DeliveryRequest {
            delivery_id: delivery.id,
            lease_epoch: delivery.lease_epoch,
            delivered_before: upload.delivered_before,
            upload_id: delivery.upload_id,
            path: &delivery.path,
            media_type: upload.media_type.as_deref(),
            headers: &delivery.headers,
            timeout: delivery.timeout,
            manifest: &upload.manifest,
            progress: &Leased { deliveries: self, delivery, meter },
            source: Box::new(Metered::new(source, meter.clone())),
        };
        destination.deliver(request).await
    }

    /// Renews the lease for as long as it can; returns when it is lost.
    async fn lease_lost(&self, delivery: &Delivery) {
        let mut failures = 0;
        // A database that does not answer for a whole lease means that the lease may have ended.
        while failures < RENEWALS_PER_LEASE {
            tokio::time::sleep(self.settings.lease / RENEWALS_PER_LEASE).await;
            let (now, lease) = (self.clock.now(), self.settings.lease);
            let renewed: Result<bool, DbError> = self
                .db
                .write(delivery.clone(), move |delivery, tx| {
                    Box::pin(async move { store::renew(tx, delivery, now, lease).await })
                })
                .await;
            match renewed {
                Ok(true) => failures = 0,
                Ok(false) => return,
                Err(_) => failures += 1,
            }
        }
    }

    async fn park(&self, delivery: Delivery) -> Result<Ended, DbError> {
        let (now, lease) = (self.clock.now(), Lease::of(&delivery));
        let parked: Result<bool, DbError> = self
            .db
            .write(delivery, move |delivery, tx| {
                Box::pin(async move { store::park(tx, delivery, now).await })
            })
            .await;
        if parked? { Ok(Ended::Parked) } else { self.lost(&lease).await }
    }

    /// How an attempt ends whose lease is lost.
    async fn lost(&self, lease: &Lease) -> Result<Ended, DbError> {
        Ok(self.whose(lease).await?.unwrap_or(Ended::LeaseLost))
    }

    /// Nothing while the delivery is this attempt's, or else how the attempt ends.
    async fn whose(&self, lease: &Lease) -> Result<Option<Ended>, DbError> {
        let mut reader = self.db.reader().await?;
        let access = Access::of_worker(&lease.tenant);
        let found = store::find(&mut reader.tx(), &access, lease.id).await?;
        Ok(match found.map(|found| (found.status, found.lease_epoch)) {
            Some((DeliveryStatus::Leased, epoch)) if epoch == lease.epoch => None,
            Some((DeliveryStatus::Cancelled, _)) => Some(Ended::CalledOff),
            _ => Some(Ended::LeaseLost),
        })
    }

    async fn settle(
        &self,
        delivery: Delivery,
        upload: Option<CarriedUpload>,
        (started_at, read_bytes): (Timestamp, u64),
        sent: Result<Delivered, DeliveryError>,
    ) -> Result<Ended, DbError> {
        let ended_at = self.clock.now();
        let (next, due_at) = match &sent {
            Ok(_) => (DeliveryStatus::Delivered, delivery.due_at),
            Err(error) => self.after_failure(&delivery, error, ended_at),
        };
        let lease = Lease::of(&delivery);
        // What fails because the delivery was called off, or is another worker's, is no failure of the target's, and
        // what was left there may be the other's.
        if sent.is_err()
            && let Some(ended) = self.whose(&lease).await?
        {
            return Ok(ended);
        }
        log(&delivery, &sent, next);
        let Ok(next) = delivery.status.settle(next) else {
            return Ok(Ended::LeaseLost);
        };
        let copy = |file_destination_blob_url| Stage::BlobFileCopy {
            file_destination_blob_url,
            destination_name: delivery.target.clone(),
        };
        let (outcome, report) = match sent {
            Ok(delivered) => {
                let report = Report::success(copy(delivered.location.clone()), started_at, ended_at);
                let Delivered { location, length, remark, .. } = delivered;
                (AttemptOutcome::Success { location, size_bytes: length, remark }, report)
            }
            Err(error) => {
                let issue = error.issue();
                let report = Report::failure(copy(String::new()), issue.clone(), started_at, ended_at);
                (AttemptOutcome::Failure { issue, read_bytes: Some(read_bytes) }, report)
            }
        };
        let report = upload.map(|upload| (upload.stream, report));
        let is_followed = delivery.followed_by.is_some();
        let settlement = Settlement { delivery, outcome, started_at, ended_at, next, due_at, report };
        let settled: Result<bool, DbError> = self
            .db
            .write(settlement, |settlement, tx| Box::pin(async move { store::settle(tx, settlement).await }))
            .await;
        let settled = settled?;
        if settled && is_followed {
            self.agenda.wake();
        }
        if settled { Ok(Ended::Settled(next)) } else { self.lost(&lease).await }
    }

    /// What comes after a failed attempt, and when.
    fn after_failure(
        &self,
        delivery: &Delivery,
        error: &DeliveryError,
        now: Timestamp,
    ) -> (DeliveryStatus, Timestamp) {
        let retry_after = match error.retry() {
            Retry::Never => return (DeliveryStatus::Dead, now),
            Retry::OnSchedule => None,
            Retry::NotBefore(wait) => Some(wait),
        };
        let ended = delivery.attempts.saturating_add(1);
        // Jitter only has to differ between deliveries and attempts, so it needs no source of randomness.
        let mut spread = DefaultHasher::new();
        (delivery.id, ended).hash(&mut spread);
        match self.schedule.delay(ended, spread.finish(), retry_after) {
            Some(delay) => (DeliveryStatus::Waiting, now.after(delay)),
            None => (DeliveryStatus::Dead, now),
        }
    }
}

/// One line and one count for an attempt that was made, whoever settles the delivery in the end.
fn log(delivery: &Delivery, sent: &Result<Delivered, DeliveryError>, next: DeliveryStatus) {
    let result = if sent.is_ok() { "delivered" } else { "failed" };
    metrics::counter!(DELIVERY_ATTEMPTS, "target" => delivery.target.clone(), "result" => result)
        .increment(1);
    match sent {
        Ok(delivered) => tracing::info!(length = delivered.length, "delivered"),
        Err(error) => tracing::warn!(%error, next = next.as_str(), "the attempt failed"),
    }
}
