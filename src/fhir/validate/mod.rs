//! Holds a resource to a profile and reports everything that is wrong with it, in one go.
//!
//! [`validate`] walks the profile's element rules and the JSON side by side: [`cardinality`] counts,
//! [`slicing`] tells occurrences apart, [`value`] looks at types, fixed values and patterns, [`binding`] at
//! codes, [`mod@reference`] at what references lead to within the [`surroundings`], and [`invariant`] at rules
//! between elements. Elements that a profile does not mention, extensions among them, are no concern of this
//! folder, and it never repeats a value in a text.
//!
//! Expressions are those of the structure check: property names and indexes, as in
//! `Task.input[2].valueCodeableConcept`. What is missing is named by its parent and its own name,
//! `Task.input[2].value`; a missing parameter of Parameters, which the name of the element does not
//! tell, by `Parameters.parameter.where(name='MemberId')`.

mod binding;
mod cardinality;
#[cfg(test)]
mod discriminator_tests;
#[cfg(test)]
mod example_tests;
mod invariant;
#[cfg(test)]
mod mutation_tests;
mod place;
mod reference;
#[cfg(test)]
mod rule_file_tests;
mod slicing;
mod surroundings;
#[cfg(test)]
mod tests;
mod value;

use serde_json::{Map, Value};

use self::place::Place;
use super::outcome::{Issue, IssueType};
use super::profile::{ElementRule, Profiles, Slicing, Structure, TypeRule};

pub(crate) use self::invariant::{Holds, find as find_invariant, is_base as is_base_invariant};
pub(crate) use self::surroundings::Surroundings;

/// When to stop looking: an answer must not grow with the number of mistakes that fit into a body.
const MOST_ISSUES: usize = 500;

/// Everything in `resource` that breaks a rule of the profile with this canonical URL: errors, and warnings
/// about codes outside extensible bindings. The resource's own type is the first thing looked at.
pub(crate) fn validate(resource: &Value, profile: &str, profiles: &Profiles) -> Vec<Issue> {
    let Some(structure) = profiles.structure(profile) else {
        return vec![Issue::refusal(IssueType::Exception, "The rules of this profile are not loaded")];
    };
    let root = &structure.root;
    let place = Place::root(&root.name);
    if resource.get("resourceType").and_then(Value::as_str) != Some(&root.name) {
        let text = format!("A resource of type {} is expected", root.name);
        return vec![Issue::error(IssueType::Structure, place.expression(), text)];
    }
    let mut walk = Walk {
        profiles,
        surroundings: Surroundings::of(resource),
        root,
        follows_references: true,
        walked: Vec::new(),
        issues: Vec::new(),
    };
    walk.structure(structure, resource, &place);
    if walk.issues.len() >= MOST_ISSUES {
        walk.issues.push(Issue::information("There may be more issues; looking for them ended here"));
    }
    walk.issues
}

/// Whether a value breaks no rule of a profile. None is kept whose rules are not loaded.
fn keeps_within<'v>(
    value: &'v Value,
    profile: &str,
    profiles: &Profiles,
    surroundings: Surroundings<'v>,
) -> bool {
    let Some(structure) = profiles.structure(profile) else { return false };
    let root = &structure.root;
    if value.get("resourceType").is_some_and(|name| *name != root.name) {
        return false;
    }
    let mut walk = Walk {
        profiles,
        surroundings,
        root,
        follows_references: false,
        walked: Vec::new(),
        issues: Vec::new(),
    };
    walk.structure(structure, value, &Place::root(&root.name));
    !walk.issues.iter().any(Issue::is_error)
}

struct Walk<'p, 'v> {
    profiles: &'p Profiles,
    surroundings: Surroundings<'v>,
    /// The rules of the profile that is walked now, of which content references speak.
    root: &'p ElementRule,
    /// Not while a target is looked at: references go round in circles.
    follows_references: bool,
    /// What was held to which profile where it is.
    walked: Vec<(&'v Value, &'p str)>,
    issues: Vec<Issue>,
}

/// One occurrence of an element. A primitive that has extensions only is there without a value.
#[derive(Clone, Copy)]
struct Occurrence<'v> {
    index: Option<usize>,
    value: Option<&'v Value>,
    /// The extensions of a primitive.
    twin: Option<&'v Value>,
}

impl<'p, 'v> Walk<'p, 'v> {
    /// Holds a value to a profile where it is.
    fn structure(&mut self, structure: &'p Structure, value: &'v Value, at: &Place<'_>) {
        let outer = std::mem::replace(&mut self.root, &structure.root);
        self.walked.push((value, &structure.url));
        self.occurrence(
            &structure.root,
            Occurrence { index: None, value: Some(value), twin: None },
            None,
            at,
        );
        self.root = outer;
    }

    /// Whether a value keeps the rules of a profile, without a word about what breaks them.
    fn keeps(&self, value: &'v Value, profile: &str) -> bool {
        keeps_within(value, profile, self.profiles, self.surroundings)
    }

