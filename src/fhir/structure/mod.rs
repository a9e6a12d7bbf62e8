//! Whether a resource is one of FHIR R4: known elements of the right JSON type, arrays where elements repeat, nothing
//! null or empty, every required element, the form of each primitive, the codes of required bindings, the types that
//! references may have, and the invariants that R4 publishes. One walk names every offending element at once, before
//! profiles are looked at.
//!
//! [`walk`] goes through the resource with the facts of [`super::r4`]; [`mod@reference`] and [`invariant`] judge what
//! one element does not show alone; [`problem`] says what each problem is called. Nesting is bounded before, by the
//! scanner.

mod invariant;
mod place;
mod problem;
mod reference;
#[cfg(test)]
mod tests;
mod walk;

use serde_json::Value;

use self::place::Place;
use self::walk::Walk;
use super::Issue;

/// How much is asked of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Only what no reader could make sense of: unknown elements, wrong JSON types, nulls and empty values. For what is
    /// passed on as received.
    Shape,
    /// All rules; missing elements, codes, reference targets and invariants are warnings. For a partner whose data are
    /// known to be less than perfect.
    Lenient,
    /// All rules.
    Strict,
}

/// Checks a resource; `at` is its path.
pub(crate) fn check(resource: &Value, at: &str, mode: Mode) -> Vec<Issue> {
    let mut walk = Walk::new(mode);
    walk.resource(resource, &Place::start(at), None);
    walk.into_issues()
}
