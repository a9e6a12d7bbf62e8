//! JSON Patch (RFC 6902), complete: operations on the JSON of a resource, done in their order on a copy. What it takes
//! is bounded by its own text, but for `copy`, which could double a resource with each operation and has a
//! budget.

use serde_json::Value;

use super::equal::equal;
use super::pointer::{Pointer, find_mut, index};
use super::{DEEPEST, MOST_OPERATIONS, PatchError, depth, too_many_operations};
use crate::fhir::{Issue, IssueType};

/// Bytes that all `copy` operations of a patch may copy, about; what a body may have.
const MOST_COPIED_BYTES: usize = 16 << 20;

/// Operations in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonPatch {
    operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operation {
    Add { path: Pointer, value: Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: Value },
}

/// Why an operation cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NoPath,
    NoFrom,
    IntoItself,
    TooDeep,
    TooMuch,
    TestFailed,
}

impl Problem {
    fn issue(self, operation: usize) -> Issue {
        let (code, member, text) = match self {
            Self::NoPath => (IssueType::Invalid, ".path", "The resource has no such place"),
            Self::NoFrom => (IssueType::Invalid, ".from", "The resource has no such place"),
            Self::IntoItself => (IssueType::Invalid, ".path", "A value cannot be moved into itself"),
            Self::TooDeep => (IssueType::TooCostly, "", "The operation nests the resource too deep"),
            Self::TooMuch => (IssueType::TooCostly, "", "The operations copy too much"),
            Self::TestFailed => (IssueType::BusinessRule, "", "The value tested for is not there"),
        };
        Issue::error(code, format!("$this[{operation}]{member}"), text)
    }
}

impl JsonPatch {
    /// Reads the operations.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub(super) fn parse(operations: Vec<Value>) -> Result<Self, Vec<Issue>> {
        if operations.len() > MOST_OPERATIONS {
            return Err(too_many_operations());
        }
        let mut issues = Vec::new();
        let read = operations.into_iter().enumerate();
        let operations =
            read.filter_map(|(at, operation)| Operation::parse(at, operation, &mut issues)).collect();
        if issues.is_empty() { Ok(Self { operations }) } else { Err(issues) }
    }

    /// Does the operations on a copy.
    ///
    /// # Errors
    /// The first that cannot be done; those behind it depend on it.
    pub(super) fn apply(&self, resource: &Value) -> Result<Value, PatchError> {
        let mut document = resource.clone();
        let mut budget = MOST_COPIED_BYTES;
        for (at, operation) in self.operations.iter().enumerate() {
            operation.apply(&mut document, &mut budget).map_err(|problem| {
                let issues = vec![problem.issue(at)];
                match problem {
                    Problem::TestFailed => PatchError::TestFailed(issues),
                    _ => PatchError::Inapplicable(issues),
                }
            })?;
        }
        Ok(document)
    }
}

impl Operation {
    fn parse(at: usize, operation: Value, issues: &mut Vec<Issue>) -> Option<Self> {
        let at = format!("$this[{at}]");
        let Value::Object(mut members) = operation else {
            issues.push(Issue::error(IssueType::Structure, at, "An operation is an object"));
            return None;
        };
        let before = issues.len();
        let pointer = |name: &str, issues: &mut Vec<Issue>| {
            let text = members.get(name).and_then(Value::as_str);
            let pointer = text.and_then(Pointer::parse);
            if pointer.is_none() {
                let code = if text.is_some() { IssueType::Value } else { IssueType::Required };
                let text = "The operation must name a place by a JSON Pointer";
                issues.push(Issue::error(code, format!("{at}.{name}"), text));
            }
            pointer
        };
        let path = pointer("path", issues);
        let op = members.get("op").and_then(Value::as_str).unwrap_or_default();
        let from = if matches!(op, "move" | "copy") { pointer("from", issues) } else { None };
        let op = op.to_owned();
        let value = members.shift_remove("value");
        if value.is_none() && matches!(&*op, "add" | "replace" | "test") {
            let text = "The operation must have a value";
            issues.push(Issue::error(IssueType::Required, format!("{at}.value"), text));
        }
        let operation = match (&*op, path, from, value) {
            ("add", Some(path), _, Some(value)) => Self::Add { path, value },
            ("remove", Some(path), _, _) => Self::Remove { path },
            ("replace", Some(path), _, Some(value)) => Self::Replace { path, value },
            ("test", Some(path), _, Some(value)) => Self::Test { path, value },
            ("move", Some(path), Some(from), _) => Self::Move { from, path },
            ("copy", Some(path), Some(from), _) => Self::Copy { from, path },
            ("add" | "remove" | "replace" | "test" | "move" | "copy", ..) => return None,
            _ => {
                let text = "An operation is add, remove, replace, move, copy or test";
                issues.push(Issue::error(IssueType::CodeInvalid, format!("{at}.op"), text));
                return None;
            }
        };
        (issues.len() == before).then_some(operation)
    }

