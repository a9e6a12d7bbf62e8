//! The next versions of a Task that the gateway itself moves, as they are kept: one for each step, all in one unit.
//! What they say is made by [`step`](crate::cdex::task::step); nothing is written here.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::repository::{Draft, Precondition, index};

impl Exchange {
    /// The versions that follow one another from `version` on, to be kept in one unit. They come from the errand `own`,
    /// which need not look at them again.
    pub(super) fn task_drafts(
        &self,
        tenant: &str,
        (id, version): (&str, u64),
        versions: &[Value],
        own: Errand,
    ) -> Vec<(Draft, Precondition)> {
        let last = versions.len().saturating_sub(1);
        let follows = (version..).zip(versions).enumerate();
        let drafts = follows.map(|(at, (version, tree))| {
            let mut draft = self.task_draft(tenant, id, tree);
            draft.errands.retain(|errand| *errand != own);
            if at < last {
                // It is found as what it becomes at once.
                draft.entries = Vec::new();
                draft.errands.retain(|errand| *errand != Errand::RemindTask);
            }
            (draft, Precondition::Version(vec![version]))
        });
        drafts.collect()
    }

    /// The next version of a Task.
    fn task_draft(&self, tenant: &str, id: &str, tree: &Value) -> Draft {
        Draft {
            resource_type: "Task",
            id: id.to_owned(),
            text: tree.to_string().into(),
            entries: index::entries(tenant, "Task", tree, &self.settings.fhir_base),
            bytes: None,
            errands: self.errands_of("Task", tree),
        }
    }
}
