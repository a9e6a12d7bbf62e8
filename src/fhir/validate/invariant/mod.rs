//! Rules between elements, by FHIR's key for them. There is no FHIRPath here: each is a function of its own,
//! and a profile that names a key without one is refused when it is read. [`cdex`] has those of CDex,
//! [`hrex`] of HRex and SDC, [`us_core`] of US Core.

mod cdex;
mod hrex;
#[cfg(test)]
mod tests;
mod us_core;

use serde_json::Value;

use super::super::datatype::codings;
use super::super::outcome::{Issue, IssueType};
use super::place::Place;
use super::surroundings::Surroundings;
use super::value::kind_of_choice;

/// Whether an invariant holds for the element that it is about.
pub(crate) type Holds = fn(&Value, &Surroundings<'_>) -> bool;

/// The function for a key at the element with this path. US Core uses one key for rules about several elements.
pub(crate) fn find(key: &str, path: &str) -> Option<Holds> {
    cdex::find(key, path).or_else(|| hrex::find(key, path)).or_else(|| us_core::find(key, path))
}

/// Whether FHIR itself states the invariant, so that the structure check knows it.
pub(crate) fn is_base(key: &str) -> bool {
    matches!(key, "ele-1" | "ext-1" | "dom-2" | "dom-3" | "dom-4" | "dom-5" | "dom-6" | "qrs-1" | "ref-1")
}

/// Parameters `inv-1`: a parameter has one of a value, a resource and parts, and only one.
pub(super) fn check_parameter(path: &str, value: &Value, at: &Place<'_>, issues: &mut Vec<Issue>) {
    if !matches!(path, "Parameters.parameter" | "Parameters.parameter.part") {
        return;
    }
    if !value.is_object() {
        return;
    }
    let given = [has_choice(value, "value"), exists(value, "resource"), exists(value, "part")];
    if given.into_iter().filter(|given| *given).count() != 1 {
        issues.push(
            at.error(IssueType::Invariant, "must have exactly one of value, resource and part (inv-1)"),
        );
    }
}

/// The entries of a repeating element.
fn entries<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The codes of a CodeableConcept, of whatever system.
fn codes(concept: Option<&Value>) -> impl Iterator<Item = &str> {
    concept.into_iter().flat_map(codings).filter_map(|coding| coding.code)
}

/// Whether a CodeableConcept has a code of this system.
fn has_coding(concept: Option<&Value>, system: &str, code: &str) -> bool {
    let mut codings = concept.into_iter().flat_map(codings);
    codings.any(|coding| coding.system == Some(system) && coding.code == Some(code))
}

/// Whether a choice element is there, in whatever type.
fn has_choice(value: &Value, stem: &str) -> bool {
    value.as_object().is_some_and(|members| members.keys().any(|key| kind_of_choice(stem, key).is_some()))
}

/// Whether an element is there, if only with extensions in the place of its value.
fn exists(value: &Value, name: &str) -> bool {
    value.get(name).is_some() || value.get(format!("_{name}")).is_some()
}
