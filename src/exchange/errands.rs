//! Which resources beget which errands once they are kept.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::cdex::task::CdexTask;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    #[expect(clippy::unused_self, reason = "the settings decide about some of them")]
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        let mut errands = Vec::new();
        errands.extend(may_be_waited_for(resource_type, tree).then_some(Errand::Associate));
        errands
    }
}

/// Whether submissions may wait for a resource: for an attachment request, or for a Claim with a number.
fn may_be_waited_for(resource_type: &str, tree: &Value) -> bool {
    match resource_type {
        "Task" => CdexTask::read(tree).is_some_and(|task| task.kind.is_attachment_request()),
        "Claim" => tree.get("identifier").is_some(),
        _ => false,
    }
}
