//! Events, in two steps that each are one unit: a version of a Task is counted as an event of every subscription that
//! it concerns, and events that wait are put into notifications. As long as a subscription is active and events of it
//! wait, there is an errand to tell them: so none is lost, and as none is told that is told already, none is sent
//! twice. Notifications go in the order of their events: one that cannot arrive holds back the next ones until they are
//! called off, and what is told anew waits for what may still arrive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Purpose, SUBSCRIPTION, Told, call_back, errand, key_of, order_of, subject_of};
use crate::agenda::{self, Errand, Item};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::{self, Order};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::send_message::{Composed, Outgoing};
use crate::fhir;
use crate::id::NotificationId;
use crate::repository::{self, Change, StoredResource};
use crate::subscription::{
    self, Candidate, Event, Filter, NewEvent, NotificationType, NotifiedEvent, PayloadContent, Subscription,
    SubscriptionStatus, notification,
};

/// Notifications that are made in one unit at most.
const AT_ONCE: u32 = 16;

/// Events that a notification tells at most, whatever the subscriber allows.
const MOST_EVENTS: u32 = 100;

/// How often events are matched again when subscriptions change in between.
const ATTEMPTS: usize = 5;

/// How long to wait for an attempt that began before the client asked again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An event and the subscriptions that it concerns.
struct Counting {
    item: Item,
    event: NewEvent,
    concerned: Vec<Subscription>,
    now: Timestamp,
}

/// Why events were not counted.
#[derive(Debug, thiserror::Error)]
enum CountError {
    /// A subscription is not any more what it was when it was asked.
    #[error("a subscription has changed")]
    Changed,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Events and the notifications that tell them.
struct Telling {
    item: Item,
    subscription: Subscription,
    events: Vec<Event>,
    messages: Vec<Outgoing>,
    now: Timestamp,
}

impl Exchange {
    /// Counts a version of a Task as an event of every subscription that it concerns.
    pub(in crate::exchange) async fn count_events(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        for _ in 0..ATTEMPTS {
            let counting = self.counting(item).await?;
            let Some(counting) = counting.filter(|counting| !counting.concerned.is_empty()) else {
                return Ok(self.forget(item).await?);
            };
            match self.db.write(counting, |counting, tx| Box::pin(counting.write(tx))).await {
                Ok(()) => {
                    self.agenda.wake();
                    return Ok(());
                }
                Err(CountError::Changed) => {}
                Err(CountError::Db(error)) => return Err(error.into()),
            }
        }
        Err(FollowError::Unavailable("the subscriptions change all the time".to_owned()))
    }

    /// The event that a version of a Task is, and the subscriptions that it concerns.
    async fn counting(&self, item: &Item) -> Result<Option<Counting>, DbError> {
        let Some(("Task", id)) = item.resource() else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let started = subscription::started(&mut tx, &item.tenant).await?;
        if started.is_empty() {
            return Ok(None);
        }
        let access = item.access();
        let Some((current, version)) = version_of(&mut tx, &access, (id, item.version)).await? else {
            return Ok(None);
        };
        let is_create = version.change == Change::Create;
        let previous = match item.version.checked_sub(1) {
            Some(before) if !is_create => version_of(&mut tx, &access, (id, before)).await?,
            _ => None,
        };
        if !subscription::is_event(previous.as_ref().map(|(tree, _)| tree), &current) {
            return Ok(None);
        }
        let now = self.clock.now();
        let candidate = Candidate::new(&item.tenant, id, &current, &self.settings.fhir_base, now);
        // A subscription tells of nothing that its owner may not see.
        let mut visible: HashMap<String, bool> = HashMap::from([(item.owner.clone(), true)]);
        let mut concerned = Vec::new();
        for found in started {
            let is_visible = if let Some(known) = visible.get(&found.owner) {
                *known
            } else {
                let seen =
                    repository::read_version(&mut tx, &found.access(), "Task", id, item.version).await?;
                visible.insert(found.owner.clone(), seen.is_some());
                seen.is_some()
            };
            // What is kept was read before: a filter that cannot be read lets nothing pass.
            let filter =
                Filter::parse(found.terms.criteria.iter().map(String::as_str), &self.settings.fhir_base);
            if is_visible && filter.is_ok_and(|filter| filter.passes(&candidate)) {
                concerned.push(found);
            }
        }
        let event =
            NewEvent { task: id.to_owned(), version: item.version, is_create, at: version.last_updated };
        Ok(Some(Counting { item: item.clone(), event, concerned, now }))
    }

