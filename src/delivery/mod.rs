//! From a finished upload to its targets, until it is done.
//!
//! The transaction that completes an upload [`enqueue`]s its deliveries; `worker.rs` claims what is due and
//! `attempt.rs` carries one delivery to its `destination/` and settles it. `store.rs` is the SQL and
//! `model.rs` the states; a delivery that is claimed belongs to one worker by its lease, and what a worker
//! writes is fenced by the lease's number. `schedule.rs` says when a failed attempt is repeated. Every
//! destination takes the same delivery twice, so whatever is in doubt is simply done again.

mod attempt;
mod config;
mod destination;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod model;
mod path_template;
mod routing;
mod schedule;
mod store;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

pub(crate) use config::{ClashPolicy, TargetConfig};
pub(crate) use destination::{
    Delivered, DeliveryRequest, Destination, EndpointDestination, FileDestination, FileSettings, HELD,
};
pub(crate) use error::{DeliveryError, Retry};
pub(crate) use model::{Attempt, AttemptOutcome, Cause, Delivery, DeliveryStatus, NewDelivery};
pub(crate) use routing::Routing;
pub(crate) use schedule::Schedule;
pub(crate) use store::{
    CallOff, Order, Repeated, attempts, cancel_ordered, counts, enqueue, find, followed, free_all_leases,
    hold, is_ordered_under_way, release, repeat,
};
#[cfg(test)]
pub(crate) use store::{cancel, list};

use crate::agenda::Agenda;
use crate::clock::SharedClock;
use crate::db::Db;
use crate::upload::Sources;

/// How the worker works.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSettings {
    /// Attempts at once, in all.
    pub(crate) concurrency: usize,
    /// Attempts at once per target. One target that hangs leaves the others the rest of `concurrency`.
    pub(crate) concurrency_per_target: usize,
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
    targets: HashMap<String, Target>,
    schedule: Schedule,
    settings: WorkerSettings,
    agenda: Arc<Agenda>,
    wake: Notify,
    slots: Arc<Semaphore>,
    /// Bounds the attempts on targets that the configuration does not know any more.
    unconfigured: Arc<Semaphore>,
    /// Counts the rounds of claiming, so that each begins with another target.
    rounds: AtomicUsize,
}

/// A destination and the attempts it may have at once.
struct Target {
    destination: Arc<dyn Destination>,
    slots: Arc<Semaphore>,
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
        let per_target = settings.concurrency_per_target;
        let with_slots =
            |(name, destination)| (name, Target { destination, slots: Arc::new(Semaphore::new(per_target)) });
        Self {
            db,
            clock,
            sources,
            targets: destinations.into_iter().map(with_slots).collect(),
            schedule,
            agenda,
            wake: Notify::new(),
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            unconfigured: Arc::new(Semaphore::new(per_target)),
            rounds: AtomicUsize::new(0),
            settings,
        }
    }

    /// Tells the worker that something has become due; called after the commit that made it so.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The destination behind a target's name.
    pub(crate) fn destination(&self, target: &str) -> Option<&Arc<dyn Destination>> {
        self.targets.get(target).map(|target| &target.destination)
    }

    /// The names of all targets.
    pub(crate) fn target_names(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod store_order_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod testing;

#[cfg(test)]
mod worker_tests;
