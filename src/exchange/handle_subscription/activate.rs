//! A Subscription was asked for: its endpoint is offered a handshake, and events are notified once it has answered.
//! What the client asked for before is over: notifications to the former endpoint are called back.

use std::sync::Arc;

use serde_json::Value;

use super::{Purpose, SUBSCRIPTION, call_back, timer_of};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::send_message::{Composed, Outgoing};
use crate::fhir;
use crate::id::NotificationId;
use crate::repository;
use crate::subscription::{
    self, NotificationType, PayloadContent, StatusReport, SubscriptionStatus, Terms, notification,
};

/// What a version of a Subscription asks for.
#[derive(Clone)]
struct Asked {
    access: Access,
    owner: String,
    id: String,
    version: u64,
    terms: Terms,
}

/// A version of a Subscription takes effect.
struct Taking {
    item: Item,
    asked: Asked,
    /// The handshake, and none if it is turned off.
    handshake: Option<Outgoing>,
    now: Timestamp,
}

impl Exchange {
    /// Lets a version of a Subscription take effect.
    pub(in crate::exchange) async fn offer_handshake(
        self: &Arc<Self>,
        item: &Item,
    ) -> Result<(), FollowError> {
        let Some((SUBSCRIPTION, id)) = item.resource() else { return Ok(self.forget(item).await?) };
        let access = item.access();
        let (current, known) = {
            let mut reader = self.db.reader().await?;
            let current = repository::read(&mut reader.tx(), &access, SUBSCRIPTION, id).await?;
            (current, subscription::find(&mut reader.tx(), &access, id).await?)
        };
        // A later version has an errand of its own, and of a deleted one nothing is left to do.
        let current = current.filter(|current| current.version == item.version);
        let Some((current, content)) = current.and_then(|found| Some((found.clone(), found.content?))) else {
            return Ok(self.forget(item).await?);
        };
        let tree: Value =
            fhir::parse(&content).map_err(|_| DbError::inconsistent("resource", "content", current.key))?;
        let is_off = tree["status"] == "off";
        // What was kept was read before; a configuration or a version of the program can have changed since.
        let refused = match subscription::read(&tree, &self.settings.fhir_base, current.last_updated) {
            Ok(terms) if is_off => Ok((terms, None)),
            Ok(terms) => self.subscriber(&terms.endpoint).map(|partner| (terms, Some(partner.clone()))),
            Err(_) => Err("What the Subscription asks for is not served any more"),
        };
        let (terms, partner) = match refused {
            Ok(read) => read,
            Err(rule) => return self.decline(item, (id.to_owned(), current.version), rule).await,
        };
        let asked = Asked {
            access: access.clone(),
            owner: item.owner.clone(),
            id: id.to_owned(),
            version: current.version,
            terms,
        };
        let composed = match partner {
            None => None,
            Some(partner) => {
                let report = StatusReport {
                    base: &self.settings.fhir_base,
                    id,
                    status: SubscriptionStatus::Requested,
                    events: known.map_or(0, |known| known.events),
                    error: None,
                };
                let at = (NotificationId::new(), self.clock.now());
                let bundle =
                    notification(&report, NotificationType::Handshake, PayloadContent::Empty, &[], at);
                let of = (id, asked.version, &asked.terms);
                Some(self.compose_notification(&access, of, (&partner, Purpose::Handshake), bundle).await?)
            }
        };
        let taking = Taking {
            item: item.clone(),
            asked,
            handshake: composed.as_ref().map(Composed::outgoing),
            now: self.clock.now(),
        };
        let written = self.db.write(taking, |taking, tx| Box::pin(taking.write(tx))).await;
        if let Some(composed) = composed {
            composed.settle(&written, |is_true| *is_true).await;
        }
        self.deliveries.wake();
        Ok(written.map(|_| ())?)
    }

    /// A version of a Subscription that is not served: it is in error from its beginning.
    async fn decline(
        self: &Arc<Self>,
        item: &Item,
        (id, version): (String, u64),
        rule: &'static str,
    ) -> Result<(), FollowError> {
        let state = (self.clone(), item.clone(), id, version);
        let declined: Result<(), DbError> = self
            .db
            .write(state, move |(exchange, item, id, version), tx| {
                Box::pin(async move {
                    if agenda::done(tx, item).await? {
                        let at = (&item.access(), &**id, *version);
                        exchange.write_status(tx, at, SubscriptionStatus::Error, Some(rule)).await?;
                    }
                    Ok(())
                })
            })
            .await;
        Ok(declined?)
    }
}

impl Taking {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        let Asked { access, owner, id, version, terms } = &self.asked;
        if !agenda::done(tx, &self.item).await? {
            return Ok(false);
        }
        if let Some(before) = subscription::find(tx, access, id).await? {
            call_back(tx, &before, "", self.now).await?;
        }
        let status = match self.handshake {
            Some(_) => SubscriptionStatus::Requested,
            None => SubscriptionStatus::Off,
        };
        if !subscription::put(tx, (access, owner), (id, *version), status, terms).await? {
            return Ok(false);
        }
        let Some(handshake) = &self.handshake else { return Ok(true) };
        handshake.write(tx, self.now).await?;
        if let Some(end) = terms.end {
            let expire = NewItem {
                tenant: access.tenant().to_owned(),
                owner: owner.clone(),
                errand: Errand::Expire,
                subject: timer_of(id, *version),
                version: *version,
                due_at: end,
            };
            agenda::add(tx, &[expire]).await?;
        }
        Ok(true)
    }
}
