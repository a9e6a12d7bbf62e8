//! Our copy of a Task that lives at a partner. It is a mirror: its status is the one seen there, whatever the state
//! machine of our own Tasks says, and what the partner calls its progress comes along. Only the outputs are ours: they
//! name what was collected.

use serde_json::{Value, json};

use crate::cdex::tag;
use crate::cdex::task::CdexTask;
use crate::clock::Timestamp;
use crate::fhir::{self, datatype, reference};

/// The elements of the partner's Task that ours repeats.
const REPEATED: [&str; 3] = ["status", "statusReason", "businessStatus"];

/// What our copy says while the request waits for its delivery.
pub(crate) const WAITING: &str = "Waiting to be sent to the partner";

/// What it says once the partner has the request.
pub(crate) const SENT: &str = "Sent to the partner";

/// What it says while the partner cannot be asked.
pub(crate) const UNREACHABLE: &str = "The partner cannot be asked at the moment";

/// What it says while outputs are being fetched.
pub(crate) const COLLECTING: &str = "The partner has answered; the outputs are being collected";

/// Why a request has failed that the partner never took.
pub(crate) const UNDELIVERED: &str = "The partner did not take the request";

/// Why a request has failed whose Task is gone.
pub(crate) const LOST: &str = "The partner has the request no longer";

/// Why a request has failed of whose outputs none came through.
pub(crate) const NO_OUTPUT: &str = "The partner has answered, but none of the outputs could be collected";

/// What it says where some of what was named could not be had.
pub(crate) const INCOMPLETE: &str = "Some of what the partner named could not be collected";

/// Why a request has failed whose outputs the partner has not let us at, however often it was asked.
pub(crate) const SHUT_OUT: &str = "The partner has answered, but does not let this gateway read the outputs";

/// What it says where that was so of some of them.
pub(crate) const SHUT_OUT_IN_PART: &str = "The partner does not let this gateway read some of the outputs";

/// Whether a Task will change no more by itself.
pub(crate) fn is_over(task: &Value) -> bool {
    matches!(
        task["status"].as_str(),
        Some("completed" | "failed" | "rejected" | "cancelled" | "entered-in-error")
    )
}

/// Whether the outputs of a completed Task are to be collected. Attachments come by `$submit-attachment`.
pub(crate) fn has_outputs(task: &Value) -> bool {
    let has_any = task["output"].as_array().is_some_and(|outputs| !outputs.is_empty());
    has_any && !CdexTask::read(task).is_some_and(|task| task.kind.is_attachment_request())
}

/// The first version of our copy: what was sent, with the tag that says so. What it names at the partner is named so
/// that nobody takes it for ours.
pub(crate) fn first_copy(sent: &Value, partner_base: &str) -> Value {
    let mut copy = sent.clone();
    tag::add(&mut copy, tag::SENT);
    if let Some(Value::String(target)) = copy["for"].get_mut("reference")
        && let Some(absolute) = absolute(target, partner_base)
    {
        *target = absolute;
    }
    copy["businessStatus"] = json!({ "text": WAITING });
    copy
}

/// A relative reference of the partner's as an absolute one; none if it is no such reference.
pub(crate) fn absolute(target: &str, partner_base: &str) -> Option<String> {
    let mut segments = target.split('/');
    let is_local = !reference::is_absolute(target)
        && segments.next().is_some_and(|name| fhir::resource_type(name).is_some())
        && segments.next().is_some_and(datatype::is_id);
    is_local.then(|| format!("{partner_base}/{target}"))
}

/// Where a Task is at a partner, as the `Location` of its creation says: `Task/12`. Whatever the host of that URL is,
/// we ask below the base that we know.
pub(crate) fn place_of(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next()?;
    let segments: Vec<&str> = path.split('/').collect();
    let found = segments.windows(2).rfind(|pair| pair[0] == "Task" && datatype::is_id(pair[1]))?;
    Some(found.join("/"))
}

/// The copy with another business status; none if it has it.
pub(crate) fn told(copy: &Value, text: &str, now: Timestamp) -> Option<Value> {
    if copy["businessStatus"]["text"] == text {
        return None;
    }
    let mut next = copy.clone();
    next["businessStatus"] = json!({ "text": text });
    next["lastModified"] = now.to_string().into();
    Some(next)
}

/// The copy of a request that has failed on our side.
pub(crate) fn failed(copy: &Value, reason: &str, now: Timestamp) -> Value {
    let mut next = copy.clone();
    next["status"] = "failed".into();
    next["statusReason"] = json!({ "text": reason });
    if let Some(next) = next.as_object_mut() {
        next.remove("businessStatus");
    }
    next["lastModified"] = now.to_string().into();
    next
}