    /// Checks one occurrence of an element, whose property may have told its type.
    fn occurrence(
        &mut self,
        rule: &'p ElementRule,
        found: Occurrence<'v>,
        kind: Option<&'p TypeRule>,
        at: &Place<'_>,
    ) {
        if let Some(value) = found.value {
            let Some(kind) = kind.map_or_else(|| self.kind_of(rule, value, at), |kind| Some(Some(kind)))
            else {
                return;
            };
            if kind.is_some_and(|kind| !value::check_type(&kind.code, value, at, &mut self.issues)) {
                return;
            }
            value::check_demand(rule, value, at, &mut self.issues);
            if let Some(binding) = &rule.binding {
                binding::check(binding, value, at, &mut self.issues);
            }
            if let Some(kind) = kind {
                self.profiles_of(kind, value, at);
                if kind.code == "Reference" {
                    self.reference(kind, value, at);
                }
            }
            for invariant in &rule.invariants {
                if !(invariant.holds)(value, &self.surroundings) {
                    let text = format!("{} ({})", invariant.human, invariant.key);
                    let issue = Issue::error(IssueType::Invariant, at.expression(), text);
                    self.issues.push(if invariant.is_warning { issue.into_warning() } else { issue });
                }
            }
        }
        self.inner(rule, found, at);
    }

    /// Checks the elements inside an occurrence. Those of a primitive are beside it.
    fn inner(&mut self, rule: &'p ElementRule, found: Occurrence<'v>, at: &Place<'_>) {
        let referenced = rule.content_reference.as_deref().and_then(|id| self.root.by_id(id));
        let children = rule.children.iter().chain(referenced.into_iter().flat_map(|rule| &rule.children));
        match (found.value.and_then(Value::as_object), found.twin.and_then(Value::as_object)) {
            (None, Some(twin)) => {
                let name = at.twin_name();
                let at = at.named(&name);
                children.for_each(|child| self.element(child, Some(twin), &at));
            }
            (object, _) => children.for_each(|child| self.element(child, object, at)),
        }
    }

