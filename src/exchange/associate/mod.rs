//! What an accepted `$submit-attachment` belongs to, and what is made of it on the payer's side.
//!
//! The submission's own errand comes first: [`contents`] makes resources of its attachments, [`candidates`] finds the
//! Task and the Claim that they belong to, [`answer`] moves the Task, and one unit keeps it all. What belongs to
//! nothing yet is held: its resources are kept all the same, tagged so. A Task or a Claim that is kept later sends each
//! submission that waits for its number through here again. Doing it twice is doing it once: what is there is not made
//! again, and what was found is never given up.

mod answer;
mod candidates;
mod contents;
mod drafts;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::contents::SharedBytes;
use self::drafts::Drafting;
use self::store::KeptSubmission;
use super::Exchange;
use super::follow_agenda::FollowError;
use super::match_patient::tree_of;
use crate::agenda::{self, Errand, Item, NewItem};
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Access;
use crate::cdex::association::{Association, Candidate, Referred, purposes};
use crate::clock::SharedClock;
use crate::db::{DbError, Tx};
use crate::id::SubmissionId;
use crate::repository::{self, Draft, Kept, Precondition};
use crate::upload::{Content, Uploads};

/// How often a submission is tried at once when others change what it belongs to.
const ATTEMPTS: usize = 5;

/// The word of this interaction in audit rows.
const ACTION: &str = "associate";

/// A resource that was made of an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptContent {
    /// `Type/id`
    reference: String,
    /// The id of its Provenance.
    provenance: String,
}

/// Everything that becomes true at once.
struct Unit {
    item: Item,
    clock: SharedClock,
    id: SubmissionId,
    access: Access,
    bytes: Vec<Content>,
    drafts: Vec<(Draft, Precondition)>,
    task: Vec<(Draft, Precondition)>,
    association: Association,
    resources: Vec<KeptContent>,
}

