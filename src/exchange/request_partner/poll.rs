//! The timer of a request: the Task at the partner is looked at, with those of other requests that are due too, and
//! each copy follows what was seen. A Task that is over is not looked at again; one that has outputs has them
//! collected.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::look::{Look, Seen};
use super::{CLAIM, PartnerRequest, copy_to_change, keep_copy, pace, store};
use crate::agenda::{self, Errand, Item, NewItem};
use crate::cdex::request::mirror;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::interaction::Requester;
use crate::partner::Partner;

/// Tasks that are looked at together.
const TOGETHER: u32 = 50;
/// How long a timer waits for another that has claimed its Task to say more.
const MOMENT: Duration = Duration::from_secs(1);

/// One request that was looked at.
struct Looked {
    request: PartnerRequest,
    seen: Seen,
    /// When it is looked at again, if it goes on.
    next: Timestamp,
}

/// What follows from what was seen.
enum Verdict {
    /// The copy is to become this, if anything changes, and the Task is looked at again.
    GoesOn(Option<Value>),
    /// The copy is to become this, if anything changes, and nobody looks any more.
    IsOver(Option<Value>),
    /// The copy is to become this, if anything changes, and the outputs are to be collected.
    HasOutputs(Option<Value>),
}

/// When a Task that is looked at now is to be looked at again.
fn next_look(
    partner: &Partner,
    request: &PartnerRequest,
    now: Timestamp,
    not_before: Option<Timestamp>,
) -> Timestamp {
    pace(partner).next_look(request.sent_at.unwrap_or(now), now, not_before)
}

impl Exchange {
    /// Looks after the Task of a request.
    pub(in crate::exchange) async fn poll(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let due = self.request_of(item).await?.and_then(|request| Some((request.poll_at?, request)));
        let Some((poll_at, request)) = due else { return Ok(self.forget(item).await?) };
        let now = self.clock.now();
        if poll_at > now {
            let partner = self.partner_of(&request)?;
            return self.put_off(item, &request, next_look(&partner, &request, now, None)).await;
        }
        self.look_after(item, &request, now).await
    }

    /// Looks after a Task that was due, and after those that are due with it. One that another timer has claimed in
    /// between is left to that; the others are looked at all the same, because they are claimed now.
    pub(super) async fn look_after(
        self: &Arc<Self>,
        item: &Item,
        request: &PartnerRequest,
        now: Timestamp,
    ) -> Result<(), FollowError> {
        let partner = self.partner_of(request)?;
        let claimed = self.claim_requests(item, request, now).await?;
        let mut look = match &partner.fhir_base {
            Some(base) => self.look(&partner, base, &claimed).await,
            None => Look::default(),
        };
        let not_before = look.wait.map(|wait| now.after(wait));
        let looked = claimed.into_iter().map(|request| {
            let next = next_look(&partner, &request, now, not_before);
            Looked { seen: look.take(request.id), request, next }
        });
        self.follow_tasks(item, &partner, looked.collect()).await
    }

    /// Lets a timer come back when its Task is to be looked at, but not after `latest`: what looks like that moment may
    /// be the end of another timer's claim, and that timer would look again by then, unless it looked for the last
    /// time.
    async fn put_off(
        &self,
        item: &Item,
        request: &PartnerRequest,
        latest: Timestamp,
    ) -> Result<(), FollowError> {
        let unit = (item.clone(), request.id);
        let put_off = self.db.write(unit, move |(item, id), tx| {
            Box::pin(async move {
                // Whoever hastens it meanwhile waits, and finds the item as it is put off here.
                let poll_at = store::hold(tx, &item.access(), *id).await?;
                agenda::later(tx, item, poll_at.map_or(latest, |poll_at| poll_at.min(latest))).await
            })
        });
        Ok(put_off.await.map(|_: bool| ())?)
    }

    async fn claim_requests(
        &self,
        item: &Item,
        request: &PartnerRequest,
        now: Timestamp,
    ) -> Result<Vec<PartnerRequest>, DbError> {
        let unit = (item.access(), request.partner.clone(), request.id);
        self.db
            .write(unit, move |(access, partner, id), tx| {
                Box::pin(store::claim(tx, access, (partner, *id), (now, now.after(CLAIM)), TOGETHER))
            })
            .await
    }

