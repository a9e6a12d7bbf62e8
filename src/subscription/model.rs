//! A subscription and its events as they are kept.

use super::terms::Terms;
use crate::auth::Access;
use crate::clock::Timestamp;

/// Where a subscription stands (FHIR R4 `subscription-status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscriptionStatus {
    /// It is asked for; the endpoint has not answered yet.
    Requested,
    /// Its events are notified.
    Active,
    /// The endpoint did not take a notification. Events are counted, and told once the client asks for it again.
    Error,
    /// It has ended.
    Off,
}

impl SubscriptionStatus {
    /// All of them.
    const ALL: [Self; 4] = [Self::Requested, Self::Active, Self::Error, Self::Off];

    /// The code as on the wire.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Error => "error",
            Self::Off => "off",
        }
    }

    /// The status of this code.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_code() == code)
    }
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Its tenant.
    pub(crate) tenant: String,
    /// Who made it, and whose Tasks it is about.
    pub(crate) owner: String,
    /// The id of the FHIR resource.
    pub(crate) id: String,
    /// The version of the FHIR resource that says the same.
    pub(crate) version: u64,
    /// The version by which the client asked for it last; what belongs to an earlier one has no effect any more.
    pub(crate) generation: u64,
    /// The first version of the FHIR resource since it was last deleted, if it was.
    pub(crate) created_in: u64,
    /// Where it stands.
    pub(crate) status: SubscriptionStatus,
    /// What it asks for.
    pub(crate) terms: Terms,
    /// How many events there were since it was active for the first time.
    pub(crate) events: u64,
    /// How many of them are in no notification.
    pub(crate) waiting: u64,
    /// What brought it into error, in words of ours.
    pub(crate) failure: Option<String>,
    /// When it was active for the first time.
    pub(crate) started_at: Option<Timestamp>,
    /// When the last notification was made.
    pub(crate) told_at: Option<Timestamp>,
}

impl Subscription {
    /// What its owner may see: a subscription tells of nothing else.
    pub(crate) fn access(&self) -> Access {
        Access::of_owner(&self.tenant, &self.owner)
    }
}

/// An event that is to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEvent {
    /// The id of the Task.
    pub(crate) task: String,
    /// The version that is the event.
    pub(crate) version: u64,
    /// Whether it is the first.
    pub(crate) is_create: bool,
    /// When that version came to be.
    pub(crate) at: Timestamp,
}

/// An event of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number, from 1 on.
    pub(crate) number: u64,
    /// What happened.
    pub(crate) event: NewEvent,
}

/// What counting an event found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The event's number.
    pub(crate) number: u64,
    /// Whether the subscription is active and had nothing to tell before: somebody has to begin with it.
    pub(crate) is_first_to_tell: bool,
}
