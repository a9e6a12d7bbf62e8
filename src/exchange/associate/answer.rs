//! What becomes of a Task that a submission answers: its outputs, and its status step by step. Pure.

use serde_json::Value;

use crate::cdex::task::{CdexTask, TaskStatus, step};
use crate::clock::Timestamp;

/// The versions that a Task goes through when resources (as `Type/id`) were submitted for it, one a step; none if it
/// has them all and stands where it should. The last submission completes it (cdex.md 5.3 and 6.1).
pub(super) fn versions(task: &Value, resources: &[&str], is_last: bool, at: Timestamp) -> Vec<Value> {
    let Some(from) = CdexTask::read(task).and_then(|task| task.status) else { return Vec::new() };
    let to = match is_last {
        // An amendment adds outputs and changes nothing else.
        _ if from.is_terminal() => from,
        true => TaskStatus::Completed,
        false => TaskStatus::InProgress,
    };
    step::versions(task, to, at, |last| {
        let is_completed = to == TaskStatus::Completed && from != to;
        let last = if is_completed { last.without_business_status() } else { last };
        resources.iter().fold(last, |last, reference| {
            last.submitted(reference, reference.starts_with("QuestionnaireResponse/"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cdex::task::{PAS_TEMP, SDC_TEMP, TaskKind};

    fn task(status: &str) -> Value {
        let (system, code) = TaskKind::AttachmentQuestionnaire.code();
        json!({ "resourceType": "Task", "status": status,
            "code": { "coding": [{ "system": system, "code": code }] } })
    }

    fn statuses(versions: &[Value]) -> Vec<&str> {
        versions.iter().map(|version| version["status"].as_str().expect("a status")).collect()
    }

    #[test]
    fn each_step_is_a_version_and_the_last_one_has_the_outputs() {
        let at = Timestamp::from_nanos(0);
        for (status, is_last, expected) in [
            ("requested", true, &["accepted", "in-progress", "completed"][..]),
            ("requested", false, &["accepted", "in-progress"]),
            ("accepted", true, &["in-progress", "completed"]),
            ("accepted", false, &["in-progress"]),
            ("on-hold", true, &["in-progress", "completed"]),
            ("in-progress", true, &["completed"]),
            ("in-progress", false, &["in-progress"]),
            ("completed", true, &["completed"]),
            ("completed", false, &["completed"]),
        ] {
            let versions = versions(&task(status), &["DocumentReference/1"], is_last, at);
            assert_eq!(statuses(&versions), expected, "{status} {is_last}");
            for (index, version) in versions.iter().enumerate() {
                assert_eq!(version.get("output").is_some(), index + 1 == versions.len());
                assert!(index == 0 || version["status"] != versions[index - 1]["status"]);
            }
        }
        assert!(
            versions(&json!({ "resourceType": "Task", "status": "requested" }), &["A/1"], true, at)
                .is_empty()
        );
    }

    #[test]
    fn what_is_there_is_not_added_again_and_one_form_takes_the_slice() {
        let at = Timestamp::from_nanos(0);
        let resources = ["QuestionnaireResponse/1", "QuestionnaireResponse/2", "Bundle/3"];
        let done = versions(&task("in-progress"), &resources, true, at).remove(0);
        let found: Vec<(&str, &str)> = done["output"]
            .as_array()
            .expect("outputs")
            .iter()
            .map(|output| {
                let coding = &output["type"]["coding"][0];
                (coding["system"].as_str().expect("a system"), coding["code"].as_str().expect("a code"))
            })
            .collect();
        let expected = [
            (PAS_TEMP, "questionnaire-context"),
            (SDC_TEMP, "questionnaire-response"),
            (PAS_TEMP, "attachments-needed"),
        ];
        assert_eq!(found, expected);
        assert!(versions(&done, &resources, true, at).is_empty(), "nothing is new");
    }
}
