//! Which slice an occurrence belongs to: the one whose tests it passes. FHIR R4, Profiling, Slicing.

use serde_json::Value;

use super::super::outcome::{Issue, IssueType};
use super::super::profile::{Demand, ElementRule, SliceTest, Slicing, SlicingRules, Step};
use super::place::Place;
use super::{Walk, binding, value};

impl<'v> Walk<'_, 'v> {
    /// The slice that an occurrence belongs to, as an index into `slices`.
    pub(super) fn slice_of(&self, slices: &[ElementRule], occurrence: Option<&'v Value>) -> Option<usize> {
        let occurrence = occurrence?;
        slices.iter().position(|slice| slice.tests.iter().all(|test| self.passes(test, occurrence)))
    }

    fn passes(&self, test: &SliceTest, occurrence: &'v Value) -> bool {
        match test.demand {
            Demand::Exists(wanted) => self.is_there(occurrence, None, &test.path, &|_, _| true) == wanted,
            _ => self
                .is_there(occurrence, None, &test.path, &|found, kind| self.meets(&test.demand, found, kind)),
        }
    }

    /// Whether a value that is wanted is found at the path, in any repetition on the way. `kind` is the type
    /// that the property's name tells, where it tells one.
    fn is_there(
        &self,
        value: &'v Value,
        kind: Option<&str>,
        path: &[Step],
        wanted: &dyn Fn(&'v Value, Option<&str>) -> bool,
    ) -> bool {
        if let Value::Array(items) = value {
            return items.iter().any(|item| self.is_there(item, kind, path, wanted));
        }
        let Some((step, rest)) = path.split_first() else { return wanted(value, kind) };
        match step {
            Step::Element(name) => {
                value.get(name).is_some_and(|inner| self.is_there(inner, None, rest, wanted))
            }
            Step::Choice(stem) => value.as_object().is_some_and(|members| {
                members.iter().any(|(key, inner)| {
                    value::kind_of_choice(stem, key)
                        .is_some_and(|kind| self.is_there(inner, Some(kind), rest, wanted))
                })
            }),
            Step::Extension(url) => {
                let extensions = value.get("extension").and_then(Value::as_array).into_iter().flatten();
                extensions
                    .filter(|extension| extension.get("url").is_some_and(|own| own == url))
                    .any(|extension| self.is_there(extension, None, rest, wanted))
            }
            Step::Resolve => self
                .surroundings
                .resolve(value)
                .is_some_and(|target| self.is_there(target, None, rest, wanted)),
            Step::OfType(name) => {
                kind.is_none_or(|kind| value::is_kind(name, kind)) && self.is_there(value, kind, rest, wanted)
            }
        }
    }

    fn meets(&self, demand: &Demand, value: &'v Value, kind: Option<&str>) -> bool {
        match demand {
            Demand::Fixed(fixed) => value == fixed,
            Demand::Pattern(pattern) => value::contains(value, pattern),
            Demand::OneOf(value_sets) => value_sets.iter().any(|set| binding::contains(set, value)),
            Demand::Type(names) => names.iter().any(|name| match (value.get("resourceType"), kind) {
                (Some(resource_type), _) => resource_type == name,
                (None, Some(kind)) => value::is_kind(name, kind),
                (None, None) => false,
            }),
            Demand::Profile(urls) => urls.iter().any(|url| self.keeps(value, url)),
            Demand::Exists(wanted) => *wanted,
        }
    }
}

/// Checks an occurrence that belongs to no slice.
pub(super) fn check_stranger(
    rule: &ElementRule,
    slicing: &Slicing,
    value: Option<&Value>,
    at: &Place<'_>,
    issues: &mut Vec<Issue>,
) {
    if slicing.rules == SlicingRules::Open {
        return;
    }
    let name_step = rule.slices.first().and_then(|slice| match &slice.tests[..] {
        [SliceTest { path, .. }] => match &path[..] {
            [Step::Element(name)] => Some(name),
            _ => None,
        },
        _ => None,
    });
    let names: Vec<&str> = rule.slices.iter().filter_map(|slice| slice.slice.as_deref()).collect();
    let issue = match (name_step, value) {
        (Some(_), value) if !value.is_some_and(Value::is_object) => {
            issues.push(at.error(IssueType::Structure, "must be an object"));
            return;
        }
        (Some(step), Some(value)) if value.get(step).is_none() => {
            at.child(step).error(IssueType::Required, "is required")
        }
        (Some(step), _) => at.child(step).error(IssueType::Value, "is none of those allowed here"),
        (None, _) => at.error(IssueType::Value, "is none of those allowed here"),
    };
    issues.push(issue.advising(format!("Allowed: {}", names.join(", "))));
}