    /// Puts events that wait into notifications.
    pub(in crate::exchange) async fn tell_events(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some((SUBSCRIPTION, id)) = item.resource() else { return Ok(self.forget(item).await?) };
        let access = item.access();
        let (found, waiting, is_before_under_way) = {
            let mut reader = self.db.reader().await?;
            let mut tx = reader.tx();
            let found = subscription::find(&mut tx, &access, id).await?;
            let Some(found) = found.filter(|found| found.status == SubscriptionStatus::Active) else {
                // Whoever makes it active again sees to what waits.
                drop(reader);
                return Ok(self.forget(item).await?);
            };
            let count = AT_ONCE * found.terms.max_count.min(MOST_EVENTS);
            let waiting = subscription::waiting(&mut tx, &access, id, count).await?;
            let (below, but) = orders_before(&found);
            let before = Order { below: &below, but: &but };
            (found, waiting, delivery::is_ordered_under_way(&mut tx, &access, before).await?)
        };
        if is_before_under_way {
            return self.wait_for_before(item, found).await;
        }
        if waiting.is_empty() {
            return Ok(self.forget(item).await?);
        }
        let partner = match self.subscriber(&found.terms.endpoint) {
            Ok(partner) => partner.clone(),
            Err(rule) => return self.give_up(item, found, rule).await,
        };
        let mut composed: Vec<Composed> = Vec::new();
        let size = usize::try_from(found.terms.max_count.min(MOST_EVENTS)).unwrap_or(1).max(1);
        let now = self.clock.now();
        // What an operator had sent again may have left a gap: a notification's range has none.
        let without_gaps = waiting.chunk_by(|one, next| one.number + 1 == next.number);
        for events in without_gaps.flat_map(|events| events.chunks(size)) {
            let (Some(first), Some(last)) = (events.first(), events.last()) else { continue };
            let told = self.notified(&found, found.terms.content, events).await?;
            let report = self.report(&found, last.number);
            let at = (NotificationId::new(), now);
            let kind = NotificationType::EventNotification;
            let bundle = notification(&report, kind, found.terms.content, &told, at);
            let of = (id, found.generation, &found.terms);
            let purpose = Purpose::Events(Told { range: (first.number, last.number), at: now });
            composed.push(self.compose_notification(&access, of, (&partner, purpose), bundle).await?);
        }
        let telling = Telling {
            item: item.clone(),
            subscription: found,
            events: waiting,
            messages: composed.iter().map(Composed::outgoing).collect(),
            now,
        };
        let written = self.db.write(telling, |telling, tx| Box::pin(telling.write(tx))).await;
        for composed in composed {
            composed.settle(&written, |is_true| *is_true).await;
        }
        self.deliveries.wake();
        Ok(written.map(|_| ())?)
    }

    /// Notifications from before the client asked again may still arrive, and events go in order. Those that nobody
    /// has begun to send are called off; for an attempt that is being made this waits, and looks again.
    async fn wait_for_before(self: &Arc<Self>, item: &Item, found: Subscription) -> Result<(), FollowError> {
        let now = self.clock.now();
        let written: Result<(), DbError> = self
            .db
            .write((item.clone(), found), move |(item, found), tx| {
                Box::pin(async move {
                    let access = found.access();
                    let present = subscription::find(tx, &access, &found.id).await?;
                    let is_present = present.is_some_and(|present| present.generation == found.generation);
                    let mut goes_on = false;
                    if is_present {
                        let (below, but) = orders_before(found);
                        call_back(tx, found, &but, now).await?;
                        let before = Order { below: &below, but: &but };
                        goes_on = delivery::is_ordered_under_way(tx, &access, before).await?;
                    }
                    let wait = if goes_on { LOOK_AGAIN } else { Duration::ZERO };
                    agenda::later(tx, item, now.after(wait)).await?;
                    Ok(())
                })
            })
            .await;
        self.agenda.wake();
        Ok(written?)
    }

    /// Events with as much of their Tasks as is told.
    pub(super) async fn notified(
        &self,
        found: &Subscription,
        content: PayloadContent,
        events: &[Event],
    ) -> Result<Vec<NotifiedEvent>, DbError> {
        let mut notified = Vec::with_capacity(events.len());
        for Event { number, event } in events {
            let resource = if content == PayloadContent::FullResource {
                let mut reader = self.db.reader().await?;
                let (mut tx, access) = (reader.tx(), found.access());
                let version = repository::read_version(&mut tx, &access, "Task", &event.task, event.version);
                version.await?.and_then(|version| version.content)
            } else {
                None
            };
            notified.push(NotifiedEvent {
                number: *number,
                at: event.at,
                task: event.task.clone(),
                is_create: event.is_create,
                resource,
            });
        }
        Ok(notified)
    }

    /// The endpoint may not be called any more.
    pub(super) async fn give_up(
        self: &Arc<Self>,
        item: &Item,
        found: Subscription,
        rule: &'static str,
    ) -> Result<(), FollowError> {
        let state = (self.clone(), item.clone(), found);
        let given_up: Result<(), DbError> = self
            .db
            .write(state, move |(exchange, item, found), tx| {
                Box::pin(async move {
                    if agenda::done(tx, item).await? {
                        exchange.bring_into_error(tx, found, rule).await?;
                    }
                    Ok(())
                })
            })
            .await;
        Ok(given_up?)
    }
}

impl Counting {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), CountError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(());
        }
        let mut due = Vec::new();
        for found in &self.concerned {
            let counted = subscription::count(tx, found, &self.event).await?;
            if counted.ok_or(CountError::Changed)?.is_first_to_tell {
                due.push(errand(found, Errand::Tell, subject_of(&found.id), self.now));
            }
        }
        Ok(agenda::add(tx, &due).await?)
    }
}

impl Telling {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(false);
        }
        let Some(left) = subscription::tell(tx, &self.subscription, &self.events, self.now).await? else {
            return Ok(false);
        };
        for message in &self.messages {
            message.write(tx, self.now).await?;
        }
        if left > 0 {
            let next = errand(&self.subscription, Errand::Tell, subject_of(&self.subscription.id), self.now);
            agenda::add(tx, &[next]).await?;
        }
        Ok(true)
    }
}

/// The messages of what a client asked for before: how their ordering keys begin, and the key that is not theirs.
fn orders_before(found: &Subscription) -> (String, String) {
    (order_of(&found.tenant, &found.id), key_of(&found.tenant, &found.id, found.generation))
}

/// A version of a Task, and what it says; none if it is not there or is a deletion.
async fn version_of(
    tx: &mut Tx<'_>,
    access: &Access,
    (id, version): (&str, u64),
) -> Result<Option<(Value, StoredResource)>, DbError> {
    let found = repository::read_version(tx, access, "Task", id, version).await?;
    let Some(found) = found else { return Ok(None) };
    let Some(content) = &found.content else { return Ok(None) };
    let tree = fhir::parse(content).map_err(|_| DbError::inconsistent("resource", "content", found.key))?;
    Ok(Some((tree, found)))
}
