//! Whether codes are in the value sets that an element is bound to.

use serde_json::Value;

use super::super::datatype::{Coding, codings};
use super::super::outcome::{Issue, IssueType};
use super::super::profile::{Binding, BindingStrength, ValueSet};
use super::place::Place;

/// Checks a code, Coding or CodeableConcept.
pub(super) fn check(binding: &Binding, value: &Value, at: &Place<'_>, issues: &mut Vec<Issue>) {
    // FHIR R4, extensible: where no code of the set fits, another or words alone may stand in its place.
    let is_in_words = value.get("coding").is_none() && value.get("text").is_some();
    if is_in_words && binding.strength == BindingStrength::Extensible {
        return;
    }
    if !is_coded(value) || binding.value_sets.iter().any(|value_set| contains(value_set, value)) {
        return;
    }
    let urls: Vec<&str> = binding.value_sets.iter().map(|value_set| value_set.url.as_str()).collect();
    let value_sets = format!("Value set: {}", urls.join(" or "));
    issues.push(match binding.strength {
        BindingStrength::Required => {
            at.error(IssueType::CodeInvalid, "has a code outside its required value set").advising(value_sets)
        }
        BindingStrength::Extensible => at
            .error(IssueType::CodeInvalid, "has no code of its extensible value set")
            .into_warning()
            .advising(value_sets),
    });
}

/// Whether a value has a code of the set. One coding in the set is enough: the others translate it.
pub(super) fn contains(value_set: &ValueSet, value: &Value) -> bool {
    match value {
        Value::String(code) => value_set.contains_code(code),
        concept if concept.get("coding").is_some() => {
            codings(concept).any(|coding| value_set.contains(coding))
        }
        coding => value_set.contains(Coding::of(coding)),
    }
}

/// Whether a binding can speak of the value. cdex-task-attachment-request binds the whole of `Task.input`,
/// which has no code of its own.
fn is_coded(value: &Value) -> bool {
    let is_member = |key: &str| matches!(key, "coding" | "text" | "system" | "code" | "display");
    value.as_object().is_none_or(|members| members.keys().any(|key| is_member(key)))
}
