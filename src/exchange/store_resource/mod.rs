//! Create, update, patch and delete: a body becomes the next version of a resource, or everything that is wrong with
//! it is told.
//!
//! [`receive`] reads a body once, [`check`] holds it to the rules in force, [`change`] makes it true in one
//! transaction with its audit row; [`patch`] makes a body of what is there and of a patch first, [`delete`] needs none.
//! A condition that fails is told without an error in the unit, because units of others share its commit.

mod attachments;
mod change;
mod check;
mod delete;
mod patch;
mod receive;

use std::sync::Arc;

use super::Exchange;
use super::handle_subscription;
use super::interaction::{Done, InteractionError, Requester};
use super::precondition::Conditions;
use crate::audit::{AuditOutcome, Entry};
use crate::auth::Access;
use crate::cdex::task::change::Role;
use crate::clock::{SharedClock, Timestamp};
use crate::fhir::search::{Query, Scope};
use crate::fhir::{Issue, IssueType};
use crate::id::ResourceId;
use crate::repository::criteria::{self, Criterion};
use crate::repository::entry::Space;
use crate::repository::{Draft, Precondition, index};

pub(super) use attachments::{Attached, Attachments};
use change::Target;
pub(super) use change::outcome;
pub(super) use delete::{delete_now, told};
pub(crate) use patch::PatchFormat;
pub(super) use patch::Patched;
pub(crate) use receive::Received;

/// What a unit that changes resources needs to know of the request.
#[derive(Clone)]
pub(super) struct WriteContext {
    pub(super) access: Access,
    pub(super) owner: String,
    pub(super) request_id: String,
    pub(super) clock: SharedClock,
    /// The FHIR base URL of the gateway.
    pub(super) base: Arc<str>,
    /// In what role CDex Tasks are changed.
    pub(super) role: Role,
}

impl WriteContext {
    /// The audit row of a change that is made.
    pub(super) fn audit(&self, action: &'static str, resource_type: &str, id: &str, at: Timestamp) -> Entry {
        Entry {
            tenant: self.access.tenant().to_owned(),
            owner: self.owner.clone(),
            at,
            action,
            outcome: AuditOutcome::Success,
            entity: Some(format!("{resource_type}/{id}")),
            detail: Vec::new(),
            request_id: Some(self.request_id.clone()),
        }
    }
}

/// A resource that is ready to be kept, with what is too long for its text.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) draft: Draft,
    pub(super) attached: Option<Attached>,
}

/// The criteria of a conditional interaction.
#[derive(Debug, Clone)]
pub(super) struct Criteria {
    pub(super) kind: Space,
    pub(super) criterion: Criterion,
}

impl Exchange {
    /// What the units of this request need.
    pub(super) fn write_context(&self, requester: &Requester) -> WriteContext {
        WriteContext {
            access: requester.access(),
            owner: requester.caller.id().to_owned(),
            request_id: requester.request_id.clone(),
            clock: self.clock.clone(),
            base: requester.base.clone(),
            role: self.role_of(&requester.caller),
        }
    }

    /// What a resource is kept as.
    pub(super) fn draft(
        &self,
        requester: &Requester,
        resource_type: &'static str,
        id: String,
        received: &Received,
    ) -> Prepared {
        let requested;
        let received = match handle_subscription::requested(resource_type, received) {
            Some(changed) => {
                requested = changed;
                &requested
            }
            None => received,
        };
        let entries =
            index::entries(requester.caller.tenant(), resource_type, &received.tree, &requester.base);
        let draft = Draft {
            resource_type,
            id,
            text: received.text.clone(),
            entries,
            bytes: received.bytes,
            errands: self.errands_of(resource_type, &received.tree),
        };
        Prepared { draft, attached: received.attached() }
    }

