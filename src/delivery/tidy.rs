//! What attempts have begun at a target and nobody goes on with, because the delivery died or was called off, is taken
//! away: S3 would keep the parts of an object, and bill them, for ever. A target that is away is asked again until it
//! is back, also by the next start.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::store::{Leftover, forget_leftover, leftovers};
use super::{Deliveries, DeliveryError, Destination};
use crate::db::DbError;
use crate::outbound::bucket::BucketError;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_mins(1);
/// Leftovers that are read at once.
const BATCH: u32 = 100;

impl Deliveries {
    /// Tidies up until `stop` is cancelled.
    pub(crate) async fn tidy(self: Arc<Self>, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.tidy_once().await {
                    tracing::warn!(%error, "what deliveries have left at targets could not be read");
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        // A round that is cut off goes on with the next start.
        stop.run_until_cancelled(rounds).await;
    }

    /// One round over all targets.
    pub(super) async fn tidy_once(&self) -> Result<(), DbError> {
        let targets = self.targets.load_full();
        let destinations = targets.iter().filter_map(|(name, lane)| Some((name, lane.destination()?)));
        for (name, destination) in destinations.filter(|(_, destination)| destination.keeps_leftovers()) {
            self.tidy_target(name, destination).await?;
        }
        Ok(())
    }

    async fn tidy_target(&self, target: &str, destination: &Arc<dyn Destination>) -> Result<(), DbError> {
        let mut after = String::new();
        loop {
            let found = self.leftovers(target, &after).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after.clone_from(&last.id);
            for leftover in found {
                match destination.give_up(&leftover.kept).await {
                    Ok(()) => self.db.write(leftover, |gone, tx| Box::pin(forget_leftover(tx, gone))).await?,
                    Err(error) => {
                        tracing::debug!(%error, target, "what a delivery left cannot be taken away yet");
                        // Whoever may not take this away may take away another. All else is of the target.
                        if !matches!(error, DeliveryError::Bucket(BucketError::Forbidden)) {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    async fn leftovers(&self, target: &str, after: &str) -> Result<Vec<Leftover>, DbError> {
        // Until a lease has passed somebody may be at work on it who has not heard yet that it is over.
        let ended = (self.clock.now(), self.settings.lease);
        let mut reader = self.db.reader().await?;
        leftovers(&mut reader.tx(), (target, after), ended, BATCH).await
    }
}
