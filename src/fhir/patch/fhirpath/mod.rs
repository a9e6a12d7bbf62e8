//! FHIRPath Patch (FHIR R4, FHIRPath Patch): operations in a Parameters resource, on elements that a simple FHIRPath
//! names. They know nothing of JSON: a plain value moves together with its extensions, a list appears with
//! its first element and goes with its last, and a choice is written by its type.
//!
//! [`operation`] reads them, [`path`] their paths, [`resolve`] finds the elements, [`element`] changes them, and
//! [`model`] says what R4 has where.

mod element;
mod model;
mod operation;
mod path;
#[cfg(test)]
mod path_tests;
mod resolve;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::element::{Content, Members, Segment};
use self::operation::{Action, Given, Operation};
use self::path::Path;
use self::resolve::{Node, Resolver, TooCostly, members, members_mut, place};
use super::{DEEPEST, PatchError, depth};
use crate::fhir::{Issue, IssueType};

/// Elements that the paths of one patch may lead over.
const MOST_VISITS: usize = 1_000_000;

/// Operations in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FhirPathPatch {
    operations: Vec<Operation>,
}

/// Why an operation cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NoElement,
    ManyElements,
    NotAList,
    Resource,
    Unknown,
    Exists,
    BadIndex,
    TooDeep,
    TooCostly,
}

impl From<TooCostly> for Problem {
    fn from(_: TooCostly) -> Self {
        Self::TooCostly
    }
}

impl Problem {
    fn issue(self, parameter: usize) -> Issue {
        let (code, text) = match self {
            Self::NoElement => (IssueType::Invalid, "The path leads to no element"),
            Self::ManyElements => (IssueType::Invalid, "The path leads to more than one element"),
            Self::NotAList => {
                (IssueType::Invalid, "The path does not lead to a list of elements that may repeat")
            }
            Self::Resource => (IssueType::Invalid, "The path leads to the resource, not to an element of it"),
            Self::Unknown => (IssueType::Structure, "R4 has no such element there"),
            Self::Exists => (IssueType::Invalid, "The element does not repeat and is there already"),
            Self::BadIndex => (IssueType::Value, "The list has no such position"),
            Self::TooDeep => (IssueType::TooCostly, "The operation nests the resource too deep"),
            Self::TooCostly => (IssueType::TooCostly, "The paths of the patch lead over too many elements"),
        };
        Issue::error(code, format!("Parameters.parameter[{parameter}]"), text)
    }
}

impl FhirPathPatch {
    /// Reads the operations.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub(super) fn parse(parameters: &Value) -> Result<Self, Vec<Issue>> {
        operation::parse(parameters).map(|operations| Self { operations })
    }

    /// Does the operations on a copy.
    ///
    /// # Errors
    /// The first that cannot be done; those behind it depend on it.
    pub(super) fn apply(&self, resource: &Value) -> Result<Value, PatchError> {
        let mut members = resource.as_object().cloned().unwrap_or_default();
        let mut budget = MOST_VISITS;
        for operation in &self.operations {
            apply(operation, &mut members, &mut budget)
                .map_err(|problem| PatchError::Inapplicable(vec![problem.issue(operation.parameter)]))?;
        }
        Ok(Value::Object(members))
    }
}

fn apply(operation: &Operation, resource: &mut Members, budget: &mut usize) -> Result<(), Problem> {
    let path = &operation.path;
    match &operation.action {
        Action::Add { name, value } => {
            let node = only(resource, path, budget)?.ok_or(Problem::NoElement)?;
            add(resource, &node, name, value)
        }
        Action::Insert { index, value } => {
            let (node, name) = list(resource, path, budget)?;
            insert(resource, &node, name, *index, value)
        }
        Action::Delete => match only(resource, path, budget)? {
            Some(node) => delete(resource, &node),
            // FHIR R4, FHIRPath Patch: "Path of the element to delete (if found)".
            None => Ok(()),
        },
        Action::Replace { value } => {
            let node = only(resource, path, budget)?.ok_or(Problem::NoElement)?;
            replace(resource, &node, path.element().ok_or(Problem::Resource)?, value)
        }
        Action::Move { source, destination } => {
            let (node, name) = list(resource, path, budget)?;
            let list = members_mut(resource, &node).ok_or(Problem::NoElement)?;
            let length = element::length(list, name);
            if *source >= length || *destination >= length {
                return Err(Problem::BadIndex);
            }
            element::reorder(list, name, *source, *destination);
            Ok(())
        }
    }
}

/// The one element at a path, if there is one.
fn only(resource: &Members, path: &Path, budget: &mut usize) -> Result<Option<Node>, Problem> {
    let mut nodes = Resolver::new(resource, budget).resolve(path)?;
    let node = nodes.pop();
    if nodes.is_empty() { Ok(node) } else { Err(Problem::ManyElements) }
}

/// The element that has the list at a path, and the name of the list.
fn list<'p>(resource: &Members, path: &'p Path, budget: &mut usize) -> Result<(Node, &'p str), Problem> {
    let (container, name) = path.split_list().ok_or(Problem::NotAList)?;
    let node = only(resource, &container, budget)?.ok_or(Problem::NoElement)?;
    match model::repeats(&place(resource, &node), name) {
        None => Err(Problem::Unknown),
        Some(false) => Err(Problem::NotAList),
        Some(true) => Ok((node, name)),
    }
}

