//! What follows a notification that arrived, or never will: a handshake makes its subscription active, and whatever did
//! not arrive brings it into error, from which only the client asks it back.

use std::sync::Arc;
use std::time::Duration;

use super::{Purpose, errand, subject_of, timer_of};
use crate::agenda::{self, Errand, Item};
use crate::db::{DbError, Tx};
use crate::delivery::{self, AttemptOutcome, DeliveryStatus};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::follow_delivery::Settled;
use crate::subscription::{self, Subscription, SubscriptionStatus};

/// How a notification ended.
struct Ended {
    exchange: Arc<Exchange>,
    item: Item,
    id: String,
    generation: u64,
    purpose: Purpose,
    /// Why it did not arrive; none if it did.
    failure: Option<String>,
}

impl Exchange {
    /// Draws the consequences of a notification that was settled; `rest` is what follows `Subscription/` in what it is
    /// followed by.
    pub(in crate::exchange) async fn follow_notification(
        self: &Arc<Self>,
        item: &Item,
        settled: &Settled,
        rest: &str,
    ) -> Result<(), FollowError> {
        let Some((id, generation, purpose)) = Purpose::parse(rest) else {
            return Ok(self.forget(item).await?);
        };
        let failure = match settled.delivery.status {
            DeliveryStatus::Delivered => None,
            DeliveryStatus::Dead => Some(told(settled)),
            DeliveryStatus::Pending
            | DeliveryStatus::Leased
            | DeliveryStatus::Waiting
            | DeliveryStatus::Cancelled
            | DeliveryStatus::Held => return Ok(self.forget(item).await?),
        };
        let id = id.to_owned();
        let ended = Ended { exchange: self.clone(), item: item.clone(), id, generation, purpose, failure };
        let written: Result<(), DbError> = self.db.write(ended, |ended, tx| Box::pin(ended.write(tx))).await;
        self.agenda.wake();
        Ok(written?)
    }
}

/// Why a notification did not arrive, in words of ours.
fn told(settled: &Settled) -> String {
    match settled.last.as_ref().map(|attempt| &attempt.outcome) {
        Some(AttemptOutcome::Failure { issue, .. }) => format!("A notification was not taken: {issue}"),
        Some(AttemptOutcome::Success { .. }) | None => "A notification was not taken".to_owned(),
    }
}

impl Ended {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(());
        }
        // In the commit that calls off what would go next.
        let (access, now) = (self.item.access(), self.exchange.clock.now());
        delivery::followed(tx, &access, &self.item.subject, now).await?;
        let found = subscription::find(tx, &access, &self.id).await?;
        // It may have been deleted, and another made under its id.
        let Some(found) = found.filter(|found| found.created_in <= self.generation) else { return Ok(()) };
        let is_present = found.generation == self.generation;
        match (&self.failure, self.purpose) {
            (None, Purpose::Handshake) if is_present => self.activate(tx, &found).await,
            (None, Purpose::Events(told)) if found.waiting > 0 => {
                subscription::arrived(tx, &found, told.range, now).await
            }
            (None, _) => Ok(()),
            (Some(failure), purpose) => {
                if let Purpose::Events(told) = purpose {
                    subscription::untell(tx, &found, told.range, told.at).await?;
                }
                match found.status {
                    SubscriptionStatus::Requested | SubscriptionStatus::Active if is_present => {
                        self.exchange.bring_into_error(tx, &found, failure).await
                    }
                    // It was asked for again while an earlier notification was on its way: that one's events are
                    // told anew.
                    SubscriptionStatus::Active => self.have_told(tx, &found).await,
                    SubscriptionStatus::Requested | SubscriptionStatus::Error | SubscriptionStatus::Off => {
                        Ok(())
                    }
                }
            }
        }
    }

    /// The endpoint has answered the handshake.
    async fn activate(&self, tx: &mut Tx<'_>, found: &Subscription) -> Result<(), DbError> {
        if found.status != SubscriptionStatus::Requested {
            return Ok(());
        }
        let at = (&found.access(), &*found.id, found.version);
        let version = self.exchange.write_status(tx, at, SubscriptionStatus::Active, None).await?;
        let Some(version) = version else { return Ok(()) };
        let now = self.exchange.clock.now();
        if !subscription::activate(tx, found, version, now).await? {
            return Err(DbError::inconsistent("subscription", "status", &found.id));
        }
        if found.terms.heartbeat_secs > 0 {
            let period = Duration::from_secs(found.terms.heartbeat_secs.into());
            let timer = timer_of(&found.id, found.generation);
            let heartbeat = errand(found, Errand::Heartbeat, timer, now.after(period));
            agenda::add(tx, &[heartbeat]).await?;
        }
        if found.waiting > 0 {
            self.have_told(tx, found).await?;
        }
        Ok(())
    }

    /// Sees to it that events which wait are told.
    async fn have_told(&self, tx: &mut Tx<'_>, found: &Subscription) -> Result<(), DbError> {
        let now = self.exchange.clock.now();
        agenda::add(tx, &[errand(found, Errand::Tell, subject_of(&found.id), now)]).await
    }
}
