//! Which resources beget which errands once they are kept.

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::cdex::tag;
use crate::cdex::task::{Asked, CdexTask, TaskStatus};

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    #[expect(clippy::unused_self, reason = "the settings decide about some of them")]
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        match resource_type {
            "Task" => CdexTask::read(tree).map(|task| of_task(&task)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

/// Whether they lead to anything is decided when they are done: by what is agreed with who asks.
fn of_task(task: &CdexTask<'_>) -> Vec<Errand> {
    let mut errands = Vec::new();
    // A copy of what was asked of somebody else is not ours to answer.
    if task.has_tag(tag::TAGS, tag::SENT) {
        return errands;
    }
    let is_open = matches!(task.status, Some(TaskStatus::Requested | TaskStatus::Accepted));
    if is_open
        && !task.kind.is_attachment_request()
        && matches!(task.asked(), Asked::Query(_) | Asked::Coded(_))
    {
        errands.push(Errand::AnswerTask);
    }
    let is_over = task.status.is_none_or(TaskStatus::is_terminal);
    if !is_over && task.due().is_some() {
        errands.push(Errand::RemindTask);
    }
    errands
}
