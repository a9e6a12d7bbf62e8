//! The invariants of HRex, and those of SDC that CDex takes over with US Core's QuestionnaireResponse.

use std::collections::HashSet;

use serde_json::Value;

use super::super::surroundings::Surroundings;
use super::{Holds, entries, exists, has_choice, has_coding};

const HREX_TEMP: &str = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp";
const BIRTH_SEX: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex";

/// The function for a key.
pub(super) fn find(key: &str, path: &str) -> Option<Holds> {
    Some(match (key, path) {
        ("tdr-1", "Task") => one_query_or_code,
        ("tdr-2", "Task") => reason_for_a_refusal,
        ("tdr-3", "Task") => output_of_what_is_completed,
        ("hrex-pat-1", "Patient") => gender_or_birth_sex,
        ("sdcqr-1", "QuestionnaireResponse") => |response, _| exists(response, "subject"),
        ("sdcqr-2", "QuestionnaireResponse") => |response, _| has_distinct_link_ids(response),
        _ => return None,
    })
}

/// `tdr-1`: unlike `cdex-9` it looks at the system, and counts inputs.
fn one_query_or_code(task: &Value, _: &Surroundings<'_>) -> bool {
    let is_request = |input: &&Value| {
        ["data-query", "data-code"].into_iter().any(|code| has_coding(input.get("type"), HREX_TEMP, code))
    };
    entries(task, "input").filter(is_request).count() == 1
}

/// `tdr-2`
fn reason_for_a_refusal(task: &Value, _: &Surroundings<'_>) -> bool {
    let is_refused = task.get("status").is_some_and(|status| status == "rejected" || status == "failed");
    !is_refused || exists(task, "statusReason")
}

/// `tdr-3`
fn output_of_what_is_completed(task: &Value, _: &Surroundings<'_>) -> bool {
    task.get("status").is_none_or(|status| status != "completed") || exists(task, "output")
}

/// `hrex-pat-1`
fn gender_or_birth_sex(patient: &Value, _: &Surroundings<'_>) -> bool {
    let mut extensions = entries(patient, "extension");
    exists(patient, "gender") || extensions.any(|extension| extension["url"] == BIRTH_SEX)
}

/// `sdcqr-2`: among items side by side, a question that is answered is there once.
fn has_distinct_link_ids(response: &Value) -> bool {
    let mut answered = HashSet::new();
    let distinct = entries(response, "item").all(|item| {
        let link_id = item.get("linkId").and_then(Value::as_str);
        let has_value = entries(item, "answer").any(|answer| has_choice(answer, "value"));
        !has_value || link_id.is_none_or(|link_id| answered.insert(link_id))
    });
    distinct
        && entries(response, "item")
            .all(|item| has_distinct_link_ids(item) && entries(item, "answer").all(has_distinct_link_ids))
}
