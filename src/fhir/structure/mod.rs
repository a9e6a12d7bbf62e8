//! Whether a resource has the structure of its type in FHIR R4: known elements, arrays where elements repeat,
//! the JSON type of each primitive, nothing null or empty. It names every offending element at once, before
//! profiles and invariants are looked at. Cardinalities, codes and the forms of dates are not its business.
//!
//! The facts are fhirbolt's, asked element by element: its own strict reading stops at the first error, names no
//! path, quotes values and lets wrong JSON types pass. Nesting is bounded before, by the scanner.

mod resource_type;
#[cfg(test)]
mod tests;

use fhirbolt::FhirReleases;
use fhirbolt_shared::path::ElementPath;
use serde_json::{Map, Number, Value};

use super::{Issue, IssueType, path};

pub(crate) use self::resource_type::{resource_type, resource_types};

/// More issues than anybody reads are not collected: a hostile body must not make the answer huge.
const MOST_ISSUES: usize = 200;

/// Checks a resource; `at` is its path.
pub(crate) fn check(resource: &Value, at: &str) -> Vec<Issue> {
    let model = ElementPath::new(FhirReleases::R4);
    let mut check = Check { model, at: at.to_owned(), issues: Vec::new() };
    check.resource(resource);
    check.issues
}

/// A rule of FHIR R4, JSON Representation, or of the resource's type.
#[derive(Debug, Clone, Copy)]
enum Problem {
    MissingType,
    UnknownType,
    NotAResource,
    Unknown,
    NotRepeating,
    Repeating,
    NotAnObject,
    NotAPrimitive,
    NotABoolean,
    NotANumber,
    NotAString,
    NotAnInteger,
    Null,
    EmptyString,
    EmptyArray,
    EmptyObject,
    TwinOfComplex,
    TwinNotAnObject,
    TwinNotAnArray,
    TwinLength,
}

impl Problem {
    fn told(self) -> (IssueType, &'static str) {
        let text = match self {
            Self::MissingType => return (IssueType::Required, "A resource says its type"),
            Self::UnknownType => return (IssueType::Value, "This is no resource type of FHIR R4"),
            Self::NotABoolean => return (IssueType::Value, "The value must be true or false"),
            Self::NotANumber => return (IssueType::Value, "The value must be a number"),
            Self::NotAString => return (IssueType::Value, "The value must be a string"),
            Self::NotAnInteger => {
                return (IssueType::Value, "The value must be an integer in the range of its type");
            }
            Self::NotAResource => "A resource is a JSON object",
            Self::Unknown => "There is no such element here",
            Self::NotRepeating => "The element does not repeat, so it must not be an array",
            Self::Repeating => "The element repeats, so it must be an array",
            Self::NotAnObject => "The element must be a JSON object",
            Self::NotAPrimitive => "The element has a plain value, not an object",
            Self::Null => "A null is only allowed in an array of plain values, beside an extension",
            Self::EmptyString => "A string must not be empty",
            Self::EmptyArray => "An array must not be empty",
            Self::EmptyObject => "An object must not be empty",
            Self::TwinOfComplex => "Only an element with a plain value has a property with an underscore",
            Self::TwinNotAnObject => "A property with an underscore holds an object",
            Self::TwinNotAnArray => "A property with an underscore is an array where its element is one",
            Self::TwinLength => "A property with an underscore has as many entries as its element",
        };
        (IssueType::Structure, text)
    }
}

struct Check {
    /// Where the check is in the model. It is only moved while the place is one that the model knows.
    model: ElementPath,
    /// Where the check is in the resource.
    at: String,
    issues: Vec<Issue>,
}

impl Check {
    fn report(&mut self, problem: Problem) {
        if self.issues.len() < MOST_ISSUES {
            let (code, text) = problem.told();
            self.issues.push(Issue::error(code, self.at.clone(), text));
        }
    }

    /// Does something at a property of the present place.
    fn member(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        path::push_member(&mut self.at, name.as_bytes());
        work(self);
        self.at.truncate(length);
    }

    /// Does something at an entry of the present place.
    fn entry(&mut self, index: usize, work: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        path::push_index(&mut self.at, index);
        work(self);
        self.at.truncate(length);
    }

    /// Does something at an element of the present place of the model.
    fn modelled(&mut self, name: &str, work: impl FnOnce(&mut Self)) {
        self.model.push(name);
        work(self);
        self.model.pop();
    }

    fn resource(&mut self, value: &Value) {
        let Value::Object(members) = value else { return self.report(Problem::NotAResource) };
        match members.get("resourceType") {
            None => self.member("resourceType", |check| check.report(Problem::MissingType)),
            Some(name) => match name.as_str().and_then(resource_type) {
                Some(name) => return self.modelled(name, |check| check.members(members, true)),
                None => self.member("resourceType", |check| check.report(Problem::UnknownType)),
            },
        }
        // Nothing is known about its elements, but some rules hold for all.
        self.untyped(value);
    }

