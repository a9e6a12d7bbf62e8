//! The loop: claim what is due, run attempts within bounds, stop cleanly. Notifications only make it
//! quick; that nothing is forgotten rests on looking at every poll interval.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::attempt::Ended;
use super::breaker::Verdict;
use super::lane::Slot;
use super::{Deliveries, Delivery, DeliveryStatus, store};
use crate::db::DbError;

/// The least time between two looks at what is due: what becomes due meanwhile is claimed together. What comes after a
/// quiet moment waits for nothing.
const GATHERING: Duration = Duration::from_millis(10);
/// The same where an attempt has ended whose lane has more to do, or the next of an order may be due.
const REFILLING: Duration = Duration::from_millis(2);

impl Deliveries {
    /// Delivers until `stop` is cancelled. Attempts run on `tracker`; when stopped they give their leases
    /// back, so whoever waits for `tracker` waits for that too.
    pub(crate) async fn run(self: Arc<Self>, tracker: TaskTracker, stop: CancellationToken) {
        self.targets.load().values().for_each(|lane| lane.observe());
        while !stop.is_cancelled() {
            // Interest is registered before looking, so that what becomes due in between is not missed.
            let woken = self.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let looked_at = Instant::now();
            match self.claim_due().await {
                Ok(taken) => {
                    for (delivery, slot) in taken {
                        let (worker, stop) = (Arc::clone(&self), stop.clone());
                        tracker.spawn(async move {
                            let (lane, is_ordered) = (worker.lane(&delivery.target), delivery.is_ordered);
                            worker.attempt_in(delivery, slot, &stop).await;
                            // A slot is free again, and the delivery may be due again at once.
                            if lane.take_shortage() || is_ordered {
                                worker.refill.notify_one();
                            } else {
                                worker.wake();
                            }
                        });
                    }
                }
                Err(error) => tracing::warn!(%error, "due deliveries could not be claimed"),
            }
            let gathered = async {
                woken.await;
                tokio::time::sleep_until(looked_at + GATHERING).await;
            };
            // A lane that is slow has always more to do; only where its own slots come free is there any hurry.
            let refilled = async {
                self.refill.notified().await;
                tokio::time::sleep_until(looked_at + REFILLING).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = gathered => {}
                () = refilled => {}
                () = tokio::time::sleep(self.settings.poll_interval) => {}
            }
        }
    }

    /// Makes attempts until nothing is due, and returns how many were settled. For tests, which turn the
    /// clock by hand.
    #[cfg(test)]
    pub(crate) async fn run_due_work(&self) -> Result<usize, DbError> {
        let never = CancellationToken::new();
        let mut settled = 0;
        loop {
            let claimed = self.claim_due().await?;
            if claimed.is_empty() {
                return Ok(settled);
            }
            let attempts =
                claimed.into_iter().map(|(delivery, slot)| self.attempt_in(delivery, slot, &never));
            settled += futures_util::future::join_all(attempts).await.into_iter().flatten().count();
        }
    }

    /// Runs one attempt in its slot; where it left the delivery, if it was settled.
    async fn attempt_in(
        &self,
        delivery: Delivery,
        slot: Slot,
        stop: &CancellationToken,
    ) -> Option<DeliveryStatus> {
        let span = tracing::info_span!(
            "delivery.attempt",
            delivery.id = %delivery.id,
            upload.id = %delivery.upload_id,
            target = delivery.target,
            attempt = delivery.attempts + 1,
        );
        async move {
            let lane = self.lane(&delivery.target);
            let ended = self.attempt(delivery, slot.generation, stop).await;
            // Of an attempt that was cut short nothing is known, and a probe must not be waited for for ever.
            lane.ended(Verdict::Nothing, slot.generation, self.clock.now());
            drop(slot);
            match ended {
                Ok(Ended::Settled(status)) => return Some(status),
                Ok(Ended::Parked) => tracing::info!("parked: the gateway is stopping"),
                Ok(Ended::LeaseLost) => tracing::warn!("the lease was lost"),
                Ok(Ended::CalledOff) => tracing::info!("called off"),
                Err(error) => tracing::warn!(%error, "not settled; it is due again when its lease ends"),
            }
            None
        }
        .instrument(span)
        .await
    }

    /// Leases what is due, as much as there are slots for, and gives each delivery its slot.
    async fn claim_due(&self) -> Result<Vec<(Delivery, Slot)>, DbError> {
        let mut due = {
            let mut reader = self.db.reader().await?;
            store::targets_due(&mut reader.tx(), self.clock.now()).await?
        };
        let mut taken = Vec::new();
        if due.is_empty() {
            return Ok(taken);
        }
        due.sort_unstable();
        // Where slots are short no target may always be the first to take them.
        let first = self.rounds.fetch_add(1, Ordering::Relaxed) % due.len();
        due.rotate_left(first);
        for target in due {
            let lane = self.lane(&target);
            let mut slots = lane.free_slots(&self.shared, self.clock.now());
            if slots.is_empty() {
                lane.note_shortage(true);
                continue;
            }
            let limit = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            // A failure after a first success must not strand what is leased already: it is run, and the
            // error shows up again in the next round if it lasts.
            match self.claim(target, limit).await {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => {
                    lane.claimed(&mut slots);
                    lane.note_shortage(deliveries.len() >= slots.len());
                    taken.extend(deliveries.into_iter().zip(slots));
                }
                Err(error) if taken.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    async fn claim(&self, target: String, limit: u32) -> Result<Vec<Delivery>, DbError> {
        let (now, lease) = (self.clock.now(), self.settings.lease);
        self.db
            .write((self.settings.name.clone(), target), move |(worker, target), tx| {
                Box::pin(async move { store::claim(tx, worker, target, now, limit, lease).await })
            })
            .await
    }
}
