//! Worker: does what the agenda says. Each errand is a use case of its own; here is when they run, side by side, and
//! what happens when one fails: it is tried again, later and later, and never forgotten.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Exchange;
use super::interaction::Requester;
use crate::agenda::{self, Errand, Item, Pool};
use crate::auth::{Access, Caller};
use crate::db::DbError;
use crate::id::RequestId;

/// How long an item belongs to whoever took it without a sign of life: so long it waits where a gateway was killed and
/// others share its database.
const LEASE: Duration = Duration::from_secs(15);
/// How often an errand that goes on gives one.
const RENEWAL: Duration = Duration::from_secs(5);
/// How often the agenda is looked at when nobody says that something is due.
const POLL: Duration = Duration::from_millis(500);
/// The wait after the first failure; doubled with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// An errand could not be done now. What can never be done is no error: the errand settles it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Something that is needed is not to be had now; the text names it.
    #[error("{0}")]
    Unavailable(String),
}

impl Exchange {
    /// Works until `stop` is cancelled; what has begun is finished.
    pub(crate) async fn follow_agenda(self: Arc<Self>, stop: CancellationToken) {
        let slots = Pool::ALL.map(|pool| (pool, Arc::new(Semaphore::new(pool.slots()))));
        while !stop.is_cancelled() {
            let woken = self.agenda.woken();
            tokio::pin!(woken);
            let free = slots.each_ref().map(|(pool, slots)| (*pool, slots.available_permits()));
            let taken = self.take_due(free).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the agenda cannot be read");
                free.map(|_| Vec::new())
            });
            let mut is_all = true;
            for (items, (_, slots)) in taken.into_iter().zip(&slots) {
                is_all &= items.len() < slots.available_permits().max(1);
                for item in items {
                    // Only this loop takes permits, and it took no more items than there were.
                    let Ok(permit) = slots.clone().acquire_owned().await else { return };
                    let exchange = self.clone();
                    self.tracker.spawn(async move {
                        exchange.follow(item).await;
                        drop(permit);
                        // What waited behind it may be due now.
                        exchange.agenda.wake();
                    });
                }
            }
            if is_all {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut woken => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
    }

    /// Takes what is due of each pool, as much as it has free slots for.
    async fn take_due<const N: usize>(&self, free: [(Pool, usize); N]) -> Result<[Vec<Item>; N], DbError> {
        if free.iter().all(|(_, free)| *free == 0) {
            return Ok(free.map(|_| Vec::new()));
        }
        let now = self.clock.now();
        // To look costs less than a transaction, and most of the time there is nothing.
        if !agenda::is_any_due(&mut self.db.reader().await?.tx(), now).await? {
            return Ok(free.map(|_| Vec::new()));
        }
        self.db
            .write((), move |(), tx| {
                Box::pin(async move {
                    let mut taken = free.map(|_| Vec::new());
                    for (taken, (pool, free)) in taken.iter_mut().zip(free) {
                        let limit = u32::try_from(free).unwrap_or(u32::MAX);
                        *taken = agenda::take_of(tx, pool, now, LEASE, limit).await?;
                    }
                    Ok(taken)
                })
            })
            .await
    }

    /// Who an errand is done for, as one who asks.
    pub(super) fn requester_of(&self, item: &Item) -> Requester {
        self.requester(&item.access())
    }

    /// The gateway itself as one who asks, with the eyes of whoever it works for.
    pub(super) fn requester(&self, access: &Access) -> Requester {
        Requester {
            caller: Caller::of_worker(access),
            request_id: RequestId::new().to_string(),
            base: self.settings.fhir_base.clone(),
        }
    }

    /// Does one errand, or puts it off.
    pub(super) async fn follow(self: &Arc<Self>, item: Item) {
        let span = tracing::info_span!("errand", errand = item.errand.as_str(), item = item.number());
        let running = AssertUnwindSafe(Box::pin(self.run(&item)).instrument(span.clone())).catch_unwind();
        let panicked = |_| Err(FollowError::Unavailable("the errand ended unexpectedly".to_owned()));
        let failed = self.hold(&item, running.map(|ran| ran.unwrap_or_else(panicked))).await;
        let Err(error) = failed else { return };
        let wait = FIRST_WAIT.saturating_mul(1 << item.attempts.min(16)).min(LONGEST_WAIT);
        span.in_scope(
            || tracing::warn!(%error, attempts = item.attempts + 1, "the errand failed and is repeated"),
        );
        let due_at = self.clock.now().after(wait);
        let put_off: Result<bool, DbError> =
            self.db.write(item, move |item, tx| Box::pin(agenda::failed(tx, item, due_at))).await;
        if let Err(error) = put_off {
            // Its lease ends, and then it is taken again.
            tracing::warn!(%error, "the errand cannot be put off");
        }
    }

    /// Renews the lease of an item as long as the work on it goes on.
    async fn hold(
        &self,
        item: &Item,
        work: impl Future<Output = Result<(), FollowError>>,
    ) -> Result<(), FollowError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(RENEWAL) => {
                    let taken_until = self.clock.now().after(LEASE);
                    let renewed: Result<(), DbError> = self
                        .db
                        .write(item.clone(), move |item, tx| Box::pin(agenda::renew(tx, item, taken_until)))
                        .await;
                    if let Err(error) = renewed {
                        // If the lease ends, what the work writes does not fit any more, and it is done again.
                        tracing::warn!(%error, "the lease of an errand cannot be renewed");
                    }
                }
            }
        }
    }

    async fn run(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        match item.errand {
            Errand::AnswerTask => self.answer_task(item).await,
            Errand::RemindTask => self.remind_task(item).await,
            Errand::Associate => self.associate(item).await,
            Errand::ForwardPush => self.forward_push(item).await,
            Errand::ConcatenateUpload => self.join_parts(item).await,
            Errand::ScanUpload => self.scan_upload(item).await,
            Errand::FollowDelivery => self.follow_delivery(item).await,
            Errand::SubmitAttachments => self.submit_attachments(item).await,
            Errand::MatchDocument => self.match_document(item).await,
            Errand::LookAgain => self.look_again(item).await,
            Errand::Poll => self.poll(item).await,
            Errand::CollectOutputs => self.collect_outputs(item).await,
            Errand::Handshake => self.offer_handshake(item).await,
            Errand::Notify => self.count_events(item).await,
            Errand::Tell => self.tell_events(item).await,
            Errand::Heartbeat => self.send_heartbeat(item).await,
            Errand::Expire => self.expire_subscription(item).await,
        }
    }
}
