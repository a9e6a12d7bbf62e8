//! What the next versions of an attachment-request Task say: one version for each step of its status, and on the last
//! one how far the answer is. Pure.

use serde_json::{Value, json};

use super::store::SentContent;
use crate::cdex::GATEWAY_STATUS;
use crate::cdex::attachment_request::linked;
use crate::cdex::task::step::Step;
use crate::cdex::task::{Output, TaskStatus};
use crate::clock::Timestamp;

/// How far an answer is: `Task.businessStatus`. The codes are ours; texts name inputs and rules only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// One of our codes.
    pub(super) code: &'static str,
    /// What a person reads.
    pub(super) text: String,
}

impl Stage {
    /// Nobody of the configuration has the server that is to be sent to.
    pub(super) const NO_PARTNER: &'static str = "no-partner";

    /// A stage with this code and text.
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Whether a Task is at a stage with this code.
    pub(super) fn is_at(task: &Value, code: &str) -> bool {
        let codings = task.pointer("/businessStatus/coding").and_then(Value::as_array);
        codings
            .into_iter()
            .flatten()
            .any(|coding| coding["system"] == GATEWAY_STATUS && coding["code"] == code)
    }
}

/// What a Task becomes.
#[derive(Debug, Clone)]
pub(super) struct Advance {
    /// Its status.
    pub(super) status: TaskStatus,
    /// How far it is.
    pub(super) stage: Stage,
    /// Why it was not done, where it was not.
    pub(super) reason: Option<String>,
    /// What was sent and is to be linked.
    pub(super) sent: Vec<SentContent>,
}

impl Advance {
    /// To a status that needs no reason, without linking anything.
    pub(super) fn to(status: TaskStatus, stage: Stage) -> Self {
        Self { status, stage, reason: None, sent: Vec::new() }
    }

    /// The versions that lead there; none if the Task says all of it.
    pub(super) fn versions(&self, task: &Value, now: Timestamp) -> Vec<Value> {
        let from = status_of(task);
        let between = from.map(|from| between(from, self.status)).unwrap_or_default();
        let mut versions: Vec<Value> =
            between.iter().map(|status| Step::from(task).status(*status, now).into_tree()).collect();
        let mut last = Step::from(task).status(self.status, now).business_status(&self.stage.text);
        if let Some(reason) = &self.reason {
            last = last.reason(reason);
        }
        let mut last = self.link(task, last).into_tree();
        last["businessStatus"]["coding"] = json!([{ "system": GATEWAY_STATUS, "code": self.stage.code }]);
        let says_it = |name: &str| last.get(name) == task.get(name);
        if !["status", "businessStatus", "statusReason", "output"].into_iter().all(says_it) {
            versions.push(last);
        }
        versions
    }

    /// Adds outputs for what was sent, unless somebody linked it before.
    fn link(&self, task: &Value, mut step: Step) -> Step {
        let known = linked(task);
        // cdex §10, row 12: the profile has room for one answer to a Questionnaire; others are of another type.
        let mut has_form = known.iter().any(|output| output.is_questionnaire);
        for content in &self.sent {
            let is_contained = content.reference.starts_with('#');
            if is_contained || known.iter().any(|output| output.reference == content.reference) {
                continue;
            }
            let output = match (content.is_form, has_form) {
                (false, _) => Output::Attachment,
                (true, false) => Output::QuestionnaireContext,
                (true, true) => Output::QuestionnaireResponse,
            };
            has_form |= content.is_form;
            step = step.output(output, &content.reference);
        }
        step
    }
}

/// The status of a Task; none where it is not one of HRex.
pub(super) fn status_of(task: &Value) -> Option<TaskStatus> {
    TaskStatus::from_code(task.get("status")?.as_str()?)
}

