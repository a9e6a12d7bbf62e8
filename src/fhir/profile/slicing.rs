//! How an element's occurrences are told apart. Discriminators are resolved when the files are read: each
//! slice carries the tests that make an occurrence its own. FHIR R4, Profiling, Slicing.

use std::sync::Arc;

use serde_json::Value;

use super::error::Source;
use super::{BindingStrength, ElementRule, ProfileError, ValueSet};

/// How an element's occurrences are told apart.
#[derive(Debug, Clone)]
pub(crate) struct Slicing {
    discriminators: Vec<Discriminator>,
    /// What becomes of an occurrence that belongs to no slice.
    pub(crate) rules: SlicingRules,
}

/// What becomes of an occurrence that belongs to no slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlicingRules {
    /// It is an error.
    Closed,
    /// It is no concern of the profile.
    Open,
}

#[derive(Debug, Clone)]
struct Discriminator {
    kind: Kind,
    path: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    Type,
    Profile,
    Exists,
}

/// A step of a discriminator's path, from an occurrence inwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// `type`: an element.
    Element(String),
    /// `value`, where the element is `value[x]`: whichever type it has.
    Choice(String),
    /// `extension('url')`: the extensions of this URL.
    Extension(String),
    /// `resolve()`: what the Reference leads to.
    Resolve,
    /// `ofType(T)`: the value, if it has that type.
    OfType(String),
}

/// What is looked for at the end of a path.
#[derive(Debug, Clone)]
pub(crate) enum Demand {
    /// Exactly this value.
    Fixed(Value),
    /// At least this value.
    Pattern(Value),
    /// A code in one of these value sets.
    OneOf(Vec<Arc<ValueSet>>),
    /// A value, or a resource, of one of these types.
    Type(Vec<String>),
    /// A value that keeps one of these profiles.
    Profile(Vec<String>),
    /// Anything, or nothing.
    Exists(bool),
}

/// One thing that an occurrence must have to belong to a slice.
#[derive(Debug, Clone)]
pub(crate) struct SliceTest {
    /// Where to look.
    pub(crate) path: Vec<Step>,
    /// What for.
    pub(crate) demand: Demand,
}

impl Slicing {
    /// Reads `ElementDefinition.slicing`.
    pub(super) fn read(json: &Value, id: &str, source: Source<'_>) -> Result<Self, ProfileError> {
        let rules = match source.text(json, id, "rules")? {
            "closed" => SlicingRules::Closed,
            "open" => SlicingRules::Open,
            _ => return Err(source.unsupported(id, "slicing with these rules")),
        };
        if json.get("ordered").and_then(Value::as_bool) == Some(true) {
            return Err(source.unsupported(id, "ordered slicing"));
        }
        let given = json.get("discriminator").and_then(Value::as_array).filter(|given| !given.is_empty());
        let mut discriminators = Vec::new();
        for discriminator in given.ok_or_else(|| source.malformed(id, "the discriminator is missing"))? {
            let kind = match source.text(discriminator, id, "type")? {
                "value" | "pattern" => Kind::Value,
                "type" => Kind::Type,
                "profile" => Kind::Profile,
                "exists" => Kind::Exists,
                _ => return Err(source.unsupported(id, "a discriminator of this type")),
            };
            let path = parse_path(source.text(discriminator, id, "path")?)
                .ok_or_else(|| source.unsupported(id, "a discriminator with this path"))?;
            discriminators.push(Discriminator { kind, path });
        }
        Ok(Self { discriminators, rules })
    }

    /// The slicing that FHIR itself gives an element: extensions by URL, choices by type.
    fn implied(rule: &ElementRule) -> Option<Self> {
        let (kind, path) = match rule.name.as_str() {
            "extension" | "modifierExtension" => (Kind::Value, vec![Step::Element("url".to_owned())]),
            name if name.ends_with("[x]") => (Kind::Type, Vec::new()),
            _ => return None,
        };
        Some(Self { discriminators: vec![Discriminator { kind, path }], rules: SlicingRules::Open })
    }
}

impl ElementRule {
    /// Finds for each slice, here and below, what makes an occurrence its own.
    pub(super) fn settle_slicing(&mut self, source: Source<'_>, errors: &mut Vec<ProfileError>) {
        if !self.slices.is_empty() && self.slicing.is_none() {
            self.slicing = Slicing::implied(self);
            if self.slicing.is_none() {
                errors.push(source.malformed(&self.id, "slicing is missing"));
            }
        }
        if let Some(slicing) = &self.slicing {
            for slice in &mut self.slices {
                match slice.tests_for(slicing) {
                    Some(tests) => slice.tests = tests,
                    None => errors.push(
                        source.unsupported(&slice.id, "a slice that its discriminator does not tell apart"),
                    ),
                }
            }
        }
        for rule in self.slices.iter_mut().chain(&mut self.children) {
            rule.settle_slicing(source, errors);
        }
    }

    /// What makes an occurrence this slice's; `None` if the slice does not say.
    fn tests_for(&self, slicing: &Slicing) -> Option<Vec<SliceTest>> {
        let mut tests = Vec::new();
        for discriminator in &slicing.discriminators {
            let found = match discriminator.kind {
                Kind::Value => self.value_tests(&discriminator.path),
                kind => {
                    let (rule, path) = self.follow(&discriminator.path)?;
                    let demand = match kind {
                        Kind::Exists if rule.max == Some(0) => Demand::Exists(false),
                        Kind::Exists if rule.min > 0 => Demand::Exists(true),
                        Kind::Type => Demand::Type(rule.leads_to(&discriminator.path)),
                        Kind::Profile => Demand::Profile(rule.profiles(&discriminator.path)),
                        Kind::Exists | Kind::Value => return None,
                    };
                    vec![SliceTest { path, demand }]
                }
            };
            let says_something = found.iter().all(|test| match &test.demand {
                Demand::Type(names) | Demand::Profile(names) => !names.is_empty(),
                _ => true,
            });
            if found.is_empty() || !says_something {
                return None;
            }
            tests.extend(found);
        }
        Some(tests)
    }