    fn untyped(&mut self, value: &Value) {
        match value {
            Value::String(text) if text.is_empty() => self.report(Problem::EmptyString),
            Value::Array(entries) if entries.is_empty() => self.report(Problem::EmptyArray),
            Value::Object(members) if members.is_empty() => self.report(Problem::EmptyObject),
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_null()) {
                    self.entry(index, |check| check.untyped(entry));
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    self.member(name, |check| check.untyped(value));
                }
            }
            Value::Null => self.report(Problem::Null),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn members(&mut self, members: &Map<String, Value>, is_resource: bool) {
        if members.is_empty() {
            return self.report(Problem::EmptyObject);
        }
        let known = self.model.children();
        let is_extension = self.model.current_element_is_extension();
        for (name, value) in members {
            if is_resource && name == "resourceType" {
                continue;
            }
            let element = name.strip_prefix('_').unwrap_or(name);
            if !known.is_some_and(|known| known.contains(element)) {
                self.member(name, |check| check.report(Problem::Unknown));
                continue;
            }
            self.modelled(element, |check| {
                // The model's lists of primitives leave out `Extension.url`, an attribute in XML.
                let is_primitive =
                    check.model.current_element_is_primitive() || (is_extension && element == "url");
                if element.len() == name.len() {
                    let twin = members.get(&format!("_{name}")).filter(|_| is_primitive);
                    if is_primitive {
                        check.primitive(name, Some(value), twin);
                    } else {
                        check.member(name, |check| check.complex(value));
                    }
                } else if !is_primitive {
                    check.member(name, |check| check.report(Problem::TwinOfComplex));
                } else if !members.contains_key(element) {
                    check.primitive(element, None, Some(value));
                }
            });
        }
    }

    fn complex(&mut self, value: &Value) {
        match (value, self.model.current_element_is_sequence()) {
            (Value::Null, _) => self.report(Problem::Null),
            (Value::Array(entries), true) if entries.is_empty() => self.report(Problem::EmptyArray),
            (Value::Array(entries), true) => {
                for (index, entry) in entries.iter().enumerate() {
                    self.entry(index, |check| check.element(entry));
                }
            }
            (Value::Array(_), false) => self.report(Problem::NotRepeating),
            (_, true) => self.report(Problem::Repeating),
            (_, false) => self.element(value),
        }
    }

    fn element(&mut self, value: &Value) {
        match value {
            _ if self.model.current_element_is_resource() => self.resource(value),
            Value::Object(members) => self.members(members, false),
            Value::Null => self.report(Problem::Null),
            _ => self.report(Problem::NotAnObject),
        }
    }

    /// An element with a plain value: the value, and the twin with its id and extensions.
    fn primitive(&mut self, name: &str, value: Option<&Value>, twin: Option<&Value>) {
        let twin_name = format!("_{name}");
        let repeats = self.model.current_element_is_sequence();
        if let Some(value) = value {
            self.member(name, |check| match (value, repeats) {
                (Value::Array(_), false) => check.report(Problem::NotRepeating),
                (Value::Array(entries), true) if entries.is_empty() => check.report(Problem::EmptyArray),
                (Value::Array(entries), true) => {
                    let twins = twin.and_then(Value::as_array);
                    for (index, entry) in entries.iter().enumerate() {
                        let has_twin =
                            twins.is_some_and(|twins| twins.get(index).is_some_and(Value::is_object));
                        if !(entry.is_null() && has_twin) {
                            check.entry(index, |check| check.plain(entry));
                        }
                    }
                }
                (Value::Null, _) => check.report(Problem::Null),
                (_, true) => check.report(Problem::Repeating),
                (_, false) => check.plain(value),
            });
        }
        let Some(twin) = twin else { return };
        self.member(&twin_name, |check| match (twin, repeats) {
            (Value::Array(entries), true) => check.twins(entries, value),
            (_, true) => check.report(Problem::TwinNotAnArray),
            (_, false) => check.twin(twin),
        });
    }

    fn twins(&mut self, entries: &[Value], values: Option<&Value>) {
        match values {
            Some(Value::Array(values)) if values.len() != entries.len() => {
                return self.report(Problem::TwinLength);
            }
            _ if entries.iter().all(Value::is_null) => return self.report(Problem::EmptyArray),
            _ => {}
        }
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_null()) {
            self.entry(index, |check| check.twin(entry));
        }
    }

    fn twin(&mut self, twin: &Value) {
        let Value::Object(members) = twin else { return self.report(Problem::TwinNotAnObject) };
        if members.is_empty() {
            return self.report(Problem::EmptyObject);
        }
        for (name, value) in members {
            match name.as_str() {
                "id" => self.member(name, |check| check.string(value)),
                "extension" => self.modelled(name, |check| {
                    check.member(name, |check| check.complex(value));
                }),
                _ => self.member(name, |check| check.report(Problem::Unknown)),
            }
        }
    }

    /// One plain value, of the type that the model has for the present place.
    fn plain(&mut self, value: &Value) {
        let model = &self.model;
        match value {
            Value::Null => self.report(Problem::Null),
            Value::Object(_) | Value::Array(_) => self.report(Problem::NotAPrimitive),
            _ if model.current_element_is_boolean() => {
                if !value.is_boolean() {
                    self.report(Problem::NotABoolean);
                }
            }
            _ if model.current_element_is_positive_integer() => self.integer(value, 1),
            _ if model.current_element_is_unsigned_integer() => self.integer(value, 0),
            _ if model.current_element_is_integer() => self.integer(value, i32::MIN),
            _ if model.current_element_is_decimal() => {
                if !value.is_number() {
                    self.report(Problem::NotANumber);
                }
            }
            _ => self.string(value),
        }
    }

    fn string(&mut self, value: &Value) {
        match value.as_str() {
            None => self.report(Problem::NotAString),
            Some("") => self.report(Problem::EmptyString),
            Some(_) => {}
        }
    }

    fn integer(&mut self, value: &Value, least: i32) {
        match value.as_number().map(Number::to_string) {
            None => self.report(Problem::NotANumber),
            // Through the text: what a number can be turned into depends on features of the JSON library.
            Some(text) => match text.parse::<i32>() {
                Ok(value) if value >= least => {}
                _ => self.report(Problem::NotAnInteger),
            },
        }
    }
}