/// The statuses between two, in order (cdex §6.1): the gateway skips none.
fn between(from: TaskStatus, to: TaskStatus) -> &'static [TaskStatus] {
    const STEPS: [TaskStatus; 2] = [TaskStatus::Accepted, TaskStatus::InProgress];
    let ahead: &[TaskStatus] = match from {
        TaskStatus::Requested => &STEPS,
        TaskStatus::Accepted | TaskStatus::OnHold => &STEPS[1..],
        TaskStatus::InProgress | TaskStatus::Rejected | TaskStatus::Completed | TaskStatus::Failed => &[],
    };
    match to {
        TaskStatus::InProgress => &ahead[..ahead.len().saturating_sub(1)],
        TaskStatus::OnHold if from == TaskStatus::OnHold => &[],
        TaskStatus::OnHold | TaskStatus::Completed | TaskStatus::Failed => ahead,
        TaskStatus::Requested | TaskStatus::Accepted | TaskStatus::Rejected => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(from: &str, to: &str) -> Vec<&'static str> {
        let task = json!({ "resourceType": "Task", "status": from });
        let to = TaskStatus::from_code(to).expect("a status");
        let versions =
            Advance::to(to, Stage::new("submitted", "x")).versions(&task, Timestamp::from_nanos(0));
        versions.iter().filter_map(status_of).map(TaskStatus::as_code).collect()
    }

    #[test]
    fn conf_059_every_status_on_the_way_has_its_version() {
        for (from, to, expected) in [
            ("requested", "in-progress", &["accepted", "in-progress"][..]),
            ("requested", "completed", &["accepted", "in-progress", "completed"]),
            ("requested", "on-hold", &["accepted", "in-progress", "on-hold"]),
            ("requested", "rejected", &["rejected"]),
            ("accepted", "in-progress", &["in-progress"]),
            ("accepted", "failed", &["in-progress", "failed"]),
            ("in-progress", "in-progress", &["in-progress"]),
            ("in-progress", "completed", &["completed"]),
            ("on-hold", "on-hold", &["on-hold"]),
            ("on-hold", "in-progress", &["in-progress"]),
            ("on-hold", "completed", &["in-progress", "completed"]),
        ] {
            assert_eq!(statuses(from, to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_task_that_says_it_already_gets_no_version() {
        let task = json!({ "resourceType": "Task", "status": "requested" });
        let step = Advance::to(TaskStatus::InProgress, Stage::new("waiting-for-documents", "x"));
        let version = step.versions(&task, Timestamp::from_nanos(0)).pop().expect("a version");
        assert!(Stage::is_at(&version, "waiting-for-documents"));
        assert!(step.versions(&version, Timestamp::from_nanos(1)).is_empty());
    }

    #[test]
    fn what_was_sent_is_linked_once_and_as_the_profile_has_room() {
        let sent =
            |reference: &str, is_form| SentContent { input: 0, reference: reference.to_owned(), is_form };
        let step = Advance {
            sent: vec![
                sent("DocumentReference/1", false),
                sent("#contained", false),
                sent("QuestionnaireResponse/1", true),
                sent("QuestionnaireResponse/2", true),
            ],
            ..Advance::to(TaskStatus::Completed, Stage::new("submitted", "x"))
        };
        let task = json!({ "resourceType": "Task", "status": "in-progress" });
        let version = step.versions(&task, Timestamp::from_nanos(0)).pop().expect("a version");
        let codes: Vec<_> = version["output"].as_array().expect("outputs").iter().collect();
        let code =
            |at: usize| (&codes[at]["valueReference"]["reference"], &codes[at]["type"]["coding"][0]["code"]);
        assert_eq!(code(0), (&json!("DocumentReference/1"), &json!("attachments-needed")));
        assert_eq!(code(1), (&json!("QuestionnaireResponse/1"), &json!("questionnaire-context")));
        assert_eq!(code(2), (&json!("QuestionnaireResponse/2"), &json!("questionnaire-response")));
        assert_eq!(codes.len(), 3);
        assert!(step.versions(&version, Timestamp::from_nanos(1)).is_empty());
    }
}