    /// The type that a value has, of those that are allowed; `None` if it has none of them.
    #[expect(clippy::option_option, reason = "any type is right where the rule names none")]
    fn kind_of(
        &mut self,
        rule: &'p ElementRule,
        value: &Value,
        at: &Place<'_>,
    ) -> Option<Option<&'p TypeRule>> {
        let Some(resource_type) = value.get("resourceType").and_then(Value::as_str) else {
            return Some(rule.types.first());
        };
        let is_of = |kind: &&TypeRule| {
            kind.code == resource_type || matches!(kind.code.as_str(), "Resource" | "DomainResource")
        };
        if rule.types.is_empty() {
            return Some(None);
        }
        let kind = rule.types.iter().find(is_of);
        if kind.is_none() {
            let names: Vec<&str> = rule.types.iter().map(|kind| kind.code.as_str()).collect();
            let problem = format!("must be a resource of type {}", names.join(" or "));
            self.issues.push(at.error(IssueType::Value, &problem));
        }
        kind.map(Some)
    }

    /// Checks a value against the profiles of its type: of one, all that is wrong is told; of several, that
    /// none is kept.
    fn profiles_of(&mut self, kind: &'p TypeRule, value: &'v Value, at: &Place<'_>) {
        match &kind.profiles[..] {
            [] => {}
            [profile] => {
                if let Some(structure) = self.profiles.structure(profile) {
                    self.structure(structure, value, at);
                }
            }
            several if several.iter().any(|profile| self.keeps(value, profile)) => {}
            several => {
                let problem = "keeps the rules of none of the profiles allowed here";
                let issue = at.error(IssueType::Value, problem);
                self.issues.push(issue.advising(format!("Profile: {}", several.join(" or "))));
            }
        }
    }

    /// Checks all occurrences of one element of `object`.
    fn element(&mut self, rule: &'p ElementRule, object: Option<&'v Map<String, Value>>, parent: &Place<'_>) {
        if let Some(stem) = rule.stem() {
            self.choice(rule, stem, object, parent);
            return;
        }
        let at = parent.child(&rule.name);
        let occurrences = object.map(|object| occurrences(object, rule)).unwrap_or_default();
        if let Some(slicing) = &rule.slicing {
            self.slices(rule, slicing, &occurrences, &at);
            return;
        }
        cardinality::check(rule, occurrences.len(), &at, &at, &mut self.issues);
        for found in occurrences {
            if self.issues.len() >= MOST_ISSUES {
                break;
            }
            self.entry(rule, found, None, &at.indexed(found.index));
        }
    }

    /// Checks an element whose property name tells its type: `valueCode` is one of `value[x]`.
    fn choice(
        &mut self,
        rule: &'p ElementRule,
        stem: &'p str,
        object: Option<&'v Map<String, Value>>,
        parent: &Place<'_>,
    ) {
        let keys = object.into_iter().flat_map(Map::keys);
        let mut kinds: Vec<&str> = keys.filter_map(|key| value::kind_of_choice(stem, key)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let [first, ..] = kinds[..] else {
            let at = parent.child(stem);
            for rule in std::iter::once(rule).chain(&rule.slices) {
                cardinality::check(rule, 0, &at, &at, &mut self.issues);
            }
            return;
        };
        let property = format!("{stem}{first}");
        let at = parent.child(&property).called(stem);
        cardinality::check(rule, 1, &at, &at, &mut self.issues);
        if kinds.len() > 1 {
            let at = parent.child(stem);
            self.issues.push(at.error(IssueType::Structure, "is given in more than one type"));
            return;
        }
        let kind = rule.types.iter().find(|kind| value::is_kind(&kind.code, first));
        if kind.is_none() && !rule.types.is_empty() {
            let names: Vec<&str> = rule.types.iter().map(|kind| kind.code.as_str()).collect();
            self.issues.push(at.error(IssueType::Value, &format!("must be of type {}", names.join(" or "))));
            return;
        }
        let found = Occurrence {
            index: None,
            value: object.and_then(|object| object.get(&property)),
            twin: object.and_then(|object| object.get(&format!("_{property}"))),
        };
        self.occurrence(rule, found, kind, &at);
        // FHIR tells the slices of a choice apart by type, whatever the discriminator says.
        for slice in &rule.slices {
            let kind = slice.types.iter().find(|kind| value::is_kind(&kind.code, first));
            cardinality::check(slice, usize::from(kind.is_some()), &at, &at, &mut self.issues);
            if kind.is_some() {
                self.occurrence(slice, found, kind, &at);
            }
        }
    }

    /// Checks an element whose occurrences belong to slices.
    fn slices(
        &mut self,
        rule: &'p ElementRule,
        slicing: &Slicing,
        occurrences: &[Occurrence<'v>],
        at: &Place<'_>,
    ) {
        let assigned: Vec<Option<usize>> =
            occurrences.iter().map(|found| self.slice_of(&rule.slices, found.value)).collect();
        let mut slice_is_missing = false;
        for (index, slice) in rule.slices.iter().enumerate() {
            let of_slice =
                occurrences.iter().zip(&assigned).filter(|(_, assigned)| **assigned == Some(index));
            let count = of_slice.clone().count();
            slice_is_missing |= count < slice.min;
            let at = at.called(slice.slice.as_deref().unwrap_or(&slice.name));
            let surplus = slice.max.and_then(|max| of_slice.map(|(found, _)| found.index).nth(max));
            let surplus = at.indexed(surplus.flatten());
            cardinality::check(slice, count, &at, &surplus, &mut self.issues);
        }
        // A total that falls short because a slice is missing was explained by that slice.
        if !slice_is_missing || rule.min <= occurrences.len() {
            cardinality::check(rule, occurrences.len(), at, at, &mut self.issues);
        }
        for (found, slice) in occurrences.iter().zip(assigned) {
            if self.issues.len() >= MOST_ISSUES {
                break;
            }
            let at = at.indexed(found.index);
            match slice.map(|slice| &rule.slices[slice]) {
                None => {
                    self.entry(rule, *found, None, &at);
                    slicing::check_stranger(rule, slicing, found.value, &at, &mut self.issues);
                }
                Some(slice) => {
                    let at = at.called(slice.slice.as_deref().unwrap_or(&slice.name));
                    self.entry(rule, *found, Some(slice), &at);
                }
            }
        }
    }

    /// Checks one occurrence against what is said about all of them and about its slice.
    fn entry(
        &mut self,
        rule: &'p ElementRule,
        found: Occurrence<'v>,
        slice: Option<&'p ElementRule>,
        at: &Place<'_>,
    ) {
        let outer = self.surroundings;
        if let Some(resource) = found.value.filter(|_| rule.name == "resource") {
            self.surroundings = outer.inside(resource);
        }
        self.occurrence(rule, found, None, at);
        if let Some(value) = found.value {
            invariant::check_parameter(&rule.path, value, at, &mut self.issues);
        }
        if let Some(slice) = slice {
            self.occurrence(slice, found, None, at);
        }
        self.surroundings = outer;
    }
}

/// The occurrences of an element with their indexes, which single ones have none of.
fn occurrences<'v>(object: &'v Map<String, Value>, rule: &ElementRule) -> Vec<Occurrence<'v>> {
    let twin = object.get(&rule.twin);
    let not_null = |value: &'v Value| Some(value).filter(|value| !value.is_null());
    match (object.get(&rule.name), twin) {
        (Some(Value::Array(items)), twin) => {
            let twin_of = |index| twin.and_then(|twins| twins.get(index)).and_then(not_null);
            let occurrence = |(index, item)| Occurrence {
                index: Some(index),
                value: not_null(item),
                twin: twin_of(index),
            };
            items.iter().enumerate().map(occurrence).collect()
        }
        (None, None) => Vec::new(),
        (None, Some(Value::Array(twins))) => {
            let occurrence =
                |(index, twin)| Occurrence { index: Some(index), value: None, twin: not_null(twin) };
            twins.iter().enumerate().map(occurrence).collect()
        }
        (single, twin) => vec![Occurrence { index: None, value: single, twin }],
    }
}
