//! Periodic work that looks at several stages: answers kept for an `Idempotency-Key` go when their time is
//! over, and so do exports with their files and uploads that nobody went on with; the state of all deliveries and scans is
//! shown as metrics. Retention of uploads belongs here: bytes go only where no `upload` and no `binary_content` row names them, for a Binary may share
//! those of an upload.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Exchange, store};
use crate::agenda::{self, Errand};
use crate::auth::{Access, DEFAULT_TENANT};
use crate::db::DbError;
use crate::delivery::{self, DeliveryStatus};
use crate::telemetry::metrics::{observe_deliveries, observe_scans_waiting};

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(15);

impl Exchange {
    /// Works until `stop` is cancelled. A round that fails is logged; the next one tries again.
    pub(crate) async fn retain(self: Arc<Self>, stop: CancellationToken) {
        loop {
            if let Err(error) = self.retain_once().await {
                tracing::warn!(%error, "periodic work failed");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// One round.
    pub(super) async fn retain_once(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        self.db.write((), move |(), tx| Box::pin(store::forget_keys(tx, now))).await?;
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
