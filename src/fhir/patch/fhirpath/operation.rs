//! The operations of a FHIRPath Patch, read from the Parameters resource that carries them.

use serde_json::{Map, Value};

use super::element::{Content, twin_name};
use super::path::Path;
use crate::fhir::patch::{MOST_OPERATIONS, too_many_operations};
use crate::fhir::{Issue, IssueType};

/// An operation, and which parameter it was.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    pub(super) parameter: usize,
    pub(super) path: Path,
    pub(super) action: Action,
}

/// What is done at the path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Add { name: String, value: Given },
    Insert { index: usize, value: Given },
    Delete,
    Replace { value: Given },
    Move { source: usize, destination: usize },
}

/// A value that a patch gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// Of a datatype, written as JSON names it in a choice: `CodeableConcept`.
    Typed { type_name: String, content: Content },
    /// A whole resource.
    Resource(Value),
    /// Of a type without a name, such as `Patient.contact`: each of its elements.
    Parts(Vec<(String, Given)>),
}

/// Reads all operations.
pub(super) fn parse(parameters: &Value) -> Result<Vec<Operation>, Vec<Issue>> {
    let parameters = match parameters.get("parameter") {
        None => &[][..],
        Some(Value::Array(parameters)) => parameters,
        Some(_) => {
            let text = "The element repeats, so it must be an array";
            return Err(vec![Issue::error(IssueType::Structure, "Parameters.parameter", text)]);
        }
    };
    if parameters.len() > MOST_OPERATIONS {
        return Err(too_many_operations());
    }
    let mut issues = Vec::new();
    let read = parameters.iter().enumerate().filter_map(|(at, parameter)| {
        let mut parts = Parts::of(at, parameter, &mut issues)?;
        let operation = parts.operation(at);
        operation.filter(|_| parts.is_right)
    });
    let operations = read.collect();
    if issues.is_empty() { Ok(operations) } else { Err(issues) }
}

/// The parts of one operation.
struct Parts<'a> {
    at: String,
    parts: &'a [Value],
    issues: &'a mut Vec<Issue>,
    is_right: bool,
}

impl<'a> Parts<'a> {
    fn of(at: usize, parameter: &'a Value, issues: &'a mut Vec<Issue>) -> Option<Self> {
        let at = format!("Parameters.parameter[{at}]");
        // A parameter that is not understood must not be left out: the others may count on it.
        if parameter.get("name").is_none_or(|name| name != "operation") {
            let text = "Each parameter of a patch is an operation";
            issues.push(Issue::error(IssueType::Value, format!("{at}.name"), text));
            return None;
        }
        let parts = parameter.get("part").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Some(Self { at, parts, issues, is_right: true })
    }

    fn operation(&mut self, parameter: usize) -> Option<Operation> {
        let kind = self.text("type");
        let path = self.text("path");
        let parsed = path.and_then(Path::parse);
        if path.is_some() && parsed.is_none() {
            self.report(
                IssueType::NotSupported,
                "path",
                "The path is none of the supported simple FHIRPaths",
            );
        }
        let action = match kind? {
            "add" => {
                let (name, value) = (self.text("name"), self.value());
                name.zip(value).map(|(name, value)| Action::Add { name: name.to_owned(), value })
            }
            "insert" => {
                let (index, value) = (self.index("index"), self.value());
                index.zip(value).map(|(index, value)| Action::Insert { index, value })
            }
            "delete" => Some(Action::Delete),
            "replace" => self.value().map(|value| Action::Replace { value }),
            "move" => {
                let (source, destination) = (self.index("source"), self.index("destination"));
                source.zip(destination).map(|(source, destination)| Action::Move { source, destination })
            }
            _ => {
                let text = "An operation is add, insert, delete, replace or move";
                self.report(IssueType::CodeInvalid, "type", text);
                None
            }
        };
        Some(Operation { parameter, path: parsed?, action: action? })
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        self.required(name, |part| primitive(part).and_then(Value::as_str))
    }

    fn index(&mut self, name: &str) -> Option<usize> {
        self.required(name, |part| primitive(part)?.as_u64().and_then(|index| usize::try_from(index).ok()))
    }

    fn value(&mut self) -> Option<Given> {
        self.required("value", given)
    }

    fn required<T>(&mut self, name: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let mut found = self.parts.iter().filter(|part| part.get("name").is_some_and(|own| own == name));
        let Some(part) = found.next() else {
            self.report(IssueType::Required, name, "The operation must have this part");
            return None;
        };
        if found.next().is_some() {
            self.report(IssueType::Structure, name, "The operation must have this part once");
            return None;
        }
        let value = read(part);
        if value.is_none() {
            self.report(IssueType::Value, name, "The part must have a value of its type");
        }
        value
    }

    /// Reports about a part; `name` is one of those that an operation has.
    fn report(&mut self, code: IssueType, name: &str, text: &str) {
        self.is_right = false;
        let at = format!("{}.part.where(name='{name}')", self.at);
        self.issues.push(Issue::error(code, at, text));
    }
}

/// The plain value of a part, whatever type its name says: `valueString` where `valueCode` is meant does no harm.
fn primitive(part: &Value) -> Option<&Value> {
    part.as_object()?.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value)
}

/// The value of a part, of whatever form.
fn given(part: &Value) -> Option<Given> {
    let members = part.as_object()?;
    let type_name = |name: &str| {
        let suffix = name.strip_prefix('_').unwrap_or(name).strip_prefix("value")?;
        suffix.starts_with(|first: char| first.is_ascii_uppercase()).then(|| suffix.to_owned())
    };
    if let Some(type_name) = members.keys().find_map(|name| type_name(name)) {
        let name = format!("value{type_name}");
        let content =
            Content { value: members.get(&name).cloned(), twin: members.get(&twin_name(&name)).cloned() };
        return Some(Given::Typed { type_name, content });
    }
    if let Some(resource) = members.get("resource") {
        return Some(Given::Resource(resource.clone()));
    }
    parts(members)
}

/// The elements of a value whose type has no name. How deep they nest is bounded by the scanner.
fn parts(members: &Map<String, Value>) -> Option<Given> {
    let parts = members.get("part").and_then(Value::as_array).filter(|parts| !parts.is_empty())?;
    let named = |part: &Value| Some((part.get("name")?.as_str()?.to_owned(), given(part)?));
    parts.iter().map(named).collect::<Option<_>>().map(Given::Parts)
}
