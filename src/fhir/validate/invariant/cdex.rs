//! The invariants of CDex. They look at codes without their systems, as published (cdex.md 3.0): an input of
//! a foreign system satisfies them and fills no slice.

use serde_json::Value;

use super::super::surroundings::Surroundings;
use super::{Holds, codes, entries, exists};

/// The function for a key.
pub(super) fn find(key: &str, path: &str) -> Option<Holds> {
    Some(match (key, path) {
        ("cdex-1", "Task") => service_date_for_a_claim,
        ("cdex-2", "Task.input.value[x]") => date_to_the_day,
        ("cdex-3", "PractitionerRole") => practitioner_or_organization,
        ("cdex-4", "Task") => {
            |task, _| !is_code(task, "attachment-request-code") || has_input(task, "attachments-needed")
        }
        ("cdex-5", "Task") => |task, _| {
            !is_code(task, "attachment-request-questionnaire") || has_input(task, "questionnaire-context")
        },
        ("cdex-6", "Task") => {
            |task, _| !(has_input(task, "attachments-needed") && has_input(task, "questionnaire-context"))
        }
        ("cdex-7", "Task") => |task, _| !is_code(task, "data-request-code") || has_input(task, "data-code"),
        ("cdex-8", "Task") => {
            |task, _| !is_code(task, "data-request-questionnaire") || has_input(task, "questionnaire")
        }
        ("cdex-9", "Task") => one_request,
        ("cdex-10", "Task") => |task, _| {
            !completed(task, "attachment-request-questionnaire") || has_output(task, "questionnaire-context")
        },
        ("cdex-11", "Task") => |task, _| {
            !completed(task, "data-request-questionnaire") || has_output(task, "questionnaire-response")
        },
        ("cdex-12", "Task") => {
            |task, _| !is_code(task, "data-request-query") || has_input(task, "data-query")
        }
        _ => return None,
    })
}

/// `cdex-1`
fn service_date_for_a_claim(task: &Value, _: &Surroundings<'_>) -> bool {
    !codes(task.get("reasonCode")).any(|code| code == "claim") || has_input(task, "service-date")
}

/// `cdex-2`
fn date_to_the_day(date: &Value, _: &Surroundings<'_>) -> bool {
    date.as_str().is_none_or(|date| date.len() == "2025-01-31".len())
}

/// `cdex-3`
fn practitioner_or_organization(role: &Value, _: &Surroundings<'_>) -> bool {
    ["practitioner", "organization"]
        .into_iter()
        .any(|party| role.get(party).is_some_and(|party| exists(party, "identifier")))
}

/// `cdex-9`: counts codings, as published, so that one input coded in two ways is two.
fn one_request(task: &Value, _: &Surroundings<'_>) -> bool {
    let inputs = entries(task, "input").flat_map(|input| codes(input.get("type")));
    inputs.filter(|code| matches!(*code, "data-query" | "data-code" | "questionnaire")).count() == 1
}

fn is_code(task: &Value, wanted: &str) -> bool {
    codes(task.get("code")).any(|code| code == wanted)
}

fn completed(task: &Value, code: &str) -> bool {
    is_code(task, code) && task.get("status").is_some_and(|status| status == "completed")
}

fn has_input(task: &Value, wanted: &str) -> bool {
    has_typed(task, "input", wanted)
}

fn has_output(task: &Value, wanted: &str) -> bool {
    has_typed(task, "output", wanted)
}

fn has_typed(task: &Value, element: &str, wanted: &str) -> bool {
    entries(task, element).flat_map(|entry| codes(entry.get("type"))).any(|code| code == wanted)
}
