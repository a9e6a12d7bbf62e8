//! The delivery of a request has ended: the partner has the Task and it is followed, or the request has failed.

use std::sync::Arc;

use super::{copy_to_change, keep_copy, pace, store};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::cdex::request::mirror;
use crate::db::DbError;
use crate::delivery::DeliveryStatus;
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::follow_delivery::Settled;

impl Exchange {
    /// Goes on with the request of this id.
    pub(in crate::exchange) async fn request_settled(
        self: &Arc<Self>,
        item: &Item,
        settled: &Settled,
        id: &str,
    ) -> Result<(), FollowError> {
        let access = item.access();
        let request = match id.parse() {
            Ok(id) => {
                let mut reader = self.db.reader().await?;
                store::find(&mut reader.tx(), &access, id).await?
            }
            Err(_) => None,
        };
        let Some(request) = request else { return Ok(self.forget(item).await?) };
        let is_taken = settled.delivery.status == DeliveryStatus::Delivered;
        let place = settled.delivery.location.as_deref().and_then(mirror::place_of);
        let now = self.clock.now();
        // Without an entry any more, the partner is looked after as soon as there is one.
        let poll_at =
            self.partners.named(&request.partner).map_or(now, |partner| pace(partner).first_look(now));
        let (exchange, requester) = (self.clone(), self.requester_of(item));
        let unit = (exchange, requester, item.clone(), request, place);
        self.db
            .write(unit, move |(exchange, requester, item, request, place), tx| {
                Box::pin(async move {
                    if !agenda::done(tx, item).await? {
                        return Ok::<_, DbError>(());
                    }
                    let access = requester.access();
                    let Some((stored, copy)) = copy_to_change(tx, &access, &request.task_id).await? else {
                        return Ok(());
                    };
                    if !is_taken {
                        if !mirror::is_over(&copy) {
                            let next = mirror::failed(&copy, mirror::UNDELIVERED, now);
                            keep_copy(tx, exchange, requester, (&stored, next)).await?;
                        }
                        return Ok(());
                    }
                    store::sent(tx, &access, request.id, place.as_deref(), (now, poll_at)).await?;
                    let timer = NewItem {
                        tenant: item.tenant.clone(),
                        owner: item.owner.clone(),
                        errand: Errand::Poll,
                        subject: request.id.to_string(),
                        version: 0,
                        due_at: poll_at,
                    };
                    agenda::add(tx, &[timer]).await?;
                    if let Some(next) = mirror::told(&copy, mirror::SENT, now) {
                        keep_copy(tx, exchange, requester, (&stored, next)).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}