/// The copy after the partner's Task was seen; none if it says the same. A status that R4 does not know changes
/// nothing.
pub(crate) fn followed(copy: &Value, seen: &Value, now: Timestamp) -> Option<Value> {
    if !seen["status"].as_str().is_some_and(is_status) {
        return None;
    }
    if REPEATED.iter().all(|element| copy.get(element) == seen.get(element)) {
        return None;
    }
    let mut next = copy.clone();
    for element in REPEATED {
        match seen.get(element) {
            Some(value) => next[element] = value.clone(),
            None => {
                if let Some(next) = next.as_object_mut() {
                    next.shift_remove(element);
                }
            }
        }
    }
    next["lastModified"] = now.to_string().into();
    Some(next)
}

/// The copy of a completed Task, with outputs of ours.
pub(crate) fn completed(copy: &Value, seen: &Value, outputs: Vec<Value>, now: Timestamp) -> Value {
    let mut next = followed(copy, seen, now).unwrap_or_else(|| copy.clone());
    next["output"] = outputs.into();
    next
}

/// FHIR R4 `task-status`.
fn is_status(code: &str) -> bool {
    matches!(
        code,
        "draft"
            | "requested"
            | "received"
            | "accepted"
            | "rejected"
            | "ready"
            | "cancelled"
            | "in-progress"
            | "on-hold"
            | "failed"
            | "completed"
            | "entered-in-error"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> Value {
        let sent = json!({
            "resourceType": "Task", "meta": { "profile": ["p"] }, "status": "requested",
            "for": { "reference": "Patient/1", "identifier": { "value": "m" } },
        });
        first_copy(&sent, "https://ehr.example/fhir")
    }

    fn now() -> Timestamp {
        Timestamp::from_nanos(0)
    }

    #[test]
    fn the_copy_names_the_patient_where_the_patient_is() {
        let copy = copy();
        assert_eq!(copy["for"]["reference"], "https://ehr.example/fhir/Patient/1");
        assert!(tag::has(&copy, tag::SENT));
        for (target, expected) in [
            ("Patient/1", Some("b/Patient/1")),
            ("Patient/1/_history/2", Some("b/Patient/1/_history/2")),
            ("#patient", None),
            ("urn:uuid:1", None),
            ("https://other.example/Patient/1", None),
            ("Nothing/1", None),
            ("Patient", None),
        ] {
            assert_eq!(absolute(target, "b").as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn the_place_of_a_task_is_read_from_whatever_location_a_server_gives() {
        for (location, expected) in [
            ("https://ehr.example/fhir/Task/12/_history/1", Some("Task/12")),
            ("http://inside:8080/Task/12", Some("Task/12")),
            ("Task/12", Some("Task/12")),
            ("https://ehr.example/Task/fhir/Task/12?_format=json", Some("Task/12")),
            ("https://ehr.example/fhir/Task", None),
            ("https://ehr.example/fhir/Task/", None),
            ("https://ehr.example/fhir/Task/a%2Fb", None),
            ("", None),
        ] {
            assert_eq!(place_of(location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn the_copy_repeats_what_the_partner_says_and_nothing_else() {
        let seen = json!({
            "resourceType": "Task", "status": "rejected", "statusReason": { "text": "no" }, "intent": "plan",
            "output": [{ "valueString": "x" }],
        });
        let next = followed(&copy(), &seen, now()).expect("it changes");
        assert_eq!((&next["status"], &next["statusReason"]), (&seen["status"], &seen["statusReason"]));
        assert!(["businessStatus", "intent", "output"].iter().all(|element| next.get(element).is_none()));
        assert_eq!(followed(&next, &seen, now()), None);
        assert_eq!(followed(&next, &json!({ "status": "gone" }), now()), None);
        assert!(is_over(&next) && !is_over(&copy()));
    }

    #[test]
    fn a_completed_copy_has_outputs_of_ours_alone() {
        let seen =
            json!({ "status": "completed", "output": [{ "valueReference": { "reference": "#results" } }] });
        assert!(has_outputs(&seen));
        let outputs = vec![json!({ "valueReference": { "reference": "Condition/1" } })];
        let next = completed(&copy(), &seen, outputs.clone(), now());
        assert_eq!((&next["status"], &next["output"]), (&json!("completed"), &Value::from(outputs)));
    }

    #[test]
    fn what_is_told_is_told_once_and_a_failure_has_its_reason() {
        let sent = told(&copy(), SENT, now()).expect("it changes");
        assert_eq!(told(&sent, SENT, now()), None);
        let next = failed(&sent, UNDELIVERED, now());
        assert_eq!((&next["status"], &next["statusReason"]["text"]), (&json!("failed"), &json!(UNDELIVERED)));
        assert!(next.get("businessStatus").is_none());
    }
}