fn add(resource: &mut Members, node: &Node, name: &str, value: &Given) -> Result<(), Problem> {
    let place = place(resource, node);
    let (json_name, repeats) = json_name(&place, name, value)?;
    let content = build(&place, &json_name, value)?;
    check_depth(node, &content)?;
    if !repeats && members(resource, node).is_some_and(|members| is_there(members, &place, name, &json_name))
    {
        return Err(Problem::Exists);
    }
    let members = opened(resource, node)?;
    if repeats {
        let end = element::length(members, &json_name);
        element::insert(members, &json_name, end, content);
    } else {
        element::set(members, &Segment { name: json_name, index: None }, content);
    }
    Ok(())
}

/// Whether an element that does not repeat is there, as a choice of another type perhaps.
fn is_there(members: &Members, place: &[&str], name: &str, json_name: &str) -> bool {
    let mut keys = members.keys().map(|key| key.strip_prefix('_').unwrap_or(key));
    element::exists(members, json_name)
        || (name != json_name && keys.any(|key| key.starts_with(name) && model::is_choice(place, name, key)))
}

fn insert(
    resource: &mut Members,
    node: &Node,
    name: &str,
    index: usize,
    value: &Given,
) -> Result<(), Problem> {
    let content = build(&place(resource, node), name, value)?;
    check_depth(node, &content)?;
    let length = members(resource, node).map_or(0, |members| element::length(members, name));
    if index > length {
        return Err(Problem::BadIndex);
    }
    element::insert(opened(resource, node)?, name, index, content);
    Ok(())
}

fn delete(resource: &mut Members, node: &Node) -> Result<(), Problem> {
    let (last, mut container) = node.split_last().ok_or(Problem::Resource)?;
    element::remove(members_mut(resource, container).ok_or(Problem::NoElement)?, last);
    // What the last element leaves empty goes with it.
    while let Some((last, outer)) = container.split_last() {
        if !members(resource, container).is_some_and(Members::is_empty) {
            break;
        }
        element::remove_if_empty(members_mut(resource, outer).ok_or(Problem::NoElement)?, last);
        container = outer;
    }
    Ok(())
}

fn replace(resource: &mut Members, node: &Node, name: &str, value: &Given) -> Result<(), Problem> {
    let (last, container) = node.split_last().ok_or(Problem::Resource)?;
    let place = place(resource, container);
    let (json_name, _) = json_name(&place, name, value)?;
    let content = build(&place, &json_name, value)?;
    check_depth(node, &content)?;
    let members = members_mut(resource, container).ok_or(Problem::NoElement)?;
    if json_name == last.name {
        element::set(members, last, content);
    } else {
        // A choice that gets another type.
        element::remove(members, last);
        element::set(members, &Segment { name: json_name, index: None }, content);
    }
    Ok(())
}

/// What is inside an element, even if nothing is yet.
fn opened<'a>(resource: &'a mut Members, node: &[Segment]) -> Result<&'a mut Members, Problem> {
    if let Some((last, container)) = node.split_last() {
        element::open(members_mut(resource, container).ok_or(Problem::NoElement)?, last);
    }
    members_mut(resource, node).ok_or(Problem::NoElement)
}

fn json_name(place: &[&str], name: &str, value: &Given) -> Result<(String, bool), Problem> {
    let type_name = match value {
        Given::Typed { type_name, .. } => Some(type_name.as_str()),
        Given::Resource(_) | Given::Parts(_) => None,
    };
    model::json_name(place, name, type_name).ok_or(Problem::Unknown)
}

/// The JSON of a value for an element of this name at this place.
fn build(place: &[&str], json_name: &str, value: &Given) -> Result<Content, Problem> {
    let parts = match value {
        Given::Typed { content, .. } => return Ok(content.clone()),
        Given::Resource(resource) => return Ok(Content { value: Some(resource.clone()), twin: None }),
        Given::Parts(parts) => parts,
    };
    let inside = [place, &[json_name]].concat();
    let mut members = Members::new();
    for (name, value) in parts {
        let (json_name, repeats) = self::json_name(&inside, name, value)?;
        let content = build(&inside, &json_name, value)?;
        if repeats {
            let end = element::length(&members, &json_name);
            element::insert(&mut members, &json_name, end, content);
        } else if element::exists(&members, &json_name) {
            return Err(Problem::Exists);
        } else {
            element::set(&mut members, &Segment { name: json_name, index: None }, content);
        }
    }
    Ok(Content { value: Some(Value::Object(members)), twin: None })
}

/// Each step to an element may go through an object and an array.
fn check_depth(node: &Node, content: &Content) -> Result<(), Problem> {
    let inside = [&content.value, &content.twin].into_iter().flatten().map(depth).max().unwrap_or(0);
    if 2 * (node.len() + 1) + inside > DEEPEST { Err(Problem::TooDeep) } else { Ok(()) }
}
