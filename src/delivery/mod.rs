//! From a finished upload to its targets, until it is done.

mod config;
mod destination;
mod error;
mod model;
mod path_template;
mod routing;
mod row;
mod schedule;
mod store;

pub(crate) use config::{AzureBlobTarget, AzureCredential, ClashPolicy, FileTarget, S3Target, TargetConfig};
pub(crate) use destination::{Delivered, DeliveryRequest, Destination, FileDestination, FileSettings};
pub(crate) use error::{DeliveryError, Retry};
pub(crate) use model::{Attempt, AttemptOutcome, Cause, Delivery, DeliveryStatus, NewDelivery};
pub(crate) use path_template::{PathTemplate, PathTemplateError};
pub(crate) use routing::{RoutedTarget, Routing};
pub(crate) use schedule::Schedule;
pub(crate) use store::{Repeated, attempts, cancel, counts, enqueue, free_all_leases, list, repeat};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod testing;

