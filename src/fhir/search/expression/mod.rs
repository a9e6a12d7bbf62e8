//! The part of FHIRPath that the definitions of search parameters are written in: paths, choices of types, unions,
//! conditions on what is found. An expression is compiled once and then walked over the JSON of a resource; it never
//! makes values and never follows a reference further than its text says what it leads to.

mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::fhir::search::reference;

pub(super) use parse::compile;

/// A compiled expression: what any of its alternatives finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression(pub(in crate::fhir::search) Vec<Alternative>);

/// One side of a `|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fhir::search) enum Alternative {
    /// What these steps lead to.
    Path(Vec<Step>),
    /// Whether this holds: a boolean.
    Holds(Condition),
}

/// One step from an element to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fhir::search) enum Step {
    /// To the resource as a whole (`%resource`).
    Resource,
    /// To an element of this name, or to the one of its repetitions that is named.
    Member {
        /// As in JSON.
        name: Box<str>,
        /// Which repetition; all if none.
        at: Option<usize>,
    },
    /// To an element whose name may say its type (`value[x]`), whichever that is.
    Choice {
        /// Without the type.
        name: &'static str,
    },
    /// To the same element, if the condition holds.
    Where(Condition),
}

/// What is asked of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fhir::search) enum Condition {
    /// The path leads to something.
    Exists(Vec<Step>),
    /// The path leads to this.
    Equals(Vec<Step>, Literal),
    /// The path leads to something else.
    Differs(Vec<Step>, Literal),
    /// It is a reference to a resource of this type, as far as its text tells.
    Refers(&'static str),
    /// All of these.
    All(Vec<Condition>),
}

/// A value in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fhir::search) enum Literal {
    /// `'phone'`
    Text(&'static str),
    /// `true`
    Boolean(bool),
}

/// Every element of R4 whose type is part of its name and that an expression names without its type. A test holds it
/// against the definitions.
pub(in crate::fhir::search) const CHOICES: [&str; 13] = [
    "collected",
    "created",
    "deceased",
    "definition",
    "effective",
    "event",
    "identified",
    "occurrence",
    "performed",
    "probability",
    "scheduled",
    "source",
    "value",
];

/// The types that a choice may have, as its name ends with them.
#[rustfmt::skip]
const CHOICE_TYPES: [&str; 46] = [
    "Address", "Age", "Annotation", "Attachment", "Base64Binary", "Boolean", "Canonical", "Code", "CodeableConcept",
    "Coding", "ContactDetail", "ContactPoint", "Contributor", "Count", "DataRequirement", "Date", "DateTime",
    "Decimal", "Distance", "Dosage", "Duration", "Expression", "HumanName", "Id", "Identifier", "Instant", "Integer",
    "Markdown", "Meta", "Money", "Oid", "ParameterDefinition", "Period", "PositiveInt", "Quantity", "Range", "Ratio",
    "Reference", "RelatedArtifact", "SampledData", "Signature", "String", "Time", "Timing", "TriggerDefinition",
    "UnsignedInt",
];

static TRUE: Value = Value::Bool(true);
static FALSE: Value = Value::Bool(false);

impl Expression {
    /// Hands over every value that the expression finds from `element`, a part of `resource`; never an array.
    pub(crate) fn each<'a>(&self, element: &'a Value, resource: &'a Value, found: &mut dyn FnMut(&'a Value)) {
        for alternative in &self.0 {
            match alternative {
                Alternative::Path(steps) => walk(steps, element, resource, found),
                Alternative::Holds(condition) => {
                    found(if condition.holds(element, resource) { &TRUE } else { &FALSE });
                }
            }
        }
    }
}

fn walk<'a>(steps: &[Step], element: &'a Value, resource: &'a Value, found: &mut dyn FnMut(&'a Value)) {
    // Where a primitive has only extensions, its place in an array is null.
    if element.is_null() {
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        found(element);
        return;
    };
    match step {
        Step::Resource => walk(rest, resource, resource, found),
        Step::Member { name, at } => {
            if let Some(member) = element.get(&**name) {
                walk_all(rest, member, *at, resource, found);
            }
        }
        Step::Choice { name } => {
            let Some(members) = element.as_object() else { return };
            // `value` is a choice in an Observation and none in an Identifier.
            if let Some(member) = members.get(*name) {
                walk_all(rest, member, None, resource, found);
                return;
            }
            let is_choice = |key: &str| {
                key.strip_prefix(name).is_some_and(|of_type| CHOICE_TYPES.binary_search(&of_type).is_ok())
            };
            for (_, member) in members.iter().filter(|(key, _)| is_choice(key)) {
                walk_all(rest, member, None, resource, found);
            }
        }
        Step::Where(condition) => {
            if condition.holds(element, resource) {
                walk(rest, element, resource, found);
            }
        }
    }
}

/// Goes on from a member: from each of its repetitions, if it repeats.
fn walk_all<'a>(
    steps: &[Step],
    member: &'a Value,
    at: Option<usize>,
    resource: &'a Value,
    found: &mut dyn FnMut(&'a Value),
) {
    match (member, at) {
        (Value::Array(all), Some(at)) => {
            if let Some(one) = all.get(at) {
                walk(steps, one, resource, found);
            }
        }
        (Value::Array(all), None) => all.iter().for_each(|one| walk(steps, one, resource, found)),
        (_, Some(1..)) => {}
        _ => walk(steps, member, resource, found),
    }
}

impl Condition {
    fn holds(&self, element: &Value, resource: &Value) -> bool {
        let any = |steps: &[Step], test: &dyn Fn(&Value) -> bool| {
            let mut holds = false;
            walk(steps, element, resource, &mut |found| holds |= test(found));
            holds
        };
        match self {
            Self::Exists(steps) => any(steps, &|_| true),
            Self::Equals(steps, literal) => any(steps, &|found| literal.is(found)),
            Self::Differs(steps, literal) => any(steps, &|found| !literal.is(found)),
            Self::Refers(to) => reference::type_of(element, resource) == Some(to),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(element, resource)),
        }
    }
}

impl Literal {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str() == Some(text),
            Self::Boolean(boolean) => value.as_bool() == Some(boolean),
        }
    }
}
