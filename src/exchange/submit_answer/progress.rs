//! What the next versions of an attachment-request Task say: one version for each step of its status, and on the last
//! one how far the answer is. Pure.

use serde_json::{Value, json};

use crate::cdex::GATEWAY_STATUS;
use crate::cdex::attachment_request::{PAS_TEMP, QUESTIONNAIRE_CONTEXT, outputs};
use crate::clock::Timestamp;

use super::store::SentContent;

/// The code system of SDC, for outputs that the profile has no room for.
const SDC_TEMP: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";

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

    fn to_json(&self) -> Value {
        json!({ "coding": [{ "system": GATEWAY_STATUS, "code": self.code }], "text": self.text })
    }
}

/// What a Task becomes.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Its status.
    pub(super) status: &'static str,
    /// How far it is.
    pub(super) stage: Stage,
    /// Why it was not done, where it was not.
    pub(super) reason: Option<String>,
    /// What was sent and is to be linked.
    pub(super) linked: Vec<SentContent>,
}

impl Step {
    /// A step to a status that needs no reason and links nothing.
    pub(super) fn to(status: &'static str, stage: Stage) -> Self {
        Self { status, stage, reason: None, linked: Vec::new() }
    }

    /// The versions that lead there; none if the Task says all of it.
    pub(super) fn versions(&self, task: &Value, now: Timestamp) -> Vec<Value> {
        let path = path(status_of(task), self.status);
        let mut version = task.clone();
        version["lastModified"] = now.to_string().into();
        let mut versions = Vec::new();
        for status in path {
            version["status"] = (*status).into();
            versions.push(version.clone());
        }
        version["status"] = self.status.into();
        version["businessStatus"] = self.stage.to_json();
        if let Some(reason) = &self.reason {
            version["statusReason"] = json!({ "text": reason });
        }
        self.link(&mut version);
        let says_it = |name: &str| version.get(name) == task.get(name);
        if !["status", "businessStatus", "statusReason", "output"].into_iter().all(says_it) {
            versions.push(version);
        }
        versions
    }

    /// Adds outputs for what was sent, unless somebody linked it before.
    fn link(&self, task: &mut Value) {
        for content in &self.linked {
            let known = outputs(task);
            let is_contained = content.reference.starts_with('#');
            if is_contained || known.iter().any(|output| output.reference == content.reference) {
                continue;
            }
            // cdex §10, row 12: the profile has room for one answer to a Questionnaire; others are of another type.
            let is_further =
                content.output == QUESTIONNAIRE_CONTEXT && known.iter().any(|output| output.is_questionnaire);
            let coding = match is_further {
                true => json!({ "system": SDC_TEMP, "code": "questionnaire-response" }),
                false => json!({ "system": PAS_TEMP, "code": content.output }),
            };
            let output = json!({ "type": { "coding": [coding] }, "valueReference": { "reference": content.reference } });
            match task.get_mut("output").and_then(Value::as_array_mut) {
                Some(outputs) => outputs.push(output),
                None => task["output"] = json!([output]),
            }
        }
    }
}

/// The status of a Task.
pub(super) fn status_of(task: &Value) -> &str {
    task.get("status").and_then(Value::as_str).unwrap_or_default()
}

/// Whether nothing happens any more to a Task of this status (cdex §6.1).
pub(super) fn is_terminal(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "rejected" | "cancelled" | "entered-in-error")
}

/// The statuses between two, in order (cdex §6.1): the gateway skips none.
fn path(from: &str, to: &str) -> &'static [&'static str] {
    const ALL: [&str; 2] = ["accepted", "in-progress"];
    let between: &[&str] = match from {
        "requested" => &ALL,
        "accepted" | "on-hold" => &ALL[1..],
        _ => &[],
    };
    match to {
        "rejected" => &[],
        "accepted" => &[],
        "in-progress" => &between[..between.len().saturating_sub(1)],
        "on-hold" if from == "on-hold" => &[],
        _ => between,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(from: &str, to: &'static str) -> Vec<String> {
        let task = json!({ "resourceType": "Task", "status": from });
        let step = Step::to(to, Stage::new("submitted", "x"));
        let versions = step.versions(&task, Timestamp::from_nanos(0));
        versions.iter().map(|version| status_of(version).to_owned()).collect()
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
        let step = Step::to("in-progress", Stage::new("waiting-for-documents", "x"));
        let version = step.versions(&task, Timestamp::from_nanos(0)).pop().expect("a version");
        assert!(Stage::is_at(&version, "waiting-for-documents"));
        assert!(step.versions(&version, Timestamp::from_nanos(1)).is_empty());
    }

    #[test]
    fn what_was_sent_is_linked_once_and_as_the_profile_has_room() {
        let sent = |reference: &str, output: &str| SentContent {
            input: 0,
            reference: reference.to_owned(),
            output: output.to_owned(),
        };
        let step = Step {
            linked: vec![
                sent("DocumentReference/1", "attachments-needed"),
                sent("#contained", "attachments-needed"),
                sent("QuestionnaireResponse/1", QUESTIONNAIRE_CONTEXT),
                sent("QuestionnaireResponse/2", QUESTIONNAIRE_CONTEXT),
            ],
            ..Step::to("completed", Stage::new("submitted", "x"))
        };
        let task = json!({ "resourceType": "Task", "status": "in-progress" });
        let version = step.versions(&task, Timestamp::from_nanos(0)).pop().expect("a version");
        let codes: Vec<_> = version["output"].as_array().expect("outputs").iter().collect();
        let code =
            |at: usize| (&codes[at]["valueReference"]["reference"], &codes[at]["type"]["coding"][0]["code"]);
        assert_eq!(code(0), (&json!("DocumentReference/1"), &json!("attachments-needed")));
        assert_eq!(code(1), (&json!("QuestionnaireResponse/1"), &json!(QUESTIONNAIRE_CONTEXT)));
        assert_eq!(code(2), (&json!("QuestionnaireResponse/2"), &json!("questionnaire-response")));
        assert_eq!(codes.len(), 3);
        assert!(step.versions(&version, Timestamp::from_nanos(1)).is_empty());
    }
}
