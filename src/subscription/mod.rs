//! Who is told of changes of Tasks: topic-based subscriptions (R5 Backport 1.1.0 for R4, CONF-064 to CONF-068).
//!
//! [`read`] takes a Subscription for what it asks, or tells all that is not served; [`is_event`] says which versions of
//! a Task the topic is about and [`Filter`] which of them a subscriber wants; [`mod@notification`] writes what is sent.
//! `store` keeps the state beside the FHIR resource: how many events there were, and which of them are in a
//! notification. Nothing is sent from here: notifications are deliveries of the one pipeline, and who composes them,
//! when, is for `exchange`.

mod filter;
mod model;
mod notification;
mod store;
mod terms;
mod topic;

#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod notification_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod terms_tests;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use filter::{Candidate, Filter};
#[cfg(test)]
pub(crate) use model::Counted;
pub(crate) use model::{Event, NewEvent, Subscription, SubscriptionStatus};
pub(crate) use notification::{NotificationType, NotifiedEvent, StatusReport, notification, statuses};
pub(crate) use store::{
    activate, arrived, count, events, fail, find, forget, heartbeat, is_any, put, started, tell, turn_off,
    untell, waiting,
};
pub(crate) use terms::{PayloadContent, Terms, read};
pub(crate) use topic::{TASK_TOPIC, is_event, is_order};
