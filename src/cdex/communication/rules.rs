//! What the profiles of the older CDex demand beyond R4 (cdex §9.2), as tables. They bind what claims a profile, and
//! a Communication or CommunicationRequest that uses an extension of theirs; everything else is plain R4.

use serde_json::Value;

use super::{
    CLINICAL_NOTE_TYPE, QUERY_STRING, claims, extension, extensions, has_payload_extension, is_push, list,
    pushed, text,
};
use crate::fhir::datatype::codings;
use crate::fhir::{Issue, IssueType};

/// The code system of `Task.code`.
const TASK_CODE: &str = "http://hl7.org/fhir/CodeSystem/task-code";
const LOINC: &str = "http://loinc.org";

/// What a Communication needs.
const COMMUNICATION: &[&str] = &["subject", "recipient", "sender", "payload"];
/// What a CommunicationRequest needs.
const COMMUNICATION_REQUEST: &[&str] = &["subject", "payload", "requester", "recipient", "sender"];
/// What a Task needs.
const TASK: &[&str] = &["identifier", "focus", "for", "requester", "owner"];
/// The type that a Bundle of each profile has.
const BUNDLES: [(&str, &str); 3] = [
    ("cdex-document-bundle", "document"),
    ("cdex-searchset-bundle", "searchset"),
    ("cdex-transaction-bundle", "transaction"),
];

/// Everything that is wrong with a resource of the older CDex, and warnings about codes; nothing about others.
pub(crate) fn check(resource: &Value) -> Vec<Issue> {
    let mut issues = Vec::new();
    match text(resource, "resourceType") {
        Some("Communication") => {
            if claims(resource, "cdex-communication") || has_payload_extension(resource) {
                require(resource, "Communication", COMMUNICATION, &mut issues);
                check_payloads(resource, "Communication", &mut issues);
            }
            check_that_it_carries(resource, &mut issues);
        }
        Some("CommunicationRequest")
            if claims(resource, "cdex-communicationrequest") || has_payload_extension(resource) =>
        {
            require(resource, "CommunicationRequest", COMMUNICATION_REQUEST, &mut issues);
            check_payloads(resource, "CommunicationRequest", &mut issues);
        }
        Some("Task") if claims(resource, "cdex-task") => check_task(resource, &mut issues),
        Some("Bundle") => {
            for (profile, bundle_type) in BUNDLES.iter().filter(|(profile, _)| claims(resource, profile)) {
                if text(resource, "type") != Some(bundle_type) {
                    let rule = format!("A Bundle of the profile {profile} has the type {bundle_type}");
                    issues.push(Issue::error(IssueType::Value, "Bundle.type", rule));
                }
            }
        }
        _ => {}
    }
    issues
}

/// A push brings something (cdex §9.5). One that did not happen, or not yet, may come without.
fn check_that_it_carries(communication: &Value, issues: &mut Vec<Issue>) {
    let is_sent = matches!(text(communication, "status"), Some("completed" | "in-progress"));
    if is_sent && is_push(communication) && pushed(communication).is_empty() {
        let rule =
            "A Communication that is pushed carries a payload with an attachment or a reference to one";
        let advice = "Give contentAttachment data or a url, or contentReference a reference";
        issues.push(Issue::error(IssueType::BusinessRule, "Communication.payload", rule).advising(advice));
    }
}

fn require(resource: &Value, resource_type: &str, elements: &[&str], issues: &mut Vec<Issue>) {
    for element in elements {
        let is_there = match resource.get(element) {
            Some(Value::Array(list)) => !list.is_empty(),
            other => other.is_some(),
        };
        if !is_there {
            let rule = format!("The CDex profile of 2019 demands {element}");
            issues.push(Issue::error(IssueType::Required, format!("{resource_type}.{element}"), rule));
        }
    }
}

fn check_payloads(resource: &Value, resource_type: &str, issues: &mut Vec<Issue>) {
    for (index, payload) in list(resource, "payload").enumerate() {
        let at = format!("{resource_type}.payload[{index}]");
        for name in [QUERY_STRING, CLINICAL_NOTE_TYPE] {
            if extensions(payload, name).count() > 1 {
                let rule = format!("A payload has the extension {name} at most once");
                issues.push(Issue::error(IssueType::Structure, format!("{at}.extension"), rule));
            }
        }
        if extension(payload, QUERY_STRING).is_some_and(|found| text(found, "valueString").is_none()) {
            let rule = format!("The value of {QUERY_STRING} is a valueString");
            issues.push(Issue::error(IssueType::Value, format!("{at}.extension.valueString"), rule));
        }
        if let Some(found) = extension(payload, CLINICAL_NOTE_TYPE) {
            let at = format!("{at}.extension.valueCodeableConcept");
            match found.get("valueCodeableConcept") {
                None => {
                    let rule = format!("The value of {CLINICAL_NOTE_TYPE} is a valueCodeableConcept");
                    issues.push(Issue::error(IssueType::Value, at, rule));
                }
                // The binding is extensible, and all its codes are LOINC's.
                Some(concept) if !codings(concept).any(|coding| coding.system == Some(LOINC)) => {
                    let rule = "The kind of a note should be told by a LOINC code";
                    issues.push(Issue::error(IssueType::CodeInvalid, at, rule).into_warning());
                }
                Some(_) => {}
            }
        }
    }
}

fn check_task(task: &Value, issues: &mut Vec<Issue>) {
    require(task, "Task", TASK, issues);
    if text(task, "intent") != Some("order") {
        issues.push(Issue::error(
            IssueType::Value,
            "Task.intent",
            "The intent of a CDex Task of 2019 is order",
        ));
    }
    let mut codes = task.get("code").into_iter().flat_map(codings);
    if !codes.any(|coding| coding.system == Some(TASK_CODE) && coding.code == Some("fulfill")) {
        let rule = "The code of a CDex Task of 2019 is fulfill of HL7's task codes";
        issues.push(Issue::error(IssueType::Value, "Task.code", rule));
    }
}
