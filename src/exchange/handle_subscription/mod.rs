//! Subscriptions, from the resource to the last notification.
//!
//! [`check`](mod@check) holds a Subscription to what is served before it is kept, and makes `requested` of what a
//! client calls active. Once it is kept, [`activate`](mod@activate) offers its endpoint a handshake.
//! [`notify`](mod@notify) counts the events that a version of a Task is, and tells them; [`tend`](mod@tend) sends
//! heartbeats and ends what is over; [`follow`](mod@follow) draws the consequences of notifications that arrived or did
//! not; [`status`](mod@status) answers `$status` and `$events`.
//!
//! Every notification is a message (`send_message`): a delivery of the one pipeline, in order for each subscription and
//! repeated by the schedule of all deliveries. What belongs to one asking (a *generation*: the version of the resource
//! by which the client asked) has no effect once the client has asked for something else.

mod activate;
mod check;
mod follow;
mod notify;
#[cfg(test)]
mod order_tests;
mod status;
mod tend;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Exchange;
use super::follow_agenda::FollowError;
use super::send_message::{Composed, Message};
use crate::agenda::{Errand, NewItem};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::{self, CallOff, Order};
use crate::fhir::{self, resource};
use crate::partner::Partner;
use crate::repository::{self, Draft, Kept, Precondition, index};
use crate::subscription::{self, StatusReport, Subscription, SubscriptionStatus, Terms};

pub(super) use check::requested;

/// The type of the resource.
const SUBSCRIPTION: &str = "Subscription";

/// The data stream route of notifications.
const ROUTE: &str = "notification";

/// The subject of errands about a subscription.
fn subject_of(id: &str) -> String {
    format!("{SUBSCRIPTION}/{id}")
}

/// The subject of timers: an earlier asking's must not hold back a later one's.
fn timer_of(id: &str, generation: u64) -> String {
    format!("{SUBSCRIPTION}/{id}/{generation}")
}

/// How the ordering keys of a subscription's messages begin.
fn order_of(tenant: &str, id: &str) -> String {
    format!("{SUBSCRIPTION}/{tenant}/{id}")
}

/// The ordering key of the messages of one asking: a handshake need not wait for what the client asked for before.
fn key_of(tenant: &str, id: &str, generation: u64) -> String {
    format!("{}/{generation}", order_of(tenant, id))
}

/// What a notification is for; what follows it is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Handshake,
    Heartbeat,
    /// Events are told.
    Events(Told),
}

/// The events that a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    /// The first and the last; those in between are told too.
    range: (u64, u64),
    /// When it was made. What was told anew since is not this notification's any more.
    at: Timestamp,
}

impl Purpose {
    /// What follows a delivery of this purpose, as a delivery names it.
    fn followed_by(self, id: &str, generation: u64) -> String {
        let purpose = match self {
            Self::Handshake => "handshake".to_owned(),
            Self::Heartbeat => "heartbeat".to_owned(),
            Self::Events(Told { range: (first, last), at }) => {
                format!("events/{first}-{last}@{}", at.as_nanos())
            }
        };
        format!("{}/{purpose}", timer_of(id, generation))
    }

    /// Reads what follows a delivery, from the subscription's id on: id, generation and purpose.
    fn parse(text: &str) -> Option<(&str, u64, Self)> {
        let (id, rest) = text.split_once('/')?;
        let (generation, purpose) = rest.split_once('/')?;
        let purpose = match purpose {
            "handshake" => Self::Handshake,
            "heartbeat" => Self::Heartbeat,
            events => {
                let (range, at) = events.strip_prefix("events/")?.split_once('@')?;
                let (first, last) = range.split_once('-')?;
                let range = (first.parse().ok()?, last.parse().ok()?);
                Self::Events(Told { range, at: Timestamp::from_nanos(at.parse().ok()?) })
            }
        };
        Some((id, generation.parse().ok()?, purpose))
    }
}

