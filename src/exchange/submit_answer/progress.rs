//! What the next versions of an attachment-request Task say: one version for each step of its status, and on the last
//! one how far the answer is. Pure.

use serde_json::Value;

use super::store::SentContent;
use crate::cdex::GATEWAY_STATUS;
use crate::cdex::task::{TaskStatus, step};
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
        step::versions(task, self.status, now, |last| {
            let Stage { code, text } = &self.stage;
            let last = last.coded_business_status((GATEWAY_STATUS, code), text);
            let last = self.reason.iter().fold(last, |last, reason| last.reason(reason));
            let sent = self.sent.iter().filter(|content| !content.reference.starts_with('#'));
            sent.fold(last, |last, content| last.submitted(&content.reference, content.is_form))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statuses(from: &str, to: &str) -> Vec<&'static str> {
        let task = json!({ "resourceType": "Task", "status": from });
        let to = TaskStatus::from_code(to).expect("a status");
        let versions =
            Advance::to(to, Stage::new("submitted", "x")).versions(&task, Timestamp::from_nanos(0));
        versions.iter().filter_map(TaskStatus::of).map(TaskStatus::as_code).collect()
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
