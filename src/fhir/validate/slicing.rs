//! Which slice an occurrence belongs to: the one whose fixed or pattern values it has at every
//! discriminator. FHIR R4, Profiling, Slicing.

use serde_json::Value;

use super::super::outcome::{Issue, IssueType};
use super::super::profile::{ElementRule, Slicing, SlicingRules};
use super::place::Place;
use super::value;

/// The slice that an occurrence belongs to, as an index into `slices`.
pub(super) fn slice_of(
    slicing: &Slicing,
    slices: &[ElementRule],
    occurrence: Option<&Value>,
) -> Option<usize> {
    let occurrence = occurrence?;
    slices.iter().position(|slice| {
        slicing.discriminators.iter().all(|path| {
            // The loader has made sure that there is one.
            slice.discriminating(path).is_some_and(|rule| is_there(rule, occurrence, path))
        })
    })
}

/// Whether a value that satisfies `rule` is found at `path`, in any repetition on the way.
fn is_there(rule: &ElementRule, value: &Value, path: &[String]) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| is_there(rule, item, path));
    }
    match path.split_first() {
        None => value::has_demanded_value(rule, value),
        Some((step, rest)) => value.get(step).is_some_and(|inner| is_there(rule, inner, rest)),
    }
}

/// Where a slice is, or would be: `….parameter.where(name='MemberId')`. A slice that no single text makes
/// what it is goes by the element alone.
pub(super) fn place(slicing: &Slicing, slice: &ElementRule, at: &Place) -> Place {
    let place = match &slicing.discriminators[..] {
        [path] => {
            let rule = slice.discriminating(path);
            let text = rule.and_then(|rule| rule.fixed.as_ref().or(rule.pattern.as_ref())?.as_str());
            let path = if path.is_empty() { "$this".to_owned() } else { path.join(".") };
            text.map(|text| at.picked_by(&format!("{path}='{text}'")))
        }
        _ => None,
    };
    place.unwrap_or_else(|| at.clone()).of_slice(slice)
}

/// Checks an occurrence that belongs to no slice.
pub(super) fn check_stranger(
    rule: &ElementRule,
    slicing: &Slicing,
    value: Option<&Value>,
    at: &Place,
    issues: &mut Vec<Issue>,
) {
    if slicing.rules == SlicingRules::Open {
        return;
    }
    let [path] = &slicing.discriminators[..] else {
        issues.push(at.error(IssueType::Value, "is none of those allowed here"));
        return;
    };
    if !path.is_empty() && !value.is_some_and(Value::is_object) {
        issues.push(at.error(IssueType::Structure, "must be an object"));
        return;
    }
    let place = path.iter().fold(at.clone(), |place, step| place.child(step));
    let pointer: String = path.iter().flat_map(|step| ["/", step]).collect();
    let issue = match value.and_then(|value| value.pointer(&pointer)) {
        None => place.error(IssueType::Required, "is required"),
        Some(_) => place.error(IssueType::Value, "is none of those allowed here"),
    };
    let names: Vec<&str> = rule.slices.iter().filter_map(|slice| slice.slice.as_deref()).collect();
    issues.push(issue.advising(format!("Allowed: {}", names.join(", "))));
}
