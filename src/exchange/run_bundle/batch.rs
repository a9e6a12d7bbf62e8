//! A batch: entries that know nothing of each other, done one after the other.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Performed;
use super::entry::Entry;
use crate::exchange::Exchange;
use crate::exchange::interaction::{Call, Done, InteractionError, Requester};

impl Exchange {
    /// Does each entry for itself; one that fails fails alone.
    pub(super) async fn run_batch(
        self: &Arc<Self>,
        requester: &Requester,
        entries: Vec<Entry>,
        strict: bool,
    ) -> Performed {
        let mut performed = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let method = entry.method();
            let done = match entry.into_call(index, requester, strict) {
                Ok(call) => self.interact_alone(requester, call).await,
                Err(error) => Err(error),
            };
            performed.push((method, done));
        }
        Performed { is_transaction: false, entries: performed }
    }

    /// One entry. Its type is written out, because an interaction can be a batch as far as the compiler knows.
    fn interact_alone<'a>(
        self: &'a Arc<Self>,
        requester: &'a Requester,
        call: Call,
    ) -> BoxFuture<'a, Result<Done, InteractionError>> {
        self.interact(requester, call).boxed()
    }
}
