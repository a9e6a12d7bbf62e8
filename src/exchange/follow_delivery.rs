//! A delivery that somebody waits for was settled: whoever it is goes on.

use std::sync::Arc;

use super::Exchange;
use super::follow_agenda::FollowError;
use super::request_partner;
use crate::agenda::{self, Errand, Item};
use crate::db::DbError;
use crate::delivery::{self, Attempt, Delivery};

/// A settled delivery and how its last attempt ended.
#[derive(Debug)]
pub(super) struct Settled {
    /// The delivery: delivered or dead.
    pub(super) delivery: Delivery,
    /// The last attempt; none if it was settled without one.
    pub(super) last: Option<Attempt>,
}

impl Exchange {
    /// Gives the outcome of a delivery to what `followed_by` names.
    pub(super) async fn follow_delivery(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some(settled) = self.settled(item).await? else { return Ok(self.forget(item).await?) };
        let followed_by = settled.delivery.followed_by.clone().unwrap_or_default();
        match followed_by.split_once('/') {
            Some(("Task", answer)) => self.follow_answer(item, &settled, answer).await,
            Some((request_partner::FOLLOWED_BY, id)) => self.request_settled(item, &settled, id).await,
            Some(("Subscription", rest)) => self.follow_notification(item, &settled, rest).await,
            _ => {
                tracing::error!("nobody knows what waits for this delivery");
                Ok(self.forget(item).await?)
            }
        }
    }

    async fn settled(&self, item: &Item) -> Result<Option<Settled>, DbError> {
        let Ok(id) = item.subject.parse() else { return Ok(None) };
        let access = item.access();
        let mut reader = self.db.reader().await?;
        let delivery = delivery::find(&mut reader.tx(), &access, id).await?;
        let Some(delivery) = delivery.filter(|delivery| !delivery.status.is_under_way()) else {
            return Ok(None);
        };
        let attempts = delivery::attempts(&mut reader.tx(), &access, delivery.upload_id).await?;
        let last = attempts.into_iter().rfind(|attempt| attempt.delivery_id == delivery.id);
        Ok(Some(Settled { delivery, last }))
    }

    /// Ends an errand that has no effect.
    pub(super) async fn forget(&self, item: &Item) -> Result<(), DbError> {
        let (item, now) = (item.clone(), self.clock.now());
        self.db
            .write(item, move |item, tx| {
                Box::pin(async move {
                    if agenda::done(tx, item).await? && item.errand == Errand::FollowDelivery {
                        delivery::followed(tx, &item.access(), &item.subject, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}
