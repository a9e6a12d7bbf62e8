//! Rules between elements, by FHIR's key for them. There is no FHIRPath here: each is a function.

use serde_json::Value;

use super::super::outcome::{Issue, IssueType};
use super::place::Place;
use super::value::kinds_of_choice;

/// Checks the invariants that FHIR R4 puts on the element at `path`.
pub(super) fn check(path: &str, value: &Value, at: &Place, issues: &mut Vec<Issue>) {
    match path {
        "Parameters.parameter" | "Parameters.parameter.part" => inv_1(value, at, issues),
        _ => {}
    }
}

/// Parameters `inv-1`: a parameter has one of a value, a resource and parts, and only one.
fn inv_1(parameter: &Value, at: &Place, issues: &mut Vec<Issue>) {
    let Some(members) = parameter.as_object() else { return };
    let has_value = !kinds_of_choice("value", members).is_empty();
    let given = [has_value, members.contains_key("resource"), members.contains_key("part")];
    if given.into_iter().filter(|given| *given).count() != 1 {
        issues.push(
            at.error(IssueType::Invariant, "must have exactly one of value, resource and part (inv-1)"),
        );
    }
}
