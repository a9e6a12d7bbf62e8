//! Periodic work that looks at several stages: answers kept for an `Idempotency-Key` go when their time is over, and so
//! do exports with their files and uploads that nobody went on with; the state of all deliveries and scans is shown as
//! metrics. Less often it is looked for what has been done with for so long that it may go: [`policy`] is how long what
//! is kept, [`removal`] how it goes.

mod policy;
mod removal;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Exchange, store as interactions};
use crate::agenda::{self, Errand};
use crate::auth::{Access, DEFAULT_TENANT};
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::delivery::{self, DeliveryStatus};
use crate::telemetry::metrics::{count_removed, observe_deliveries, observe_scans_waiting};

pub(crate) use policy::Retention;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(15);

impl Exchange {
    /// Works until `stop` is cancelled. A round that fails is logged; the next one tries again.
    pub(crate) async fn retain(self: Arc<Self>, stop: CancellationToken) {
        let mut looked_at: Option<Timestamp> = None;
        while !stop.is_cancelled() {
            let now = self.clock.now();
            if let Err(error) = self.retain_once().await {
                tracing::warn!(%error, "periodic work failed");
            }
            if looked_at.is_none_or(|before| now.since(before) >= self.retention.interval()) {
                looked_at = Some(now);
                if let Err(error) = self.remove_old(now).await {
                    tracing::warn!(%error, "what may go could not be removed");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL.min(self.retention.interval())) => {}
            }
        }
    }

    /// One round.
    pub(super) async fn retain_once(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        let keys = self.db.write((), move |(), tx| Box::pin(interactions::forget_keys(tx, now))).await?;
        count_removed("idempotency-key", keys);
        self.tidy_exports(now).await?;
        self.expire_uploads(now).await?;
        self.uploads.remove_left().await;
        let (counts, scans_waiting) = {
            let mut reader = self.db.reader().await?;
            let counts = delivery::counts(&mut reader.tx(), &Access::of_worker(DEFAULT_TENANT)).await?;
            (counts, agenda::count(&mut reader.tx(), Errand::ScanUpload).await?)
        };
        if self.screening.scanner.is_some() {
            observe_scans_waiting(scans_waiting);
        }
        // A state that nothing is in any more has to be shown as that.
        for status in DeliveryStatus::ALL {
            let count = counts.iter().find(|(known, _)| *known == status).map_or(0, |(_, count)| *count);
            observe_deliveries(status.as_str(), count);
        }
        Ok(())
    }
}