/// Why a unit left no trace.
#[derive(Debug, thiserror::Error)]
enum UnitError {
    /// Something was changed since it was looked at.
    #[error("a resource was changed by somebody else")]
    Changed,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Exchange {
    /// Does the errand: of a submission, or of a Task or Claim for which submissions may wait.
    pub(super) async fn associate(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        if let Some((resource_type, id)) = item.resource() {
            return self.associate_waiting(item, resource_type, id).await;
        }
        let Ok(id) = item.subject.parse() else { return Ok(self.forget(item).await?) };
        for _ in 0..ATTEMPTS {
            let kept = {
                let mut reader = self.db.reader().await?;
                store::find(&mut reader.tx(), &item.access(), id).await?
            };
            let Some(kept) = kept else { return Ok(self.forget(item).await?) };
            let Some(unit) = self.unit(item, kept).await? else { return Ok(self.forget(item).await?) };
            match self.db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await {
                Ok(()) => {
                    self.agenda.wake();
                    return Ok(());
                }
                Err(UnitError::Changed) => {}
                Err(UnitError::Db(error)) => return Err(error.into()),
            }
        }
        Err(FollowError::Unavailable("the Task is changed by others all the time".to_owned()))
    }

    /// Sends the submissions that wait for a Task or a Claim on their way again.
    async fn associate_waiting(&self, item: &Item, resource_type: &str, id: &str) -> Result<(), FollowError> {
        let tenant = &item.tenant;
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let stored = repository::read(&mut tx, &Access::of_worker(tenant), resource_type, id).await?;
        let mut waiting = Vec::new();
        if let Some(stored) = stored.filter(|stored| stored.content.is_some()) {
            let tree = tree_of(&stored)?;
            let candidate = Candidate::of_task(id, &tree, &Referred::new())
                .or_else(|| Candidate::of_claim(id, &tree, &Referred::new()));
            if let Some(candidate) = candidate {
                waiting = waiting_for(&mut tx, tenant, &candidate).await?;
            }
        }
        drop(reader);
        waiting.sort_unstable();
        waiting.dedup();
        let now = self.clock.now();
        let items = waiting.into_iter().map(|(id, owner)| NewItem {
            tenant: tenant.clone(),
            owner,
            errand: Errand::Associate,
            subject: id,
            version: 0,
            due_at: now,
        });
        let state = (item.clone(), items.collect::<Vec<_>>());
        let added: Result<(), DbError> = self
            .db
            .write(state, |(item, items), tx| {
                Box::pin(async move {
                    if agenda::done(tx, item).await? { agenda::add(tx, items).await } else { Ok(()) }
                })
            })
            .await;
        self.agenda.wake();
        Ok(added?)
    }

    /// What is to be written of a submission; none if everything is.
    async fn unit(&self, item: &Item, kept: KeptSubmission) -> Result<Option<Unit>, FollowError> {
        let access = item.access();
        let found = self.association_of(&access, &kept.submission).await?;
        let (association, new_task) = advanced(&kept, found);
        let changes = kept.task != association.task
            || kept.claim != association.claim
            || kept.awaited_claim.as_deref()
                != association.awaited_claim.as_ref().map(|claim| claim.value.as_str());
        if kept.resources.is_some() && !changes {
            return Ok(None);
        }
        let now = self.clock.now();
        let task = match &association.task {
            None => None,
            Some(reference) => self.task(&item.tenant, reference).await?,
        };
        let purposes = task.as_ref().map(|(_, task)| purposes(task)).unwrap_or_default();
        let drafting = Drafting {
            tenant: &item.tenant,
            owner: &item.owner,
            kept: &kept,
            association: &association,
            purposes,
            now,
        };
        let (mut bytes, mut drafts, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(before) = &kept.resources {
            drafts = self.linked(&access, &drafting, before).await?;
            resources.clone_from(before);
        } else {
            for made in self.new_contents(&access, &kept).await? {
                bytes.extend(made.bytes.iter().map(|shared: &SharedBytes| shared.content.clone()));
                let (content, first) = drafting.first(made);
                resources.push(content);
                drafts.extend(first);
            }
        }
        let task = match task {
            Some((version, task)) if new_task => {
                let references: Vec<&str> = resources.iter().map(|content| &*content.reference).collect();
                let versions = answer::versions(&task, &references, kept.submission.is_last_submission, now);
                let id = association.task.as_deref().and_then(|task| task.split_once('/'));
                let id = id.map_or("", |(_, id)| id);
                // Whoever waits for this Task has its own errand.
                self.task_drafts(&item.tenant, (id, version), &versions, Errand::Associate)
            }
            _ => Vec::new(),
        };
        let clock = self.clock.clone();
        let item = item.clone();
        Ok(Some(Unit { item, clock, id: kept.id, access, bytes, drafts, task, association, resources }))
    }

    /// A Task of the tenant, and its version.
    async fn task(&self, tenant: &str, reference: &str) -> Result<Option<(u64, Value)>, DbError> {
        let Some((resource_type, id)) = reference.split_once('/') else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        let access = Access::of_worker(tenant);
        let stored = repository::read(&mut reader.tx(), &access, resource_type, id).await?;
        let stored = stored.filter(|stored| stored.content.is_some());
        stored.map(|stored| Ok((stored.version, tree_of(&stored)?))).transpose()
    }

    /// The resources of a submission as they are once it belongs to more.
    async fn linked(
        &self,
        access: &Access,
        drafting: &Drafting<'_>,
        resources: &[KeptContent],
    ) -> Result<Vec<(Draft, Precondition)>, DbError> {
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let mut drafts = Vec::new();
        for content in resources {
            let own = content.reference.split_once('/');
            for (resource_type, id) in own.into_iter().chain([("Provenance", &*content.provenance)]) {
                let stored = repository::read(&mut tx, access, resource_type, id).await?;
                // What somebody has deleted stays so.
                if let Some(stored) = stored.filter(|stored| stored.content.is_some()) {
                    drafts.extend(drafting.linked(&stored)?);
                }
            }
        }
        Ok(drafts)
    }
}

/// The submissions that a Task or a Claim may have something to tell, each with its owner.
async fn waiting_for(
    tx: &mut Tx<'_>,
    tenant: &str,
    candidate: &Candidate,
) -> Result<Vec<(String, String)>, DbError> {
    let is_claim = candidate.reference.starts_with("Claim/");
    let mut waiting = Vec::new();
    for number in candidate.tracking() {
        let number = &number.value;
        if let Some(attach_to) = candidate.attach_to() {
            waiting.extend(if is_claim {
                store::waiting_for_number(tx, tenant, number, attach_to).await?
            } else {
                let named = candidate.claim().map(|claim| claim.value.as_str());
                let task = (candidate.reference.as_str(), named);
                store::waiting_for_task(tx, tenant, number, attach_to, task).await?
            });
        }
        if is_claim {
            waiting.extend(store::waiting_for_claim(tx, tenant, number).await?);
        }
    }
    Ok(waiting)
}

/// What a submission belongs to now, and whether its Task is new. What was found before stays.
fn advanced(kept: &KeptSubmission, found: Association) -> (Association, bool) {
    let new_task = kept.task.is_none() && found.task.is_some();
    let claim = kept.claim.clone().or(found.claim);
    let association = Association {
        task: kept.task.clone().or(found.task),
        awaited_claim: found.awaited_claim.filter(|_| claim.is_none()),
        claim,
        ..found
    };
    (association, new_task)
}

impl Unit {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), UnitError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(());
        }
        let now = self.clock.now();
        let tenant = &self.item.tenant;
        if !self.task.is_empty() {
            // The Task is the payer's, whoever of its people or programs has made it.
            let access = Access::of_worker(tenant);
            let kept = repository::keep(tx, &access, &self.task, false, now).await?;
            if !kept.iter().all(|kept| matches!(kept, Kept::Updated(_))) {
                return Err(UnitError::Changed);
            }
        }
        Uploads::insert_contents(tx, &self.access, &self.bytes, now).await?;
        let kept = repository::keep(tx, &self.access, &self.drafts, true, now).await?;
        for (kept, (draft, _)) in kept.iter().zip(&self.drafts) {
            match kept {
                Kept::Created(_) | Kept::Updated(_) => {}
                // Another submission refers to the same upload.
                _ if draft.resource_type == "Binary" && draft.bytes.is_some() => {}
                _ => return Err(UnitError::Changed),
            }
        }
        store::record(tx, tenant, self.id, &self.association, &self.resources).await?;
        let entry = Entry {
            tenant: tenant.clone(),
            owner: self.item.owner.clone(),
            at: now,
            action: ACTION,
            outcome: AuditOutcome::Success,
            entity: Some(self.id.to_string()),
            detail: self.association.reasons.clone(),
            request_id: None,
        };
        Ok(audit::record(tx, &entry).await?)
    }
}