    /// The values that this slice demands at a path, or above or below it.
    fn value_tests(&self, path: &[Step]) -> Vec<SliceTest> {
        let mut rule = self;
        let mut walked = Vec::new();
        for step in path {
            // A pattern of the whole says more than what it has at the path.
            if let Some(demand) = rule.demanded_value() {
                return vec![SliceTest { path: walked, demand }];
            }
            if let (Step::Element(name), Some(url)) = (step, rule.extension_url())
                && name == "url"
            {
                walked.push(step.clone());
                return vec![SliceTest { path: walked, demand: Demand::Fixed(url.into()) }];
            }
            match rule.inner(step) {
                Some((inner, step)) => {
                    rule = inner;
                    walked.push(step);
                }
                None => return Vec::new(),
            }
        }
        let mut tests = Vec::new();
        rule.collect_values(&walked, &mut tests);
        tests
    }

    fn collect_values(&self, path: &[Step], tests: &mut Vec<SliceTest>) {
        if let Some(demand) = self.demanded_value() {
            tests.push(SliceTest { path: path.to_vec(), demand });
            return;
        }
        for child in &self.children {
            let step = match child.stem() {
                Some(stem) => Step::Choice(stem.to_owned()),
                None => Step::Element(child.name.clone()),
            };
            child.collect_values(&[path, &[step]].concat(), tests);
        }
    }

    fn demanded_value(&self) -> Option<Demand> {
        if let Some(fixed) = &self.fixed {
            return Some(Demand::Fixed(fixed.clone()));
        }
        if let Some(pattern) = &self.pattern {
            return Some(Demand::Pattern(pattern.clone()));
        }
        let binding =
            self.binding.as_ref().filter(|binding| binding.strength == BindingStrength::Required)?;
        Some(Demand::OneOf(binding.value_sets.clone()))
    }

    /// The URL of the extension that this is a rule about, if its profile tells it.
    fn extension_url(&self) -> Option<&str> {
        self.types.iter().find_map(|kind| kind.extension_url.as_deref())
    }

    fn follow(&self, path: &[Step]) -> Option<(&Self, Vec<Step>)> {
        path.iter().try_fold((self, Vec::new()), |(rule, mut walked), step| {
            let (rule, step) = rule.inner(step)?;
            walked.push(step);
            Some((rule, walked))
        })
    }

    /// The rule that a step leads to, and the step as it is walked in a resource.
    fn inner(&self, step: &Step) -> Option<(&Self, Step)> {
        match step {
            Step::Element(name) => {
                let child = self.child(name)?;
                let is_choice = child.stem() == Some(name);
                Some((child, if is_choice { Step::Choice(name.clone()) } else { step.clone() }))
            }
            Step::Extension(url) => {
                let slices = &self.child("extension")?.slices;
                let is_meant = |slice: &&Self| {
                    slice.extension_url() == Some(url)
                        || slice.child("url").and_then(|rule| rule.fixed.as_ref()?.as_str()) == Some(url)
                };
                slices.iter().find(is_meant).map(|slice| (slice, step.clone()))
            }
            // What is said about the target is said by the type of the Reference.
            Step::Resolve | Step::OfType(_) | Step::Choice(_) => Some((self, step.clone())),
        }
    }

    /// The types at the end of a path: those of the targets, if the path ends by resolving a Reference.
    fn leads_to(&self, path: &[Step]) -> Vec<String> {
        if path.last() == Some(&Step::Resolve) {
            let targets = self.types.iter().flat_map(|kind| &kind.targets);
            return targets.filter_map(|target| target.resource_type.clone()).collect();
        }
        self.types.iter().map(|kind| kind.code.clone()).collect()
    }

    fn profiles(&self, path: &[Step]) -> Vec<String> {
        if path.last() == Some(&Step::Resolve) {
            let targets = self.types.iter().flat_map(|kind| &kind.targets);
            return targets.filter(|target| target.has_rules).map(|target| target.url.clone()).collect();
        }
        self.types.iter().flat_map(|kind| kind.profiles.iter().cloned()).collect()
    }
}

/// FHIR R4, ElementDefinition, `discriminator.path`: element names, `extension(url)`, `resolve()` and `ofType(type)`.
fn parse_path(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        // A URL in parentheses has dots of its own.
        let end = match (rest.find('.'), rest.find('(')) {
            (Some(dot), Some(open)) if open < dot => rest.find(')')? + 1,
            (None, Some(_)) => rest.find(')')? + 1,
            (dot, _) => dot.unwrap_or(rest.len()),
        };
        let (step, after) = rest.split_at_checked(end)?;
        rest = match after.strip_prefix('.') {
            Some(after) => after,
            None if after.is_empty() => after,
            None => return None,
        };
        let argument = |name: &str| {
            let argument = step.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
            Some(argument.trim_matches(['\'', '"']).to_owned())
        };
        if step == "$this" {
            continue;
        }
        steps.push(if step == "resolve()" {
            Step::Resolve
        } else if let Some(url) = argument("extension") {
            Step::Extension(url)
        } else if let Some(kind) = argument("ofType") {
            Step::OfType(kind)
        } else if step.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !step.is_empty() {
            Step::Element(step.to_owned())
        } else {
            return None;
        });
    }
    Some(steps)
}
