//! The Data Consumer: a partner is asked for data or attachments by a Task of ours, and what it answers is kept.
//!
//! `Task/$request` builds the Task, keeps our own copy of it and sends it as a message of the one pipeline, all in one
//! unit ([`send`]); [`settle`] goes on once the partner has it or has refused it. From then on a timer looks after the
//! Task ([`poll`], by [`look`]; at once where a notification says so, [`notify`]) and lets the copy follow; once it is
//! completed, [`collect`] fetches the outputs ([`gather`]) and makes them resources of ours with their Provenance, in
//! the unit that completes the copy. Each step is an item of the agenda that goes in the unit of its effect: a crash
//! repeats a step and never its effect.

mod collect;
mod gather;
mod look;
mod notify;
mod poll;
mod send;
mod settle;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;

use super::Exchange;
use super::follow_agenda::FollowError;
use super::interaction::Requester;
use super::store_resource::Received;
use crate::agenda::Item;
use crate::audit;
use crate::auth::Access;
use crate::cdex::request::schedule::PollPace;
use crate::clock::Timestamp;
use crate::config::PollingConfig;
use crate::db::{DbError, Tx};
use crate::fhir;
use crate::id::TaskRequestId;
use crate::partner::Partner;
use crate::repository::{self, Draft, Kept, Precondition, StoredResource};

/// What the outcome of a request's delivery is followed by: this word, and the request's id.
pub(super) const FOLLOWED_BY: &str = "request";

/// Whoever has begun to look at a Task has so long to end it; afterwards it is looked at again.
const CLAIM: Duration = Duration::from_mins(10);

/// A request to a partner, as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PartnerRequest {
    id: TaskRequestId,
    /// The id of our copy of the Task.
    task_id: String,
    /// The partner's name.
    partner: String,
    /// Where the Task is at the partner, from its base on: `Task/12`.
    place: Option<String>,
    /// When the partner took it.
    sent_at: Option<Timestamp>,
    /// When it is to be looked at next; none if nobody looks.
    poll_at: Option<Timestamp>,
}

impl PartnerRequest {
    /// The identifier by which the partner knows the Task.
    fn identifier(&self) -> String {
        identifier(self.id)
    }
}

/// The identifier of the Task of a request.
fn identifier(id: TaskRequestId) -> String {
    format!("urn:uuid:{id}")
}

/// The pace that is agreed with a partner.
fn pace(partner: &Partner) -> PollPace {
    let PollingConfig { first, every, slow_after, slow_every } = partner.policy.polling;
    PollPace { first, every, slow_after, slow_every }
}

impl Exchange {
    /// The request that an item is about; none if there is none any more.
    async fn request_of(&self, item: &Item) -> Result<Option<PartnerRequest>, DbError> {
        let Ok(id) = item.subject.parse() else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        store::find(&mut reader.tx(), &item.access(), id).await
    }

    /// The partner of a request. Without an entry nobody is called, until there is one again.
    fn partner_of(&self, request: &PartnerRequest) -> Result<std::sync::Arc<Partner>, FollowError> {
        let partner = self.partners.named(&request.partner);
        let unknown = || FollowError::Unavailable("the partner has no entry in the configuration".to_owned());
        partner.cloned().ok_or_else(unknown)
    }

    /// The next version of our copy, ready to be kept.
    fn draft_of_copy(&self, requester: &Requester, task_id: &str, copy: Value) -> Draft {
        let text = copy.to_string().into();
        self.draft(requester, "Task", task_id.to_owned(), &Received::of_text(text, copy)).draft
    }
}

/// Our copy as it is now; none if somebody deleted it: then nobody waits for the answer either.
async fn copy_of(
    tx: &mut Tx<'_>,
    access: &Access,
    task_id: &str,
) -> Result<Option<(StoredResource, Value)>, DbError> {
    parsed(repository::read(tx, access, "Task", task_id).await?)
}

/// The same in a unit that keeps the next version of it: it stays as it is until the unit ends.
async fn copy_to_change(
    tx: &mut Tx<'_>,
    access: &Access,
    task_id: &str,
) -> Result<Option<(StoredResource, Value)>, DbError> {
    parsed(repository::read_to_change(tx, access, "Task", task_id).await?)
}

fn parsed(stored: Option<StoredResource>) -> Result<Option<(StoredResource, Value)>, DbError> {
    let Some(stored) = stored else { return Ok(None) };
    let Some(content) = &stored.content else { return Ok(None) };
    let tree = fhir::parse(content).map_err(|_| DbError::inconsistent("resource", "content", stored.key))?;
    Ok(Some((stored, tree)))
}

/// Keeps the next version of our copy, in the unit that read the one before.
async fn keep_copy(
    tx: &mut Tx<'_>,
    exchange: &Exchange,
    requester: &Requester,
    (stored, next): (&StoredResource, Value),
) -> Result<(), DbError> {
    let draft = exchange.draft_of_copy(requester, &stored.id, next);
    let now = exchange.clock.now();
    let precondition = Precondition::Version(vec![stored.version]);
    let kept = repository::keep(tx, &requester.access(), &[(draft, precondition)], false, now).await?;
    if !matches!(kept.first(), Some(Kept::Updated(_))) {
        return Err(DbError::inconsistent("resource", "version", stored.key));
    }
    let entry = exchange.write_context(requester).audit("follow-task", "Task", &stored.id, now);
    audit::record(tx, &entry).await
}
