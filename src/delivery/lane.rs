//! What one target has for itself: its slots, one of which no other target can take, and its circuit breaker. A target
//! that is dead, slow or hanging holds up its own lane and no other (D-05, dex-upload W-40).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Destination;
use super::breaker::{Admission, Breaker, BreakerSettings, Verdict};
use crate::clock::Timestamp;
use crate::telemetry::metrics::observe_circuit;

/// The right to run one attempt at a target.
pub(super) struct Slot {
    /// How the circuit stood when something was claimed for it.
    pub(super) generation: u64,
    _of_lane: OwnedSemaphorePermit,
    /// One that all targets share; none if it is the lane's own first slot.
    _shared: Option<OwnedSemaphorePermit>,
}

/// The way to one target.
pub(super) struct Lane {
    name: String,
    /// None for targets that the configuration does not know any more.
    destination: Option<Arc<dyn Destination>>,
    /// One permit: the slot that is nobody else's.
    own: Arc<Semaphore>,
    /// Slots that take a shared permit, too.
    further: Arc<Semaphore>,
    breaker: Mutex<Breaker>,
    /// Whether more was due at the last look than there were slots for.
    is_short: AtomicBool,
}

impl Lane {
    /// The lane of a target that takes `concurrency` attempts at once; the first needs no shared permit.
    pub(super) fn new(
        name: String,
        destination: Option<Arc<dyn Destination>>,
        concurrency: usize,
        breaker: BreakerSettings,
    ) -> Self {
        Self {
            name,
            destination,
            own: Arc::new(Semaphore::new(1)),
            further: Arc::new(Semaphore::new(concurrency.saturating_sub(1))),
            breaker: Mutex::new(Breaker::new(breaker)),
            is_short: AtomicBool::new(false),
        }
    }

    /// Shows in the metrics how it stands, also where nothing has happened yet.
    pub(super) fn observe(&self) {
        observe_circuit(&self.name, self.is_open());
    }

    /// Its target is not one any more: no circuit of it is shown as open.
    pub(super) fn forget(&self) {
        observe_circuit(&self.name, false);
    }

    /// Where it leads.
    pub(super) fn destination(&self) -> Option<&Arc<dyn Destination>> {
        self.destination.as_ref()
    }

    /// Whether less is sent than could be, because the target failed again and again.
    pub(super) fn is_open(&self) -> bool {
        self.breaker().is_open()
    }

    /// All slots that attempts could take now; none while the circuit is open.
    pub(super) fn free_slots(&self, shared: &Arc<Semaphore>, now: Timestamp) -> Vec<Slot> {
        let most = match self.breaker().admits(now) {
            Admission::All => usize::MAX,
            Admission::Probe => 1,
            Admission::None => 0,
        };
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned().ok();
        let slot = || match take(&self.own) {
            Some(own) => Some(Slot { generation: 0, _of_lane: own, _shared: None }),
            None => {
                Some(Slot { generation: 0, _of_lane: take(&self.further)?, _shared: Some(take(shared)?) })
            }
        };
        std::iter::from_fn(slot).take(most).collect()
    }

    /// Notes whether more is due than there were slots for.
    pub(super) fn note_shortage(&self, is_short: bool) {
        self.is_short.store(is_short, Ordering::Relaxed);
    }

    /// Whether more was due than there were slots for, told once: the next look notes it again.
    pub(super) fn take_shortage(&self) -> bool {
        self.is_short.swap(false, Ordering::Relaxed)
    }

    /// Something was claimed for these slots; if the circuit is open it is the probe.
    pub(super) fn claimed(&self, slots: &mut [Slot]) {
        let generation = self.breaker().claimed();
        for slot in slots {
            slot.generation = generation;
        }
    }

    /// An attempt in a slot of this generation has ended. What is told after a verdict that turned the circuit changes
    /// nothing more.
    pub(super) fn ended(&self, verdict: Verdict, generation: u64, now: Timestamp) {
        let (was_open, is_open) = {
            let mut breaker = self.breaker();
            let was_open = breaker.is_open();
            breaker.ended(verdict, generation, now);
            (was_open, breaker.is_open())
        };
        if was_open == is_open {
            return;
        }
        observe_circuit(&self.name, is_open);
        if is_open {
            tracing::warn!(target = %self.name, "the target failed again and again: its deliveries wait");
        } else {
            tracing::info!(target = %self.name, "the target works again");
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // Nothing in here panics halfway through a change.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::at;
    use super::*;

    fn lane(concurrency: usize) -> Lane {
        let pause = Duration::from_secs(10);
        let breaker = BreakerSettings { failures: 1, pause, longest_pause: pause };
        Lane::new("a".to_owned(), None, concurrency, breaker)
    }

    #[test]
    fn w_40_each_target_has_a_slot_that_no_other_can_take() {
        let shared = Arc::new(Semaphore::new(3));
        let (greedy, other, third) = (lane(10), lane(10), lane(1));
        let taken = greedy.free_slots(&shared, at(0));
        assert_eq!(taken.len(), 4, "its own and all that are shared");
        assert_eq!(other.free_slots(&shared, at(0)).len(), 1);
        let only = third.free_slots(&shared, at(0));
        assert_eq!(only.len(), 1);
        assert_eq!(third.free_slots(&shared, at(0)).len(), 0);
        drop(taken);
        assert_eq!(other.free_slots(&shared, at(0)).len(), 4);
        assert_eq!(third.free_slots(&shared, at(0)).len(), 0, "its own bound holds");
    }

    #[test]
    fn d_05_an_open_circuit_has_no_slots_and_then_one() {
        let (lane, shared) = (lane(4), Arc::new(Semaphore::new(9)));
        lane.ended(Verdict::Fails(None), 0, at(0));
        assert!(lane.is_open());
        assert_eq!(lane.free_slots(&shared, at(9)).len(), 0);
        let mut probe = lane.free_slots(&shared, at(10));
        assert_eq!(probe.len(), 1);
        lane.claimed(&mut probe);
        let generation = probe.remove(0).generation;
        assert_eq!(lane.free_slots(&shared, at(10)).len(), 0);
        lane.ended(Verdict::Works, generation, at(10));
        assert_eq!(lane.free_slots(&shared, at(10)).len(), 4);
    }
}
