//! What becomes of a Task that a submission answers: its outputs, and its status step by step. Pure.

use serde_json::{Value, json};

use crate::cdex::task::{CdexTask, Output, SDC_TEMP, TaskStatus};
use crate::clock::Timestamp;

/// The versions that a Task goes through when resources (as `Type/id`) were submitted for it, one a step; none if it has
/// them all and stands where it should. The last submission completes it (cdex.md 5.3 and 6.1).
pub(super) fn versions(task: &Value, resources: &[&str], is_last: bool, at: Timestamp) -> Vec<Value> {
    let Some(status) = CdexTask::read(task).and_then(|task| task.status) else { return Vec::new() };
    let mut answered = task.clone();
    let has_new = add_outputs(&mut answered, resources);
    let steps = steps(status, is_last);
    if steps.is_empty() && !has_new {
        return Vec::new();
    }
    let last = steps.last().copied().unwrap_or(status);
    let before = steps.iter().rev().skip(1).rev().map(|step| moved(task.clone(), *step, at));
    before.chain([moved(answered, last, at)]).collect()
}

/// The steps to where a Task stands once it is answered, or answered in part.
fn steps(status: TaskStatus, is_last: bool) -> Vec<TaskStatus> {
    use TaskStatus::{Accepted, Completed, Failed, InProgress, OnHold, Rejected, Requested};
    let mut steps = match status {
        Requested => vec![Accepted, InProgress],
        Accepted | OnHold => vec![InProgress],
        InProgress => vec![],
        // An amendment adds outputs and changes nothing else.
        Completed | Rejected | Failed => return Vec::new(),
    };
    steps.extend(is_last.then_some(Completed));
    steps
}

fn moved(mut task: Value, status: TaskStatus, at: Timestamp) -> Value {
    task["status"] = status.as_code().into();
    task["lastModified"] = at.to_string().into();
    let is_over = status == TaskStatus::Completed;
    if let Some(members) = task.as_object_mut().filter(|_| is_over) {
        // What it said of the steps before is over too.
        members.shift_remove("businessStatus");
    }
    task
}

/// Adds what is not there; whether anything was not.
fn add_outputs(task: &mut Value, resources: &[&str]) -> bool {
    let mut outputs = task.get("output").and_then(Value::as_array).cloned().unwrap_or_default();
    let before = outputs.len();
    for resource in resources {
        if outputs.iter().any(|output| output["valueReference"]["reference"] == *resource) {
            continue;
        }
        let is_form = |output: &Value| {
            let (system, code) = Output::QuestionnaireContext.code();
            let codings = output["type"]["coding"].as_array();
            codings.into_iter().flatten().any(|coding| coding["system"] == system && coding["code"] == code)
        };
        let (system, code) = match resource.starts_with("QuestionnaireResponse/") {
            false => Output::Attachment.code(),
            true if !outputs.iter().any(is_form) => Output::QuestionnaireContext.code(),
            // cdex.md 10, row 12: the slice takes one.
            true => (SDC_TEMP, "questionnaire-response"),
        };
        outputs.push(json!({
            "type": { "coding": [{ "system": system, "code": code }] },
            "valueReference": { "reference": resource },
        }));
    }
    let has_new = outputs.len() > before;
    if has_new {
        task["output"] = Value::Array(outputs);
    }
    has_new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdex::task::{PAS_TEMP, TaskKind};

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
