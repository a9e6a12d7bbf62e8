//! One writer per upload within this process. A newcomer asks the holder to stop: the holder saves the
//! prefix it has and lets go, so that a client that comes back after its line broke does not wait for the
//! old connection's timeout. HEAD needs no lock at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::id::UploadId;

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
        let mine = Held { stop: CancellationToken::new(), free: CancellationToken::new() };
        held.insert(id, mine.clone());
        Some(Lock { locks: self.clone(), id, held: mine })
    }

    /// Takes the lock, asking a holder to stop and waiting at most `patience` for it. `None` if it did not.
    pub(crate) async fn take(self: &Arc<Self>, id: UploadId, patience: Duration) -> Option<Lock> {
        let taken = async {
            loop {
                if let Some(lock) = self.take_free(id) {
                    return lock;
                }
                let holder = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
                // It may have let go between the two looks.
                if let Some(holder) = holder {
                    holder.stop.cancel();
                    holder.free.cancelled().await;
                }
            }
        };
        tokio::time::timeout(patience, taken).await.ok()
    }
}

impl Lock {
    /// Resolves when somebody else wants the upload.
    pub(crate) async fn wanted(&self) {
        self.held.stop.cancelled().await;
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
    async fn a_newcomer_waits_until_the_holder_lets_go() {
        let locks = Arc::new(Locks::default());
        let (id, patience) = (UploadId::new(), Duration::from_mins(1));
        let holder = locks.take(id, patience).await.expect("it is free");
        let newcomer = locks.take(id, patience);
        let releasing = async {
            holder.wanted().await;
            drop(holder);
        };
        let (newcomer, ()) = tokio::join!(newcomer, releasing);
        assert!(newcomer.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_does_not_stop_keeps_the_lock() {
        let locks = Arc::new(Locks::default());
        let id = UploadId::new();
        let holder = locks.take(id, Duration::from_secs(1)).await;
        assert!(locks.take(id, Duration::from_secs(10)).await.is_none());
        assert!(locks.take(UploadId::new(), Duration::from_secs(1)).await.is_some());
        drop(holder);
        assert!(locks.take(id, Duration::from_secs(1)).await.is_some());
    }
}
