//! From a finished upload to its targets, until it is done.
//!
//! The transaction that completes an upload [`enqueue`]s its deliveries; `worker.rs` claims what is due and
//! `attempt.rs` carries one delivery to its `destination/` and settles it. `store.rs` is the SQL and
//! `model.rs` the states; a delivery that is claimed belongs to one worker by its lease, and what a worker
//! writes is fenced by the lease's number. `schedule.rs` says when a failed attempt is repeated, and the `lane` of a
//! target how much is sent there at once, which is nothing while its circuit `breaker` is open. Every destination takes
//! the same delivery twice, so whatever is in doubt is simply done again. What is given up leaves nothing behind
//! (`tidy.rs`).

mod attempt;
mod breaker;
mod config;
mod destination;
mod dex_target;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod lane;
mod meter;
mod model;
mod ordering;
mod path_template;
mod progress;
mod routing;
mod schedule;
mod store;
mod tidy;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};

pub(crate) use breaker::BreakerSettings;
pub(crate) use config::{ClashPolicy, TargetConfig};
pub(crate) use destination::{
    Delivered, DeliveryRequest, Destination, DexDestination, EndpointDestination, FileDestination,
    FileSettings, HELD, ObjectDestination, ObjectSettings,
};
pub(crate) use error::{DeliveryError, Retry};
pub(crate) use model::{Attempt, AttemptOutcome, Cause, Delivery, DeliveryStatus, NewDelivery};
pub(crate) use progress::Progress;
pub(crate) use routing::Routing;
pub(crate) use schedule::Schedule;
pub(crate) use store::{
    CallOff, DeliveryFilter, FoundDelivery, Order, Repeated, attempts, cancel, cancel_ordered, count, counts,
    enqueue, find, followed, free_all_leases, hold, is_ordered_under_way, list, release, remove_settled,
    repeat, requeue, search,
};

use lane::Lane;

use crate::agenda::Agenda;
use crate::clock::SharedClock;
use crate::db::Db;
use crate::upload::Sources;

/// How the worker works.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSettings {
    /// Attempts at once in all, beside the first of each target.
    pub(crate) concurrency: usize,
    /// Attempts at once at a target that is not in `concurrency_of`.
    pub(crate) concurrency_per_target: usize,
    /// Attempts at once at the targets that have a bound of their own.
    pub(crate) concurrency_of: HashMap<String, usize>,
    /// When a target is left alone.
    pub(crate) breaker: BreakerSettings,
    /// How long an attempt may move nothing.
    pub(crate) stall_timeout: Duration,
    /// How long a claimed delivery belongs to its worker; renewed three times as often.
    pub(crate) lease: Duration,
    /// How often to look for due deliveries when nobody wakes the worker.
    pub(crate) poll_interval: Duration,
    /// Names this gateway in the rows it has leased.
    pub(crate) name: String,
}

/// Carries what is due to its targets. One for the gateway; [`Deliveries::run`] is its worker.
pub(crate) struct Deliveries {
    db: Db,
    clock: SharedClock,
    sources: Arc<dyn Sources>,
    /// The lanes of the targets, by name; replaced as a whole.
    targets: ArcSwap<HashMap<String, Arc<Lane>>>,
    schedule: Schedule,
    settings: WorkerSettings,
    agenda: Arc<Agenda>,
    wake: Notify,
    /// A slot is free that somebody waits for.
    refill: Notify,
    /// What attempts take beside the slot of their target, all but the first there.
    shared: Arc<Semaphore>,
    /// The lane of all targets that the configuration does not know any more.
    unconfigured: Arc<Lane>,
    /// Counts the rounds of claiming, so that each begins with another target.
    rounds: AtomicUsize,
}

impl Deliveries {
    /// Deliveries to these targets, by name.
    pub(crate) fn new(
        db: Db,
        clock: SharedClock,
        sources: Arc<dyn Sources>,
        destinations: HashMap<String, Arc<dyn Destination>>,
        schedule: Schedule,
        settings: WorkerSettings,
        agenda: Arc<Agenda>,
    ) -> Self {
        let lanes = lanes(&settings, destinations, &settings.concurrency_of).collect();
        let nobody = Lane::new(String::new(), None, settings.concurrency_per_target, settings.breaker);
        Self {
            db,
            clock,
            sources,
            targets: ArcSwap::from_pointee(lanes),
            schedule,
            agenda,
            wake: Notify::new(),
            refill: Notify::new(),
            shared: Arc::new(Semaphore::new(settings.concurrency)),
            unconfigured: Arc::new(nobody),
            rounds: AtomicUsize::new(0),
            settings,
        }
    }

    /// Tells the worker that something has become due; called after the commit that made it so.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The destination behind a target's name.
    pub(crate) fn destination(&self, target: &str) -> Option<Arc<dyn Destination>> {
        self.targets.load().get(target)?.destination().cloned()
    }

    /// Whether a target failed so often in a row that its deliveries wait.
    pub(crate) fn is_resting(&self, target: &str) -> bool {
        self.targets.load().get(target).is_some_and(|lane| lane.is_open())
    }

    /// Delivers to other targets from now on: `gone` names those that are not there any more or are not what they were,
    /// `come` are the new ones. The others keep their slots and circuits; attempts under way end where they began.
    pub(crate) fn retarget(
        &self,
        gone: &[String],
        come: HashMap<String, Arc<dyn Destination>>,
        concurrency_of: &HashMap<String, usize>,
    ) {
        let mut targets = HashMap::clone(&self.targets.load());
        for lane in gone.iter().filter_map(|name| targets.remove(name)) {
            lane.forget();
        }
        targets.extend(lanes(&self.settings, come, concurrency_of).inspect(|(_, lane)| lane.observe()));
        self.targets.store(Arc::new(targets));
        // What waits for a target may be due at another.
        self.wake();
    }

    fn lane(&self, target: &str) -> Arc<Lane> {
        self.targets.load().get(target).unwrap_or(&self.unconfigured).clone()
    }

    /// The names of all targets.
    pub(crate) fn target_names(&self) -> Vec<String> {
        self.targets.load().keys().cloned().collect()
    }
}

/// Lanes to these destinations; `concurrency_of` are the bounds that some have for themselves.
fn lanes(
    settings: &WorkerSettings,
    destinations: HashMap<String, Arc<dyn Destination>>,
    concurrency_of: &HashMap<String, usize>,
) -> impl Iterator<Item = (String, Arc<Lane>)> {
    destinations.into_iter().map(|(name, destination)| {
        let most = concurrency_of.get(&name).copied().unwrap_or(settings.concurrency_per_target);
        (name.clone(), Arc::new(Lane::new(name, Some(destination), most, settings.breaker)))
    })
}

#[cfg(test)]
mod isolation_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod store_order_tests;
#[cfg(test)]
mod store_search_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod testing;

#[cfg(test)]
mod worker_tests;
