//! Holds a resource to a profile and reports everything that is wrong with it, in one go.
//!
//! [`validate`] walks the profile's element rules and the JSON side by side: [`cardinality`] counts,
//! [`slicing`] tells occurrences apart, [`value`] looks at types, fixed values and patterns, [`binding`] at
//! codes and [`invariant`] at rules between elements. Elements that a profile does not mention, extensions
//! among them, are no concern of this folder, and it never repeats a value in a text.
//!
//! Expressions follow one scheme. An occurrence that at most one may exist of is named by what makes it
//! that one, `Parameters.parameter.where(name='MemberId').value`, whether it is missing or wrong; one that
//! may repeat, or that is unknown, by its index, `Parameters.parameter[7].part.where(name='Content')`.

mod binding;
mod cardinality;
mod invariant;
mod place;
mod slicing;
#[cfg(test)]
mod tests;
mod value;

use serde_json::{Map, Value};

use self::place::Place;
use super::outcome::{Issue, IssueType};
use super::profile::{ElementRule, Profiles, Slicing};

/// When to stop looking: an answer must not grow with the number of mistakes that fit into a body.
const MOST_ISSUES: usize = 500;

/// Everything in `resource` that breaks a rule of the profile with this canonical URL: errors, and warnings
/// about codes outside extensible bindings. The resource's own type is the first thing looked at.
pub(crate) fn validate(resource: &Value, profile: &str, profiles: &Profiles) -> Vec<Issue> {
    let Some(structure) = profiles.structure(profile) else {
        return vec![Issue::refusal(IssueType::Exception, "The rules of this profile are not loaded")];
    };
    let root = &structure.root;
    let place = Place::root(root);
    if resource.get("resourceType").and_then(Value::as_str) != Some(&root.name) {
        let text = format!("A resource of type {} is expected", root.name);
        return vec![Issue::error(IssueType::Structure, place.expression, text)];
    }
    let mut walk = Walk { profiles, issues: Vec::new() };
    walk.occurrence(root, Some(resource), None, &place);
    if walk.issues.len() >= MOST_ISSUES {
        walk.issues.push(Issue::information("There may be more issues; looking for them ended here"));
    }
    walk.issues
}

struct Walk<'p> {
    profiles: &'p Profiles,
    issues: Vec<Issue>,
}

impl Walk<'_> {
    /// Checks one occurrence of an element. A primitive that has extensions only is there without a value.
    fn occurrence(&mut self, rule: &ElementRule, value: Option<&Value>, kind: Option<&str>, at: &Place) {
        let Some(value) = value else { return };
        let kind = kind.or_else(|| rule.types.first().map(String::as_str));
        let well_formed = value::check(rule, value, kind, at, &mut self.issues);
        if !well_formed {
            return;
        }
        if let Some(binding) = &rule.binding {
            binding::check(binding, value, at, self.profiles, &mut self.issues);
        }
        if let Some(object) = value.as_object() {
            for child in &rule.children {
                self.element(child, object, at);
            }
        }
    }

    /// Checks all occurrences of one element of `object`.
    fn element(&mut self, rule: &ElementRule, object: &Map<String, Value>, parent: &Place) {
        if let Some(stem) = rule.name.strip_suffix("[x]") {
            self.choice(rule, stem, object, &parent.child(stem));
            return;
        }
        let at = parent.child(&rule.name);
        if let Some(slicing) = &rule.slicing {
            self.slices(rule, slicing, object, &at);
            return;
        }
        let occurrences = occurrences(object, &rule.name);
        cardinality::check(rule, occurrences.len(), &at, &mut self.issues);
        for (index, value) in occurrences {
            self.entry(rule, value, &at.indexed(index));
        }
    }

    /// Checks an element whose property name tells its type: `valueCode` is one of `value[x]`.
    fn choice(&mut self, rule: &ElementRule, stem: &str, object: &Map<String, Value>, at: &Place) {
        let kinds = value::kinds_of_choice(stem, object);
        cardinality::check(rule, kinds.len().min(1), at, &mut self.issues);
        match kinds[..] {
            [] => {}
            [kind] => match value::allowed_type(rule, kind) {
                Some(allowed) => {
                    self.occurrence(rule, object.get(&format!("{stem}{kind}")), Some(&allowed), at);
                }
                None => self.issues.push(
                    at.error(IssueType::Value, &format!("must be of type {}", rule.types.join(" or "))),
                ),
            },
            [..] => self.issues.push(at.error(IssueType::Structure, "is given in more than one type")),
        }
    }

    /// Checks an element whose occurrences belong to slices.
    fn slices(&mut self, rule: &ElementRule, slicing: &Slicing, object: &Map<String, Value>, at: &Place) {
        let assigned: Vec<_> = occurrences(object, &rule.name)
            .into_iter()
            .map(|(index, value)| (index, value, slicing::slice_of(slicing, &rule.slices, value)))
            .collect();
        let mut counts = vec![0; rule.slices.len()];
        for slice in assigned.iter().filter_map(|(.., slice)| *slice) {
            counts[slice] += 1;
        }
        for (slice, count) in rule.slices.iter().zip(&counts) {
            cardinality::check(slice, *count, &slicing::place(slicing, slice, at), &mut self.issues);
        }
        // A total that falls short because a slice is missing was explained by that slice.
        let slice_is_missing = rule.slices.iter().zip(&counts).any(|(slice, count)| *count < slice.min);
        if !slice_is_missing || rule.min <= assigned.len() {
            cardinality::check(rule, assigned.len(), at, &mut self.issues);
        }
        for (index, value, slice) in assigned {
            if self.issues.len() >= MOST_ISSUES {
                break;
            }
            let indexed = at.indexed(index);
            let Some(slice) = slice else {
                self.entry(rule, value, &indexed);
                slicing::check_stranger(rule, slicing, value, &indexed, &mut self.issues);
                continue;
            };
            let (slice, count) = (&rule.slices[slice], counts[slice]);
            // Where one is allowed but several are there, only the index tells which is meant.
            let place = if slice.max == Some(1) && count == 1 {
                slicing::place(slicing, slice, at)
            } else {
                indexed.of_slice(slice)
            };
            self.entry(rule, value, &place);
            self.occurrence(slice, value, None, &place);
        }
    }

    /// Checks one occurrence against what is said about all of them.
    fn entry(&mut self, rule: &ElementRule, value: Option<&Value>, at: &Place) {
        self.occurrence(rule, value, None, at);
        if let Some(value) = value {
            invariant::check(&rule.path, value, at, &mut self.issues);
        }
    }
}

/// The occurrences of an element with their indexes, which single ones have none of. A primitive without
/// a value, but with extensions (`_name`), occurs too.
fn occurrences<'v>(object: &'v Map<String, Value>, name: &str) -> Vec<(Option<usize>, Option<&'v Value>)> {
    match object.get(name) {
        Some(Value::Array(items)) => {
            items.iter().enumerate().map(|(index, item)| (Some(index), Some(item))).collect()
        }
        Some(single) => vec![(None, Some(single))],
        None if object.contains_key(&format!("_{name}")) => vec![(None, None)],
        None => Vec::new(),
    }
}
