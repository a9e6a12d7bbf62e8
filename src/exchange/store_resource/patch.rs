//! Patch: the present version is read, changed and kept if it is still the present one; if somebody was faster, again.
//! So the work is done outside of the unit, and nobody's change is lost.

use std::sync::Arc;

use super::{Received, Target, mismatch, several};
use crate::auth::Caller;
use crate::db::DbError;
use crate::exchange::Exchange;
use crate::exchange::find_resource::present;
use crate::exchange::interaction::{Done, InteractionError, Requester};
use crate::exchange::precondition::Conditions;
use crate::fhir::{self, Issue, IssueType, Patch, PatchError};
use crate::repository::{self, Precondition, StoredResource};

pub(crate) use crate::fhir::PatchFormat;

/// How often a patch is tried when others change the same resource all the time.
const ATTEMPTS: usize = 10;

/// A resource as a patch leaves it.
pub(in crate::exchange) struct Patched {
    pub(in crate::exchange) received: Received,
    pub(in crate::exchange) remarks: Vec<Issue>,
    pub(in crate::exchange) precondition: Precondition,
}

impl Exchange {
    /// Patches a resource.
    pub(in crate::exchange) async fn patch(
        self: &Arc<Self>,
        requester: &Requester,
        (resource_type, id): (&'static str, String),
        patch: &Patch,
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        for _ in 0..ATTEMPTS {
            let current = {
                let mut reader = self.db.reader().await?;
                present(&mut reader.tx(), &requester.access(), resource_type, &id).await?
            };
            let patched = self.patched(&requester.caller, resource_type, &current, patch, &conditions)?;
            let draft = self.draft(requester, resource_type, id.clone(), &patched.received);
            let Patched { precondition, remarks, .. } = patched;
            match self.change(requester, "patch", draft, Target::Id, precondition, remarks).await {
                // Somebody was faster: the conditions are held against the new version.
                Err(InteractionError::Precondition(_)) => {}
                done => return done,
            }
        }
        let text = "The resource is changed by others all the time";
        Err(InteractionError::Conflict(Issue::refusal(IssueType::Conflict, text).advising("Try again")))
    }

    /// Patches the resource that the criteria find.
    pub(in crate::exchange) async fn patch_matching(
        self: &Arc<Self>,
        requester: &Requester,
        resource_type: &'static str,
        patch: &Patch,
        parameters: &[(String, String)],
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        let criteria = self.criteria(requester, resource_type, parameters)?;
        let mut found = {
            let mut reader = self.db.reader().await?;
            let access = requester.access();
            repository::matches(&mut reader.tx(), &access, criteria.kind, &criteria.criterion).await?
        };
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(InteractionError::NotFound),
            (Some(one), true) => self.patch(requester, (resource_type, one.id), patch, conditions).await,
            (Some(_), false) => Err(several()),
        }
    }

    /// What a patch makes of a version, if the conditions allow to change that one.
    pub(in crate::exchange) fn patched(
        &self,
        caller: &Caller,
        resource_type: &'static str,
        current: &StoredResource,
        patch: &Patch,
        conditions: &Conditions,
    ) -> Result<Patched, InteractionError> {
        let allowed = match conditions.for_change(self.settings.rest.require_if_match) {
            Precondition::None | Precondition::Present => true,
            Precondition::Version(versions) => versions.contains(&current.version),
            Precondition::Absent => false,
        };
        if !allowed {
            return Err(self.tell_required(mismatch(), conditions));
        }
        let unreadable = || DbError::inconsistent("resource", "content", current.key);
        let content = current.content.as_ref().ok_or_else(unreadable)?;
        let before = fhir::parse(content).map_err(|_| unreadable())?;
        let tree = patch.apply(&before).map_err(|error| match error {
            PatchError::Inapplicable(issues) | PatchError::TestFailed(issues) => {
                InteractionError::Invalid(issues)
            }
        })?;
        let remarks = self.check_resource(caller, resource_type, &tree)?;
        let text = tree.to_string().into();
        let precondition = Precondition::Version(vec![current.version]);
        // The bytes that are not in the text are not patched.
        let received = Received { bytes: current.bytes, ..Received::of_text(text, tree) };
        Ok(Patched { received, remarks, precondition })
    }
}
