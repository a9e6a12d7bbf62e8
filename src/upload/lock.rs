//! One writer per upload within this process. A newcomer waits for the holder, unless that one waits for bytes that do
//! not come: then the holder is asked to stop, saves the prefix it has and lets go, so that a client that comes back
//! after its line broke does not wait for the old connection's timeout (dex-upload T-35). HEAD needs no lock at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::id::UploadId;

/// A holder that has received nothing for so long is stalled, and gives way to a newcomer.
const STALLED: Duration = Duration::from_secs(2);

/// The uploads that are being written.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<HashMap<UploadId, Held>>,
}

#[derive(Debug, Clone)]
struct Held {
    /// Cancelled by a newcomer: stop, save, let go.
    stop: CancellationToken,
    /// Cancelled when the lock is free again.
    free: CancellationToken,
    /// Since when the holder waits for bytes of its client; `None` while it works.
    waiting_since: Arc<Mutex<Option<Instant>>>,
}

impl Held {
    fn waiting_since(&self) -> Option<Instant> {
        *self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the holder is stalled; never if it goes on.
    async fn stalled(&self) {
        loop {
            let stalled = match self.waiting_since() {
                Some(since) if since.elapsed() >= STALLED => return,
                Some(since) => since + STALLED,
                None => Instant::now() + STALLED,
            };
            tokio::time::sleep_until(stalled).await;
        }
    }
}

/// The right to write one upload; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    locks: Arc<Locks>,
    id: UploadId,
    held: Held,
}

impl Locks {
    /// Takes the lock if nobody has it.
    pub(crate) fn take_free(self: &Arc<Self>, id: UploadId) -> Option<Lock> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(&id) {
            return None;
        }
        let mine = Held {
            stop: CancellationToken::new(),
            free: CancellationToken::new(),
            waiting_since: Arc::default(),
        };
        held.insert(id, mine.clone());
        Some(Lock { locks: self.clone(), id, held: mine })
    }

    /// Takes the lock as soon as its holder lets go, or is stalled and stops. `None` if neither is so within
    /// `patience`.
    pub(crate) async fn take(self: &Arc<Self>, id: UploadId, patience: Duration) -> Option<Lock> {
        let taken = async {
            loop {
                if let Some(lock) = self.take_free(id) {
                    return lock;
                }
                // It may have let go between the two looks.
                let Some(holder) = self.holder(id) else { continue };
                tokio::select! {
                    () = holder.free.cancelled() => {}
                    () = holder.stalled() => {
                        holder.stop.cancel();
                        holder.free.cancelled().await;
                    }
                }
            }
        };
        tokio::time::timeout(patience, taken).await.ok()
    }

    /// Takes the lock, asking a holder to stop whatever it is at, and waiting at most `patience` for it. `None` if it
    /// did not.
    pub(crate) async fn seize(self: &Arc<Self>, id: UploadId, patience: Duration) -> Option<Lock> {
        let taken = async {
            loop {
                if let Some(lock) = self.take_free(id) {
                    return lock;
                }
                if let Some(holder) = self.holder(id) {
                    holder.stop.cancel();
                    holder.free.cancelled().await;
                }
            }
        };
        tokio::time::timeout(patience, taken).await.ok()
    }

    fn holder(&self, id: UploadId) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

impl Lock {
    /// Resolves when the holder is to stop, because somebody else wants the upload.
    pub(crate) async fn wanted(&self) {
        self.held.stop.cancelled().await;
    }

    /// Whether the holder is to stop.
    pub(crate) fn is_wanted(&self) -> bool {
        self.held.stop.is_cancelled()
    }

    /// Notes that the holder waits for bytes of its client from now on, unless it does so already.
    pub(crate) fn waits(&self) {
        let mut since = self.held.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now);
    }

    /// Notes that bytes have come, or that no more are waited for.
    pub(crate) fn works(&self) {
        *self.held.waiting_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locks.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.held.free.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_removes_an_upload_waits_only_until_the_holder_lets_go() {
        let locks = Arc::new(Locks::default());
        let (id, patience) = (UploadId::new(), Duration::from_mins(1));
        let holder = locks.take(id, patience).await.expect("it is free");
        let newcomer = locks.seize(id, patience);
        let releasing = async {
            holder.wanted().await;
            drop(holder);
        };
        let (newcomer, ()) = tokio::join!(newcomer, releasing);
        assert!(newcomer.is_some());
    }

    /// T-35
    #[tokio::test(start_paused = true)]
    async fn t_35_a_holder_that_moves_or_works_is_waited_for_and_one_that_is_stalled_is_stopped() {
        let locks = Arc::new(Locks::default());
        let (id, patience) = (UploadId::new(), Duration::from_secs(10));
        let holder = locks.take(id, patience).await.expect("it is free");
        // It writes for long: nobody has been waited for.
        assert!(locks.take(id, patience).await.is_none());
        let moving = async {
            for _ in 0..15 {
                holder.waits();
                tokio::time::sleep(Duration::from_secs(1)).await;
                holder.works();
            }
        };
        let (newcomer, ()) = tokio::join!(locks.take(id, patience), moving);
        assert!(newcomer.is_none() && !holder.is_wanted());

        let begun = Instant::now();
        holder.waits();
        let stalling = async {
            holder.wanted().await;
            assert!(begun.elapsed() >= STALLED);
            // What is waited for already is not waited for anew.
            holder.waits();
            drop(holder);
        };
        let (newcomer, ()) = tokio::join!(locks.take(id, patience), stalling);
        assert!(newcomer.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_does_not_stop_keeps_the_lock() {
        let locks = Arc::new(Locks::default());
        let id = UploadId::new();
        let holder = locks.take(id, Duration::from_secs(1)).await;
        assert!(locks.seize(id, Duration::from_secs(10)).await.is_none());
        assert!(locks.seize(UploadId::new(), Duration::from_secs(1)).await.is_some());
        drop(holder);
        assert!(locks.seize(id, Duration::from_secs(1)).await.is_some());
    }
}
