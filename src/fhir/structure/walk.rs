//! The walk through a resource and the model of its type side by side.

use serde_json::{Map, Number, Value};

use super::invariant::{self, Node};
use super::place::Place;
use super::problem::Problem;
use super::{Mode, reference};
use crate::fhir::Issue;
use crate::fhir::r4::{self, Binding, Element, ElementType, Form, Primitive, Property, Type, ValueSet};

/// More issues than anybody reads are not collected: a hostile body must not make the answer huge.
pub(super) const MOST_ISSUES: usize = 200;

/// The resource that an element belongs to, and the one that contains this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The resource itself (FHIRPath `%resource`).
    pub(super) resource: &'a Map<String, Value>,
    /// What contains it, or the resource itself (FHIRPath `%rootResource`).
    pub(super) root: &'a Map<String, Value>,
}

pub(super) struct Walk {
    mode: Mode,
    issues: Vec<Issue>,
}

impl Walk {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, issues: Vec::new() }
    }

    pub(super) fn into_issues(self) -> Vec<Issue> {
        self.issues
    }

    pub(super) fn report(&mut self, problem: Problem, place: &Place<'_>) {
        if self.issues.len() < MOST_ISSUES {
            self.issues.extend(problem.issue(place.path(), self.mode));
        }
    }

    /// Whether more than the shape is asked.
    fn is_thorough(&self) -> bool {
        self.mode != Mode::Shape
    }

    /// A whole resource; `container` has it in its `contained`.
    pub(super) fn resource(
        &mut self,
        value: &Value,
        place: &Place<'_>,
        container: Option<&Map<String, Value>>,
    ) {
        let Value::Object(members) = value else { return self.report(Problem::NotAResource, place) };
        let place_of_type = place.member("resourceType");
        match members.get("resourceType") {
            None => self.report(Problem::MissingType, &place_of_type),
            Some(name) => match name.as_str().and_then(r4::resource) {
                Some(of) => {
                    let scope = Scope { resource: members, root: container.unwrap_or(members) };
                    self.members(members, of, place, scope);
                    if self.is_thorough() {
                        reference::check_contained(self, members, place);
                    }
                    return;
                }
                None => self.report(Problem::UnknownType, &place_of_type),
            },
        }
        // Nothing is known about its elements, but some rules hold for all.
        self.untyped(value, place);
    }

    fn untyped(&mut self, value: &Value, place: &Place<'_>) {
        match value {
            Value::String(text) if text.is_empty() => self.report(Problem::EmptyString, place),
            Value::Array(entries) if entries.is_empty() => self.report(Problem::EmptyArray, place),
            Value::Object(members) if members.is_empty() => self.report(Problem::EmptyObject, place),
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_null()) {
                    self.untyped(entry, &place.entry(index));
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    self.untyped(value, &place.member(name));
                }
            }
            Value::Null => self.report(Problem::Null, place),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn members(
        &mut self,
        members: &Map<String, Value>,
        of: &'static Type,
        place: &Place<'_>,
        scope: Scope<'_>,
    ) {
        if members.is_empty() {
            return self.report(Problem::EmptyObject, place);
        }
        let has_twins = members.keys().any(|name| name.starts_with('_'));
        let mut seen = 0_u64;
        for (name, value) in members {
            if of.is_resource() && name == "resourceType" {
                continue;
            }
            let element_name = name.strip_prefix('_').unwrap_or(name);
            let Some(Property { index, element, of_type }) = of.property(element_name) else {
                self.report(Problem::Unknown, &place.member(name));
                continue;
            };
            let is_twin = element_name.len() != name.len();
            if is_twin && members.contains_key(element_name) && matches!(of_type.form, Form::Primitive(_)) {
                // Looked at together with its element.
                continue;
            }
            if element.is_choice && seen & (1 << index) != 0 {
                self.report(Problem::SecondChoice, &place.member(name));
            }
            seen |= 1 << index;
            match of_type.form {
                Form::Primitive(primitive) => {
                    let plain = Plain { name: element_name, element, primitive };
                    if is_twin {
                        self.primitive(&plain, None, Some(value), place, scope);
                    } else {
                        let twin = has_twins.then(|| members.get(&format!("_{name}"))).flatten();
                        self.primitive(&plain, Some(value), twin, place, scope);
                    }
                }
                _ if is_twin => self.report(Problem::TwinOfComplex, &place.member(name)),
                _ => self.complex(value, element, of_type, &place.member(name), scope),
            }
        }
        if self.is_thorough() {
            self.whole(members, of, place, of.required() & !seen);
        }
    }

    /// What only shows when all members are known.
    fn whole(
        &mut self,
        members: &Map<String, Value>,
        of: &'static Type,
        place: &Place<'_>,
        mut missing: u64,
    ) {
        while missing != 0 {
            let element = &of.elements()[missing.trailing_zeros() as usize];
            let is_display = || members.get("type").is_some_and(|kind| kind == "display");
            let problem = match (of.name(), element.name) {
                ("Questionnaire.item", "linkId") if is_display() => Problem::NamelessDisplay,
                _ => Problem::Missing,
            };
            self.report(problem, &place.member(element.name));
            missing &= missing - 1;
        }
        if members.len() == 1 && !of.is_resource() && members.contains_key("id") {
            self.report(Problem::Broken(&invariant::ELE_1), place);
        }
        let node = Node { members };
        for broken in invariant::of(of).iter().filter(|invariant| !(invariant.holds)(node)) {
            self.report(Problem::Broken(broken), place);
        }
    }

    fn complex(
        &mut self,
        value: &Value,
        element: &Element,
        of_type: &ElementType,
        place: &Place<'_>,
        scope: Scope<'_>,
    ) {
        match (value, element.repeats()) {
            (Value::Null, _) => self.report(Problem::Null, place),
            (Value::Array(entries), true) if entries.is_empty() => self.report(Problem::EmptyArray, place),
            (Value::Array(entries), true) => {
                for (index, entry) in entries.iter().enumerate() {
                    self.object(entry, element, of_type, &place.entry(index), scope);
                }
            }
            (Value::Array(_), false) => self.report(Problem::NotRepeating, place),
            (_, true) => self.report(Problem::Repeating, place),
            (_, false) => self.object(value, element, of_type, place, scope),
        }
    }

    fn object(
        &mut self,
        value: &Value,
        element: &Element,
        of_type: &ElementType,
        place: &Place<'_>,
        scope: Scope<'_>,
    ) {
        match (value, of_type.complex()) {
            (_, None) => {
                let container = (element.name == "contained").then_some(scope.resource);
                self.resource(value, place, container);
            }
            (Value::Object(members), Some(of)) => {
                self.members(members, of, place, scope);
                if self.is_thorough() {
                    if let Some(value_set) = element.binding.as_ref().and_then(Binding::value_set)
                        && !has_code(members, of, value_set)
                    {
                        self.report(Problem::NotInValueSet, place);
                    }
                    match of.name() {
                        "Reference" => reference::check(self, members, &of_type.targets, place, scope),
                        // The one profile that R4 itself demands: SimpleQuantity.
                        "Quantity" if !of_type.targets.is_empty() && members.contains_key("comparator") => {
                            self.report(Problem::Broken(&invariant::SQTY_1), place);
                        }
                        _ => {}
                    }
                }
            }
            (Value::Null, _) => self.report(Problem::Null, place),
            _ => self.report(Problem::NotAnObject, place),
        }
    }

    /// An element with a plain value: the value, and the twin with its id and extensions.
    fn primitive(
        &mut self,
        plain: &Plain<'_>,
        value: Option<&Value>,
        twin: Option<&Value>,
        place: &Place<'_>,
        scope: Scope<'_>,
    ) {
        let repeats = plain.element.repeats();
        if let Some(value) = value {
            let place = &place.member(plain.name);
            match (value, repeats) {
                (Value::Array(_), false) => self.report(Problem::NotRepeating, place),
                (Value::Array(entries), true) if entries.is_empty() => {
                    self.report(Problem::EmptyArray, place);
                }
                (Value::Array(entries), true) => {
                    let twins = twin.and_then(Value::as_array);
                    for (index, entry) in entries.iter().enumerate() {
                        let has_twin =
                            twins.is_some_and(|twins| twins.get(index).is_some_and(Value::is_object));
                        if !(entry.is_null() && has_twin) {
                            self.plain(entry, plain, &place.entry(index));
                        }
                    }
                }
                (Value::Null, _) => self.report(Problem::Null, place),
                (_, true) => self.report(Problem::Repeating, place),
                (_, false) => self.plain(value, plain, place),
            }
        }
        let Some(twin) = twin else { return };
        let place = &place.twin(plain.name);
        match (twin, repeats) {
            (Value::Array(entries), true) => self.twins(entries, value, place, scope),
            (_, true) => self.report(Problem::TwinNotAnArray, place),
            (_, false) => self.twin(twin, value.is_some(), place, scope),
        }
    }

    fn twins(&mut self, entries: &[Value], values: Option<&Value>, place: &Place<'_>, scope: Scope<'_>) {
        let values = values.and_then(Value::as_array);
        match values {
            Some(values) if values.len() != entries.len() => return self.report(Problem::TwinLength, place),
            _ if entries.iter().all(Value::is_null) => return self.report(Problem::EmptyArray, place),
            _ => {}
        }
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_null()) {
            let has_value = values.is_some_and(|values| !values[index].is_null());
            self.twin(entry, has_value, &place.entry(index), scope);
        }
    }

    fn twin(&mut self, twin: &Value, has_value: bool, place: &Place<'_>, scope: Scope<'_>) {
        let Value::Object(members) = twin else { return self.report(Problem::TwinNotAnObject, place) };
        if members.is_empty() {
            return self.report(Problem::EmptyObject, place);
        }
        if !has_value && members.len() == 1 && members.contains_key("id") {
            self.report(Problem::Broken(&invariant::ELE_1), place);
        }
        // What every element has: an id and extensions.
        let Some(of) = r4::datatype("Element") else { return };
        for (name, value) in members {
            match of.property(name) {
                Some(Property {
                    element,
                    of_type: ElementType { form: Form::Primitive(primitive), .. },
                    ..
                }) => {
                    self.plain(value, &Plain { name, element, primitive: *primitive }, &place.member(name));
                }
                Some(Property { element, of_type, .. }) => {
                    self.complex(value, element, of_type, &place.member(name), scope);
                }
                None => self.report(Problem::Unknown, &place.member(name)),
            }
        }
    }

    /// One plain value.
    fn plain(&mut self, value: &Value, plain: &Plain<'_>, place: &Place<'_>) {
        match value {
            Value::Null => self.report(Problem::Null, place),
            Value::Object(_) | Value::Array(_) => self.report(Problem::NotAPrimitive, place),
            _ if plain.primitive == Primitive::Boolean => {
                if !value.is_boolean() {
                    self.report(Problem::NotABoolean, place);
                }
            }
            _ if plain.primitive == Primitive::Decimal => {
                if !value.is_number() {
                    self.report(Problem::NotANumber, place);
                }
            }
            _ => match plain.primitive.least_integer() {
                Some(least) => self.integer(value, least, place),
                None => self.text(value, plain, place),
            },
        }
    }

    fn text(&mut self, value: &Value, plain: &Plain<'_>, place: &Place<'_>) {
        let Some(text) = value.as_str() else { return self.report(Problem::NotAString, place) };
        if text.is_empty() {
            return self.report(Problem::EmptyString, place);
        }
        if !self.is_thorough() {
            return;
        }
        if !plain.primitive.accepts(text) {
            return self.report(Problem::Form(plain.primitive), place);
        }
        if plain.element.binding.is_some_and(|binding| !binding.accepts(text)) {
            self.report(Problem::NotInValueSet, place);
        }
    }

    fn integer(&mut self, value: &Value, least: i32, place: &Place<'_>) {
        match value.as_number().map(Number::to_string) {
            None => self.report(Problem::NotANumber, place),
            // Through the text: what a number can be turned into depends on features of the JSON library.
            Some(text) => match text.parse::<i32>() {
                Ok(value) if value >= least => {}
                _ => self.report(Problem::NotAnInteger, place),
            },
        }
    }
}

/// An element with a plain value.
struct Plain<'a> {
    /// As JSON calls it, without an underscore.
    name: &'a str,
    element: &'a Element,
    primitive: Primitive,
}

/// Whether a coded value has a code of the set. One coding of a concept is enough: the others may translate it.
fn has_code(members: &Map<String, Value>, of: &Type, value_set: &ValueSet) -> bool {
    let is_in = |coding: &Map<String, Value>| {
        let text = |name: &str| coding.get(name).and_then(Value::as_str);
        let coded = text("system").zip(text("code"));
        coded.is_some_and(|(system, code)| value_set.contains_coding(system, code))
    };
    match of.name() {
        "CodeableConcept" => {
            let codings = members.get("coding").and_then(Value::as_array);
            codings.is_some_and(|codings| codings.iter().filter_map(Value::as_object).any(is_in))
        }
        "Coding" | "Quantity" => is_in(members),
        _ => true,
    }
}