impl Exchange {
    /// The partner whose server an endpoint is.
    ///
    /// # Errors
    /// The endpoint must not be called; the text is the rule.
    fn subscriber(&self, endpoint: &str) -> Result<&Arc<Partner>, &'static str> {
        let Some(partner) = self.partners.of_url(endpoint) else {
            return Err("The endpoint is no server of a partner: its host must be in a partner's entry");
        };
        if !partner.policy.subscriptions {
            return Err("Nothing is agreed with the partner about Subscriptions");
        }
        let is_encrypted = endpoint.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        if !is_encrypted && !partner.may_be_private() {
            return Err(
                "The endpoint must be https://, unless the partner's servers are in a private network",
            );
        }
        Ok(partner)
    }

    /// Makes a notification durable.
    async fn compose_notification(
        &self,
        access: &Access,
        (id, generation, terms): (&str, u64, &Terms),
        (partner, purpose): (&Partner, Purpose),
        bundle: Vec<u8>,
    ) -> Result<Composed, FollowError> {
        let message = Message {
            route: ROUTE,
            content_type: terms.content_type.clone(),
            partner: partner.name.clone(),
            url: terms.endpoint.clone(),
            headers: terms.headers.clone(),
            timeout: (terms.timeout_secs > 0).then(|| Duration::from_secs(terms.timeout_secs.into())),
            ordering_key: Some(key_of(access.tenant(), id, generation)),
            followed_by: Some(purpose.followed_by(id, generation)),
        };
        self.compose(access, message, bundle.into())
            .await
            .map_err(|_| FollowError::Unavailable("the upload store takes no notification".to_owned()))
    }

    /// What is said of a subscription.
    fn report<'a>(&'a self, found: &'a Subscription, events: u64) -> StatusReport<'a> {
        StatusReport {
            base: &self.settings.fhir_base,
            id: &found.id,
            status: found.status,
            events,
            error: found.failure.as_deref(),
        }
    }

    /// Writes the status of a subscription into its resource, and gives the version that says so. None if there is a
    /// version that the subscription does not know: the client has changed or deleted it, and that counts.
    async fn write_status(
        &self,
        tx: &mut Tx<'_>,
        (access, id, version): (&Access, &str, u64),
        status: SubscriptionStatus,
        failure: Option<&str>,
    ) -> Result<Option<u64>, DbError> {
        let current = repository::read(tx, access, SUBSCRIPTION, id).await?;
        let Some(current) = current.filter(|current| current.version == version) else { return Ok(None) };
        let Some(content) = &current.content else { return Ok(None) };
        let unreadable = || DbError::inconsistent("resource", "content", current.key);
        let text = resource::with_member(content, "status", Some(&Value::from(status.as_code())));
        let text =
            text.and_then(|text| resource::with_member(&text, "error", failure.map(Value::from).as_ref()));
        let text = text.map_err(|_| unreadable())?;
        let tree = fhir::parse(&text).map_err(|_| unreadable())?;
        let entries = index::entries(access.tenant(), SUBSCRIPTION, &tree, &self.settings.fhir_base);
        let draft = Draft {
            resource_type: SUBSCRIPTION,
            id: id.to_owned(),
            text: text.into(),
            entries,
            bytes: None,
            // It is not the client who asks.
            errands: Vec::new(),
        };
        let now = self.clock.now();
        let drafts = [(draft, Precondition::Version(vec![version]))];
        let kept = repository::keep(tx, access, &drafts, false, now).await?;
        let Some(Kept::Updated(resource)) = kept.into_iter().next() else { return Ok(None) };
        let entry = Entry {
            tenant: access.tenant().to_owned(),
            owner: access.owner().unwrap_or_default().to_owned(),
            at: now,
            action: "subscription-status",
            outcome: AuditOutcome::Success,
            entity: Some(subject_of(id)),
            detail: vec![status.as_code()],
            request_id: None,
        };
        audit::record(tx, &entry).await?;
        Ok(Some(resource.version))
    }

    /// Brings a subscription into error: nothing is sent any more, what was not sent waits until the client asks for it
    /// again, and events are still counted.
    async fn bring_into_error(
        &self,
        tx: &mut Tx<'_>,
        found: &Subscription,
        failure: &str,
    ) -> Result<(), DbError> {
        let at = (&found.access(), &*found.id, found.version);
        if let Some(version) = self.write_status(tx, at, SubscriptionStatus::Error, Some(failure)).await? {
            subscription::fail(tx, found, version, failure).await?;
        }
        call_back(tx, found, "", self.clock.now()).await
    }
}

/// Calls off the notifications of a subscription that nobody has begun to send; their events wait again. Those whose
/// ordering key is `but` stay.
async fn call_back(tx: &mut Tx<'_>, found: &Subscription, but: &str, now: Timestamp) -> Result<(), DbError> {
    let below = order_of(&found.tenant, &found.id);
    let order = Order { below: &below, but };
    let called_off = delivery::cancel_ordered(tx, &found.access(), order, CallOff::Idle, now).await?;
    for followed_by in called_off {
        let rest = followed_by.strip_prefix("Subscription/").unwrap_or_default();
        if let Some((_, _, Purpose::Events(told))) = Purpose::parse(rest) {
            subscription::untell(tx, found, told.range, told.at).await?;
        }
    }
    Ok(())
}

/// A Subscription was deleted: nothing of it stays, and nothing is sent any more.
pub(super) async fn stop(tx: &mut Tx<'_>, access: &Access, id: &str, now: Timestamp) -> Result<(), DbError> {
    subscription::forget(tx, access, id).await?;
    stop_sending(tx, access, id, now).await
}

/// Calls off all notifications of a subscription that have not arrived.
async fn stop_sending(tx: &mut Tx<'_>, access: &Access, id: &str, now: Timestamp) -> Result<(), DbError> {
    let below = order_of(access.tenant(), id);
    let order = Order { below: &below, but: "" };
    delivery::cancel_ordered(tx, access, order, CallOff::All, now).await.map(drop)
}

/// An errand about a subscription.
fn errand(found: &Subscription, errand: Errand, subject: String, due_at: Timestamp) -> NewItem {
    NewItem { tenant: found.tenant.clone(), owner: found.owner.clone(), errand, subject, version: 0, due_at }
}