    fn apply(&self, document: &mut Value, budget: &mut usize) -> Result<(), Problem> {
        match self {
            Self::Add { path, value } => add(document, path, value.clone()),
            Self::Remove { path } => remove(document, path).map(drop).ok_or(Problem::NoPath),
            Self::Replace { path, value } => {
                check_depth(path, value)?;
                value.clone_into(path.find_mut(document).ok_or(Problem::NoPath)?);
                Ok(())
            }
            Self::Move { from, path } if from.contains(path) => {
                // RFC 6902, 4.4; but a place that is not there is the greater mistake.
                Err(if from.find(document).is_some() { Problem::IntoItself } else { Problem::NoFrom })
            }
            Self::Move { from, path } if from == path => from.find(document).map(drop).ok_or(Problem::NoFrom),
            Self::Move { from, path } => {
                let value = remove(document, from).ok_or(Problem::NoFrom)?;
                add(document, path, value)
            }
            Self::Copy { from, path } => {
                let value = from.find(document).ok_or(Problem::NoFrom)?;
                *budget = budget.checked_sub(size(value)).ok_or(Problem::TooMuch)?;
                let value = value.clone();
                add(document, path, value)
            }
            Self::Test { path, value } => {
                let is_there = path.find(document).is_some_and(|found| equal(found, value));
                if is_there { Ok(()) } else { Err(Problem::TestFailed) }
            }
        }
    }
}

fn add(document: &mut Value, path: &Pointer, value: Value) -> Result<(), Problem> {
    check_depth(path, &value)?;
    let Some((container, last)) = path.split() else {
        *document = value;
        return Ok(());
    };
    match find_mut(document, container).ok_or(Problem::NoPath)? {
        Value::Object(members) => {
            members.insert(last.to_owned(), value);
        }
        Value::Array(entries) => {
            let at = if last == "-" { Some(entries.len()) } else { index(last) };
            let at = at.filter(|&at| at <= entries.len()).ok_or(Problem::NoPath)?;
            entries.insert(at, value);
        }
        _ => return Err(Problem::NoPath),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &Pointer) -> Option<Value> {
    let Some((container, last)) = path.split() else { return Some(document.take()) };
    match find_mut(document, container)? {
        Value::Object(members) => members.shift_remove(last),
        Value::Array(entries) => {
            let at = index(last).filter(|&at| at < entries.len())?;
            Some(entries.remove(at))
        }
        _ => None,
    }
}

/// Checked where something is put in, before it is: a tree that is too deep cannot even be dropped safely.
fn check_depth(path: &Pointer, value: &Value) -> Result<(), Problem> {
    if path.len() + depth(value) > DEEPEST { Err(Problem::TooDeep) } else { Ok(()) }
}

/// Bytes of a value in memory, about.
fn size(value: &Value) -> usize {
    let content: usize = match value {
        Value::Array(entries) => entries.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value)).sum(),
        Value::String(text) => text.len(),
        _ => 0,
    };
    content + 32
}
