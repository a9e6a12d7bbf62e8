//! Delete: the resource is gone, its history stays. Deleting what is gone, or was never there, changes nothing and is
//! no error (FHIR R4 http, delete).

use super::{Criteria, WriteContext, mismatch, several};
use crate::audit;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::exchange::handle_subscription;
use crate::exchange::interaction::{Done, InteractionError, Requester};
use crate::exchange::precondition::Conditions;
use crate::repository::{self, Deleted, Precondition};

/// A delete, as a unit of writing.
struct Deletion {
    context: WriteContext,
    resource_type: &'static str,
    target: DeleteTarget,
    precondition: Precondition,
}

enum DeleteTarget {
    Id(String),
    Matching(Criteria),
}

/// What became of a delete.
enum Outcome {
    Known(Deleted),
    Several,
}

impl Exchange {
    /// Deletes a resource.
    pub(in crate::exchange) async fn delete(
        &self,
        requester: &Requester,
        (resource_type, id): (&'static str, String),
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        self.delete_target(requester, resource_type, DeleteTarget::Id(id), &conditions).await
    }

    /// Deletes the resource that the criteria find, if they find one.
    pub(in crate::exchange) async fn delete_matching(
        &self,
        requester: &Requester,
        resource_type: &'static str,
        parameters: &[(String, String)],
        conditions: Conditions,
    ) -> Result<Done, InteractionError> {
        let criteria = self.criteria(requester, resource_type, parameters)?;
        self.delete_target(requester, resource_type, DeleteTarget::Matching(criteria), &conditions).await
    }

    async fn delete_target(
        &self,
        requester: &Requester,
        resource_type: &'static str,
        target: DeleteTarget,
        conditions: &Conditions,
    ) -> Result<Done, InteractionError> {
        let deletion = Deletion {
            context: self.write_context(requester),
            resource_type,
            target,
            precondition: conditions.for_change(false),
        };
        let outcome = self.db.write(deletion, |deletion, tx| Box::pin(deletion.write(tx))).await?;
        match outcome {
            Outcome::Known(deleted) => told(deleted),
            Outcome::Several => Err(several()),
        }
    }
}

impl Deletion {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<Outcome, DbError> {
        let id = match &self.target {
            DeleteTarget::Id(id) => id.clone(),
            DeleteTarget::Matching(criteria) => {
                let access = &self.context.access;
                let mut found = repository::matches(tx, access, criteria.kind, &criteria.criterion).await?;
                match (found.pop(), found.is_empty()) {
                    (None, _) => return Ok(Outcome::Known(Deleted::Before)),
                    (Some(one), true) => one.id,
                    (Some(_), false) => return Ok(Outcome::Several),
                }
            }
        };
        delete_now(tx, &self.context, (self.resource_type, &id), &self.precondition).await.map(Outcome::Known)
    }
}

/// Deletes a resource with its audit row, in whatever unit this is.
pub(in crate::exchange) async fn delete_now(
    tx: &mut Tx<'_>,
    context: &WriteContext,
    (resource_type, id): (&'static str, &str),
    precondition: &Precondition,
) -> Result<Deleted, DbError> {
    let now = context.clock.now();
    let deleted = repository::delete(tx, &context.access, (resource_type, id), precondition, now).await?;
    if let Deleted::Now(_) = &deleted {
        audit::record(tx, &context.audit("delete", resource_type, id, now)).await?;
        if resource_type == "Subscription" {
            handle_subscription::stop(tx, &context.access, id, now).await?;
        }
    }
    Ok(deleted)
}

/// What the caller is told of a delete.
pub(in crate::exchange) fn told(deleted: Deleted) -> Result<Done, InteractionError> {
    match deleted {
        Deleted::Now(resource) => Ok(Done::Deleted(Some(resource))),
        Deleted::Before => Ok(Done::Deleted(None)),
        Deleted::Mismatch => Err(mismatch()),
    }
}