    /// Reads the criteria of a conditional interaction. What cannot be applied is an error: without it the criteria
    /// would name other resources than were meant.
    pub(super) fn criteria(
        &self,
        requester: &Requester,
        resource_type: &'static str,
        parameters: &[(String, String)],
    ) -> Result<Criteria, InteractionError> {
        let query = Query::parse(Scope::Type(resource_type), parameters, &requester.base, true)
            .map_err(InteractionError::Malformed)?;
        if query.filters.is_empty() {
            let text = "The criteria of a conditional interaction name no search parameter";
            return Err(InteractionError::Malformed(vec![Issue::refusal(IssueType::Required, text)]));
        }
        let tenant = requester.caller.tenant();
        Ok(Criteria {
            kind: Space::of_type(tenant, resource_type),
            criterion: criteria::of(&query, tenant, self.clock.now()),
        })
    }

    /// Creates a resource, unless the criteria of `If-None-Exist` find it.
    pub(super) async fn create(
        self: &Arc<Self>,
        requester: &Requester,
        resource_type: &'static str,
        received: Received,
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        let remarks = self.check_received_new(&requester.caller, resource_type, &received).await?;
        let target = match &conditions.if_none_exist {
            Some(query) => {
                let parameters = crate::fhir::address::parameters(query);
                Target::Unless(self.criteria(requester, resource_type, &parameters)?)
            }
            None => Target::New,
        };
        let draft = self.draft(requester, resource_type, ResourceId::new().to_string(), &received);
        self.change(requester, "create", draft, target, Precondition::None, remarks).await
    }

    /// Replaces a resource, or creates it under the id of the URL.
    pub(super) async fn update(
        self: &Arc<Self>,
        requester: &Requester,
        (resource_type, id): (&'static str, String),
        received: Received,
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        let remarks = self.check_received(&requester.caller, resource_type, &received).await?;
        // FHIR R4 http, update: the id of the body is that of the URL.
        match received.id() {
            Some(own) if own == id => {}
            Some(_) => return Err(id_mismatch(resource_type, "The id is not that of the URL")),
            None => return Err(id_mismatch(resource_type, "An update needs the id of the URL in its body")),
        }
        let precondition = conditions.for_change(self.settings.rest.require_if_match);
        let draft = self.draft(requester, resource_type, id, &received);
        self.change(requester, "update", draft, Target::Id, precondition, remarks)
            .await
            .map_err(|error| self.tell_required(error, &conditions))
    }

    /// Replaces the resource that the criteria find, or creates one.
    pub(super) async fn update_matching(
        self: &Arc<Self>,
        requester: &Requester,
        resource_type: &'static str,
        received: Received,
        parameters: &[(String, String)],
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        let remarks = self.check_received(&requester.caller, resource_type, &received).await?;
        let target = Target::Matching {
            criteria: self.criteria(requester, resource_type, parameters)?,
            has_id: received.id().is_some(),
        };
        let precondition = conditions.for_change(self.settings.rest.require_if_match);
        let id = received.id().map_or_else(|| ResourceId::new().to_string(), str::to_owned);
        let draft = self.draft(requester, resource_type, id, &received);
        self.change(requester, "update", draft, target, precondition, remarks)
            .await
            .map_err(|error| self.tell_required(error, &conditions))
    }

    /// Says that `If-Match` is missing, where that is why a change was refused.
    pub(super) fn tell_required(&self, error: InteractionError, conditions: &Conditions) -> InteractionError {
        let is_missing = self.settings.rest.require_if_match
            && conditions.if_match.is_none()
            && conditions.if_none_match.is_none();
        match error {
            InteractionError::Precondition(issue) if is_missing && issue.code == IssueType::Conflict => {
                let text = "This server changes a resource only if If-Match says which version is meant";
                InteractionError::Precondition(Issue::refusal(IssueType::Conflict, text))
            }
            error => error,
        }
    }
}

/// The id of a body does not fit.
pub(super) fn id_mismatch(resource_type: &str, text: &str) -> InteractionError {
    InteractionError::malformed(IssueType::Value, &format!("{resource_type}.id"), text)
}

/// Criteria that must name one resource name several.
pub(super) fn several() -> InteractionError {
    let text = "The criteria of the conditional interaction match several resources";
    InteractionError::Precondition(Issue::refusal(IssueType::MultipleMatches, text))
}

/// The present version is not the one that the request is about.
pub(super) fn mismatch() -> InteractionError {
    let text = "The present version is not one that the conditions of the request allow";
    InteractionError::Precondition(Issue::refusal(IssueType::Conflict, text))
}
