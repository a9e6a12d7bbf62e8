//! Whether codes are in the value sets that an element is bound to.

use serde_json::Value;

use super::super::datatype::{Coding, codings};
use super::super::outcome::{Issue, IssueType};
use super::super::profile::{Binding, BindingStrength, Profiles};
use super::place::Place;

/// Checks a code, Coding or CodeableConcept. One coding in the set is enough: the others translate it.
pub(super) fn check(
    binding: &Binding,
    value: &Value,
    at: &Place,
    profiles: &Profiles,
    issues: &mut Vec<Issue>,
) {
    let bound = binding.value_sets.iter().filter_map(|url| profiles.value_set(url)).any(|set| match value {
        Value::String(code) => set.contains_code(code),
        concept if concept.get("coding").is_some() => codings(concept).any(|coding| set.contains(coding)),
        coding => set.contains(Coding::of(coding)),
    });
    if bound {
        return;
    }
    let value_sets = format!("Value set: {}", binding.value_sets.join(" or "));
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
