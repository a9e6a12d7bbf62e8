//! Which resources beget which errands once they are kept.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::Exchange;
use crate::agenda::Errand;
use crate::cdex::tag;
use crate::cdex::task::{Asked, CdexTask, TaskStatus};
use crate::subscription;

impl Exchange {
    /// What must be done because a version of this resource is kept, whichever way it came.
    pub(super) fn errands_of(&self, resource_type: &str, tree: &Value) -> Vec<Errand> {
        let mut errands = match resource_type {
            "Task" => {
                let mut errands = CdexTask::read(tree).map(|task| of_task(&task)).unwrap_or_default();
                if subscription::is_order(tree) && self.has_subscribers.load(Ordering::Acquire) {
                    errands.push(Errand::Notify);
                }
                errands
            }
            "Claim" if tree.get("identifier").is_some() => vec![Errand::Associate],
            "Subscription" => {
                // Before it is kept, and so long before it can be active: no event is missed.
                self.has_subscribers.store(true, Ordering::Release);
                vec![Errand::Handshake]
            }
            "DocumentReference" | "QuestionnaireResponse" | "Patient" if self.is_anything_awaited() => {
                vec![Errand::MatchDocument]
            }
            _ => Vec::new(),
        };
        if self.forward.concern(resource_type, tree) {
            errands.push(Errand::ForwardPush);
        }
        errands
    }
}

/// Whether they lead to anything is decided when they are done: by what is agreed with who asks.
fn of_task(task: &CdexTask<'_>) -> Vec<Errand> {
    let mut errands = Vec::new();
    let is_attachment_request = task.kind.is_attachment_request();
    if is_attachment_request {
        // Submissions may wait for it.
        errands.push(Errand::Associate);
    }
    // A copy of what was asked of somebody else is not ours to answer.
    if task.has_tag(tag::TAGS, tag::SENT) {
        return errands;
    }
    let is_open =
        matches!(task.status, Some(TaskStatus::Requested | TaskStatus::Accepted | TaskStatus::InProgress));
    if is_attachment_request {
        errands.push(Errand::SubmitAttachments);
    } else if is_open && matches!(task.asked(), Asked::Query(_) | Asked::Coded(_)) {
        errands.push(Errand::AnswerTask);
    }
    let is_over = task.status.is_none_or(TaskStatus::is_terminal);
    if !is_over && task.due().is_some() {
        errands.push(Errand::RemindTask);
    }
    errands
}
