//! `Idempotency-Key`s of submissions that are still being received.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::Access;

type Key = (String, Option<String>, String);

/// The keys in use. A second request with one of them is told to come back later.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningKeys(Arc<Mutex<HashSet<Key>>>);

/// A key in use; free again when dropped.
#[derive(Debug)]
pub(super) struct RunningKey {
    running: RunningKeys,
    key: Key,
}

impl RunningKeys {
    /// Takes a key of this caller; `None` while somebody has it.
    pub(super) fn begin(&self, access: &Access, key: &str) -> Option<RunningKey> {
        let key = (access.tenant().to_owned(), access.owner().map(str::to_owned), key.to_owned());
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        free.then(|| RunningKey { running: self.clone(), key })
    }
}

impl Drop for RunningKey {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
