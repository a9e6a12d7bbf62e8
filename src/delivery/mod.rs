//! From a finished upload to its targets, until it is done.

mod destination;
mod error;
mod model;
mod row;
mod store;

pub(crate) use destination::{
    ClashPolicy, Delivered, DeliveryRequest, Destination, FileDestination, FileSettings,
};
pub(crate) use error::{DeliveryError, Retry};
pub(crate) use model::{Attempt, AttemptOutcome, Cause, Delivery, DeliveryStatus, NewDelivery};
pub(crate) use store::{Repeated, attempts, cancel, counts, enqueue, free_all_leases, list, repeat};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod testing;
