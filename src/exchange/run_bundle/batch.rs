//! A batch: entries that know nothing of each other. Those that change things come before those that read, in the order
//! in which a transaction would have them; of one kind a few are done at once, so that they share commits.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use super::Performed;
use super::entry::Entry;
use crate::exchange::Exchange;
use crate::exchange::interaction::{Call, Done, InteractionError, Method, Requester};

/// Entries that are done at once.
const AT_ONCE: usize = 8;

/// The order of FHIR R4 http, transaction.
const TURNS: [&[Method]; 4] =
    [&[Method::Delete], &[Method::Post], &[Method::Put, Method::Patch], &[Method::Get]];

/// What came of an entry.
type Outcome = (Option<Method>, Result<Done, InteractionError>);

impl Exchange {
    /// Does each entry for itself; one that fails fails alone.
    pub(super) async fn run_batch(
        self: &Arc<Self>,
        requester: &Requester,
        entries: Vec<Entry>,
        strict: bool,
    ) -> Performed {
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(entries.len());
        let mut calls = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let method = entry.method();
            match entry.into_call(index, requester, strict) {
                Ok(call) => {
                    outcomes.push(None);
                    calls.push((index, call));
                }
                Err(error) => outcomes.push(Some((method, Err(error)))),
            }
        }
        for turn in TURNS {
            let (now, later) = calls.into_iter().partition(|(_, call)| turn.contains(&call.method));
            calls = later;
            let now: Vec<(usize, Call)> = now;
            let done = now.into_iter().map(|(index, call)| {
                let method = call.method;
                self.interact_alone(requester, call).map(move |done| {
                    let done = done.and_then(|done| self.may_tell_in_bundle(requester, done));
                    (index, (Some(method), done))
                })
            });
            let mut done = stream::iter(done).buffer_unordered(AT_ONCE);
            while let Some((index, outcome)) = done.next().await {
                outcomes[index] = Some(outcome);
            }
        }
        // Every method has its turn, so that every entry has its outcome.
        Performed { is_transaction: false, entries: outcomes.into_iter().flatten().collect() }
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
