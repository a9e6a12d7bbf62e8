//! An operator's repeat of many deliveries at once, by where they stand and what they carry (D-06, dex-upload W-39). A
//! dry run says what would be done and does nothing.

use super::Exchange;
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Caller;
use crate::db::DbError;
use crate::delivery::{self, DeliveryFilter, FoundDelivery};
use crate::id::DeliveryId;

/// Deliveries that one commit queues.
const PER_COMMIT: u32 = 200;

/// What became of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It is made again; in a dry run it would be.
    Queued,
    /// It was queued by somebody else in the meantime, or its bytes are gone.
    Overtaken,
    /// The configuration has no such target for uploads: it was removed, or it is a partner, whose Task or
    /// Subscription decides what is sent again.
    NoSuchTarget,
    /// The upload is not whole any more.
    NoBytes,
}

impl Repeat {
    /// The word in the answer.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Overtaken => "overtaken",
            Self::NoSuchTarget => "no-such-target",
            Self::NoBytes => "no-bytes",
        }
    }
}

/// What a repeat of many came to.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    /// Each delivery that was looked at.
    pub(crate) deliveries: Vec<(FoundDelivery, Repeat)>,
    /// The last of them, if there are more behind it than were asked for.
    pub(crate) next: Option<DeliveryId>,
}

impl Exchange {
    /// Queues the deliveries that a filter means, at most `limit` of them from the one behind `after` on. The filter
    /// must mean none that are under way.
    ///
    /// *Cancellation*: what was committed stays queued. *Idempotence*: what is queued is not meant any more.
    pub(crate) async fn redeliver_many(
        &self,
        caller: &Caller,
        request_id: &str,
        filter: &DeliveryFilter,
        (mut after, limit): (Option<DeliveryId>, u32),
        is_dry_run: bool,
    ) -> Result<Repeats, DbError> {
        let access = caller.access();
        let (mut repeats, mut left) = (Repeats::default(), limit);
        while left > 0 {
            let page = self.find_deliveries(&access, filter, after, left.min(PER_COMMIT)).await?;
            left = left.saturating_sub(u32::try_from(page.found.len()).unwrap_or(u32::MAX));
            repeats.deliveries.extend(if is_dry_run {
                page.found.into_iter().map(|found| self.with_prospect(found)).collect()
            } else {
                self.queue(caller, request_id, page.found).await?
            });
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        repeats.next = after;
        Ok(repeats)
    }

    /// A delivery, and whether it can be made again.
    fn with_prospect(&self, found: FoundDelivery) -> (FoundDelivery, Repeat) {
        let repeat = if !self.rules.current().routing.targets().contains_key(&found.delivery.target) {
            Repeat::NoSuchTarget
        } else if found.is_complete {
            Repeat::Queued
        } else {
            Repeat::NoBytes
        };
        (found, repeat)
    }

    /// Queues what can be, with its audit rows, in one commit.
    async fn queue(
        &self,
        caller: &Caller,
        request_id: &str,
        found: Vec<FoundDelivery>,
    ) -> Result<Vec<(FoundDelivery, Repeat)>, DbError> {
        let now = self.clock.now();
        let entry = |found: &FoundDelivery| Entry {
            tenant: caller.tenant().to_owned(),
            owner: caller.id().to_owned(),
            at: now,
            action: "redeliver",
            outcome: AuditOutcome::Success,
            entity: Some(found.delivery.upload_id.to_string()),
            detail: Vec::new(),
            request_id: Some(request_id.to_owned()),
        };
        let mut prospects: Vec<_> = found.into_iter().map(|found| self.with_prospect(found)).collect();
        let wanted: Vec<(DeliveryId, Entry)> = prospects
            .iter()
            .filter(|(_, repeat)| *repeat == Repeat::Queued)
            .map(|(found, _)| (found.delivery.id, entry(found)))
            .collect();
        let overtaken: Vec<DeliveryId> = self
            .db
            .write((wanted, caller.access()), move |(wanted, access), tx| {
                Box::pin(async move {
                    let mut overtaken = Vec::new();
                    for (id, entry) in wanted {
                        if delivery::requeue(tx, access, *id, now).await? {
                            audit::record(tx, entry).await?;
                        } else {
                            overtaken.push(*id);
                        }
                    }
                    Ok::<_, DbError>(overtaken)
                })
            })
            .await?;
        self.deliveries.wake();
        for (found, repeat) in &mut prospects {
            if overtaken.contains(&found.delivery.id) {
                *repeat = Repeat::Overtaken;
            }
        }
        Ok(prospects)
    }
}
