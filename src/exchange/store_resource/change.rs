//! A checked resource becomes true: one unit looks at the conditions, keeps the resource and writes the audit row.

use std::sync::Arc;

use super::{Attached, Criteria, Prepared, WriteContext, id_mismatch, mismatch, several};
use crate::audit;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::check_task::{self, Follows};
use crate::exchange::interaction::{Done, InteractionError, Requester, Stored};
use crate::fhir::{Issue, IssueType};
use crate::repository::{self, Draft, Kept, Precondition, StoredResource};

/// Which resource a change is about.
#[derive(Debug, Clone)]
pub(in crate::exchange) enum Target {
    /// One that is made now.
    New,
    /// One that is made now, unless the criteria find it.
    Unless(Criteria),
    /// The one of the draft's id.
    Id,
    /// The one that the criteria find, or the one of the draft's id.
    Matching {
        /// The criteria.
        criteria: Criteria,
        /// Whether the id was the client's.
        has_id: bool,
    },
}

/// A change of one resource, as a unit of writing.
pub(in crate::exchange) struct Change {
    pub(in crate::exchange) context: WriteContext,
    pub(in crate::exchange) action: &'static str,
    pub(in crate::exchange) draft: (Draft, Precondition),
    pub(in crate::exchange) attached: Option<Attached>,
    pub(in crate::exchange) target: Target,
    pub(in crate::exchange) may_create: bool,
}

/// What became of a change.
pub(in crate::exchange) enum Changed {
    /// The repository says.
    Kept(Kept),
    /// What was to be created was there.
    Existed(StoredResource),
    /// Nothing, for this reason.
    Refused(InteractionError),
}

impl Exchange {
    /// Makes a change in a unit of its own.
    pub(super) async fn change(
        self: &Arc<Self>,
        requester: &Requester,
        action: &'static str,
        Prepared { draft, attached }: Prepared,
        target: Target,
        precondition: Precondition,
        remarks: Vec<Issue>,
    ) -> Result<Done, InteractionError> {
        let change = Change {
            context: self.write_context(requester),
            action,
            draft: (draft, precondition),
            attached: attached.clone(),
            may_create: match target {
                // An id of the server's own making is no create-on-PUT.
                Target::New | Target::Unless(_) | Target::Matching { has_id: false, .. } => true,
                Target::Id | Target::Matching { .. } => {
                    self.settings.rest.update_creates && action != "patch"
                }
            },
            target,
        };
        let begets_errands = !change.draft.0.errands.is_empty();
        let changed = self.db.write(change, |change, tx| Box::pin(change.write(tx))).await;
        if begets_errands {
            self.agenda.wake();
        }
        if let Some(attached) = attached {
            attached.settle(changed.as_ref(), Changed::is_new);
        }
        changed?.into_done(remarks)
    }
}

impl Change {
    /// Makes the change. What is refused has changed nothing.
    async fn write(&self, tx: &mut Tx<'_>) -> Result<Changed, DbError> {
        let access = &self.context.access;
        let moved;
        let draft = match &self.target {
            Target::New | Target::Id => &self.draft,
            Target::Unless(criteria) => {
                let mut found = repository::matches(tx, access, criteria.kind, &criteria.criterion).await?;
                match (found.pop(), found.is_empty()) {
                    (None, _) => &self.draft,
                    (Some(one), true) => return Ok(Changed::Existed(one)),
                    (Some(_), false) => return Ok(Changed::Refused(several())),
                }
            }
            Target::Matching { criteria, has_id } => {
                let mut found = repository::matches(tx, access, criteria.kind, &criteria.criterion).await?;
                match (found.pop(), found.is_empty()) {
                    (None, _) => &self.draft,
                    (Some(_), false) => return Ok(Changed::Refused(several())),
                    // FHIR R4 http, conditional update: an id that was given must be that of the match.
                    (Some(one), true) if *has_id && one.id != self.draft.0.id => {
                        let text = "The id is not that of the resource that the criteria match";
                        return Ok(Changed::Refused(id_mismatch(self.draft.0.resource_type, text)));
                    }
                    (Some(one), true) => {
                        moved = (Draft { id: one.id, ..self.draft.0.clone() }, self.draft.1.clone());
                        &moved
                    }
                }
            }
        };
        let amended;
        let draft = match &self.target {
            Target::New | Target::Unless(_) => draft,
            Target::Id | Target::Matching { .. } => match check_task::follow(tx, &self.context, draft).await?
            {
                Follows::AsItIs => draft,
                Follows::Amended(draft) => {
                    amended = draft;
                    &amended
                }
                Follows::Not(issues) => return Ok(Changed::Refused(InteractionError::Invalid(issues))),
            },
        };
        // Taken here and not before: what is committed later is also later by its time.
        let now = self.context.clock.now();
        let kept = repository::keep(tx, access, std::slice::from_ref(draft), self.may_create, now).await?;
        let Some(kept) = kept.into_iter().next() else {
            return Err(DbError::inconsistent("resource", "id", "of this draft"));
        };
        if let Kept::Created(resource) | Kept::Updated(resource) = &kept {
            if let Some(attached) = &self.attached {
                attached.write(tx, access, now).await?;
            }
            let entry = self.context.audit(self.action, draft.0.resource_type, &resource.id, now);
            audit::record(tx, &entry).await?;
        }
        Ok(Changed::Kept(kept))
    }
}

impl Changed {
    /// Whether anything was kept.
    fn is_new(&self) -> bool {
        matches!(self, Self::Kept(Kept::Created(_) | Kept::Updated(_)))
    }

    /// What the caller is told of it.
    pub(in crate::exchange) fn into_done(self, remarks: Vec<Issue>) -> Result<Done, InteractionError> {
        match self {
            Self::Kept(kept) => outcome(kept, remarks),
            Self::Existed(resource) => Ok(Done::Existed(resource)),
            Self::Refused(error) => Err(error),
        }
    }
}

/// What the caller is told of a resource that was to be kept.
pub(in crate::exchange) fn outcome(kept: Kept, remarks: Vec<Issue>) -> Result<Done, InteractionError> {
    match kept {
        Kept::Created(resource) => Ok(Done::Created(Stored { resource, remarks })),
        Kept::Updated(resource) => Ok(Done::Updated(Stored { resource, remarks })),
        Kept::Mismatch => Err(mismatch()),
        Kept::Missing => Err(InteractionError::NotFound),
        Kept::Foreign => {
            let text = "This id cannot be used";
            Err(InteractionError::Conflict(Issue::refusal(IssueType::Conflict, text)))
        }
    }
}
