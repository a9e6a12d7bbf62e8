//! Timers of a subscription: a notification without events when there was none for a while, and its end.

use std::sync::Arc;
use std::time::Duration;

use super::{Purpose, SUBSCRIPTION, order_of, stop_sending};
use crate::agenda::{self, Item};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::{self, Order};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::send_message::Outgoing;
use crate::id::NotificationId;
use crate::subscription::{
    self, NotificationType, PayloadContent, Subscription, SubscriptionStatus, notification,
};

/// A heartbeat that is due.
struct Beat {
    item: Item,
    subscription: Subscription,
    message: Outgoing,
    now: Timestamp,
    next: Timestamp,
}

impl Exchange {
    /// Sends a heartbeat if nothing was sent for its period, and looks again after that.
    pub(in crate::exchange) async fn send_heartbeat(
        self: &Arc<Self>,
        item: &Item,
    ) -> Result<(), FollowError> {
        let found = self.timed(item).await?;
        let found = found
            .filter(|found| found.status == SubscriptionStatus::Active && found.terms.heartbeat_secs > 0);
        let Some(found) = found else { return Ok(self.forget(item).await?) };
        let period = Duration::from_secs(found.terms.heartbeat_secs.into());
        let now = self.clock.now();
        let next = found.told_at.map_or(now, |told| told.after(period));
        let order = order_of(&found.tenant, &found.id);
        let is_under_way = {
            let mut reader = self.db.reader().await?;
            let order = Order { below: &order, but: "" };
            delivery::is_ordered_under_way(&mut reader.tx(), &found.access(), order).await?
        };
        // A notification that has not arrived yet is one that the subscriber will hear.
        if next > now || is_under_way {
            let next = if next > now { next } else { now.after(period) };
            let item = item.clone();
            let later = self.db.write(item, move |item, tx| Box::pin(agenda::later(tx, item, next)));
            return Ok(later.await.map(|_: bool| ())?);
        }
        let partner = match self.subscriber(&found.terms.endpoint) {
            Ok(partner) => partner.clone(),
            Err(rule) => return self.give_up(item, found, rule).await,
        };
        let report = self.report(&found, found.events);
        let kind = NotificationType::Heartbeat;
        let bundle = notification(&report, kind, PayloadContent::Empty, &[], (NotificationId::new(), now));
        let access = found.access();
        let of = (&*found.id, found.generation, &found.terms);
        let composed = self.compose_notification(&access, of, (&partner, Purpose::Heartbeat), bundle).await?;
        let beat = Beat {
            item: item.clone(),
            message: composed.outgoing(),
            next: now.after(period),
            subscription: found,
            now,
        };
        let written = self.db.write(beat, |beat, tx| Box::pin(beat.write(tx))).await;
        composed.settle(&written, |is_true| *is_true).await;
        self.deliveries.wake();
        Ok(written.map(|_| ())?)
    }

    /// Turns a subscription off whose end has come.
    pub(in crate::exchange) async fn expire_subscription(
        self: &Arc<Self>,
        item: &Item,
    ) -> Result<(), FollowError> {
        let Some(found) = self.timed(item).await? else { return Ok(self.forget(item).await?) };
        let state = (self.clone(), item.clone(), found);
        let expired: Result<(), DbError> = self
            .db
            .write(state, |(exchange, item, found), tx| {
                Box::pin(async move {
                    if !agenda::done(tx, item).await? {
                        return Ok(());
                    }
                    let at = (&found.access(), &*found.id, found.version);
                    let version = exchange.write_status(tx, at, SubscriptionStatus::Off, None).await?;
                    let Some(version) = version else { return Ok(()) };
                    subscription::turn_off(tx, found, version).await?;
                    stop_sending(tx, &found.access(), &found.id, exchange.clock.now()).await
                })
            })
            .await;
        Ok(expired?)
    }

    /// The subscription that a timer is about, unless the client has asked for something else since.
    async fn timed(&self, item: &Item) -> Result<Option<Subscription>, DbError> {
        let Some((SUBSCRIPTION, rest)) = item.resource() else { return Ok(None) };
        let Some((id, generation)) = rest.split_once('/') else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        let found = subscription::find(&mut reader.tx(), &item.access(), id).await?;
        Ok(found.filter(|found| generation.parse() == Ok(found.generation)))
    }
}

impl Beat {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        if !agenda::later(tx, &self.item, self.next).await? {
            return Ok(false);
        }
        if !subscription::heartbeat(tx, &self.subscription, self.now).await? {
            return Ok(false);
        }
        self.message.write(tx, self.now).await?;
        Ok(true)
    }
}