    /// Lets the copies follow what was seen. If the timer's own Task is not among them, because another has claimed it
    /// in between, the timer finds out in a moment when it is to come back.
    async fn follow_tasks(
        self: &Arc<Self>,
        item: &Item,
        partner: &Partner,
        looked: Vec<Looked>,
    ) -> Result<(), FollowError> {
        tracing::debug!(partner = %partner.name, tasks = looked.len(), "looked at Tasks");
        let unit = (self.clone(), self.requester_of(item), item.clone(), looked);
        let collects = self
            .db
            .write(unit, |(exchange, requester, item, looked), tx| {
                Box::pin(async move {
                    let own = looked.iter().find(|looked| looked.request.id.to_string() == item.subject);
                    let own_next = own.map_or_else(|| exchange.clock.now().after(MOMENT), |own| own.next);
                    if !agenda::later(tx, item, own_next).await? {
                        return Ok::<_, DbError>(false);
                    }
                    let mut collects = false;
                    for one in looked {
                        collects |= one.follow(tx, exchange, requester, item).await?;
                    }
                    Ok(collects)
                })
            })
            .await?;
        if collects {
            self.agenda.wake();
        }
        Ok(())
    }
}

impl Looked {
    /// Lets the copy follow; says whether outputs are to be collected.
    async fn follow(
        &self,
        tx: &mut Tx<'_>,
        exchange: &Exchange,
        requester: &Requester,
        item: &Item,
    ) -> Result<bool, DbError> {
        let access = requester.access();
        let now = exchange.clock.now();
        let copy = copy_to_change(tx, &access, &self.request.task_id).await?;
        let verdict = match &copy {
            Some((_, copy)) => self.verdict(copy, now),
            None => Verdict::IsOver(None),
        };
        let place = match &self.seen {
            Seen::Task(task) => task["id"].as_str().map(|id| format!("Task/{id}")),
            Seen::Gone | Seen::Nothing => None,
        };
        let goes_on = matches!(verdict, Verdict::GoesOn(_));
        let next = goes_on.then_some(self.next);
        let is_own = self.request.id.to_string() == item.subject;
        if !store::looked(tx, &access, &self.request, place.as_deref(), next).await? {
            // Somebody wants it looked at again, or looks already: the timer finds out.
            if is_own {
                agenda::later(tx, item, now).await?;
            }
            return Ok(false);
        }
        let collects = matches!(verdict, Verdict::HasOutputs(_));
        if collects {
            let errand = NewItem {
                tenant: item.tenant.clone(),
                owner: item.owner.clone(),
                errand: Errand::CollectOutputs,
                subject: self.request.id.to_string(),
                version: 0,
                due_at: now,
            };
            agenda::add(tx, &[errand]).await?;
        }
        if !goes_on && is_own {
            agenda::done(tx, item).await?;
        }
        let (Verdict::GoesOn(next) | Verdict::IsOver(next) | Verdict::HasOutputs(next)) = verdict;
        if let (Some(next), Some((stored, _))) = (next, copy) {
            keep_copy(tx, exchange, requester, (&stored, next)).await?;
        }
        Ok(collects)
    }

    fn verdict(&self, copy: &Value, now: Timestamp) -> Verdict {
        if mirror::is_over(copy) {
            return Verdict::IsOver(None);
        }
        match &self.seen {
            Seen::Nothing => Verdict::GoesOn(mirror::told(copy, mirror::UNREACHABLE, now)),
            Seen::Gone => Verdict::IsOver(Some(mirror::failed(copy, mirror::LOST, now))),
            Seen::Task(task) if task["status"] == "completed" && mirror::has_outputs(task) => {
                Verdict::HasOutputs(mirror::told(copy, mirror::COLLECTING, now))
            }
            Seen::Task(task) => match mirror::followed(copy, task, now) {
                Some(next) if mirror::is_over(&next) => Verdict::IsOver(Some(next)),
                next => Verdict::GoesOn(next),
            },
        }
    }
}
