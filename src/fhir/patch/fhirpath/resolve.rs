//! From a path to the elements of a resource that it leads to. Each is named by the steps from the resource on, so that
//! it can be changed afterwards.

use serde_json::Value;

use super::element::{self, Members, Segment};
use super::model;
use super::path::{Equation, Path, Step};
use crate::fhir::patch::equal::equal;

/// An element, as the steps that lead to it from the resource; none for the resource itself.
pub(super) type Node = Vec<Segment>;

/// The paths of the patch lead over more elements than are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooCostly;

/// The resource as it is at present.
pub(super) struct Resolver<'a> {
    resource: &'a Members,
    /// Elements that may still be looked at.
    budget: &'a mut usize,
}

impl<'a> Resolver<'a> {
    /// For one operation.
    pub(super) fn new(resource: &'a Members, budget: &'a mut usize) -> Self {
        Self { resource, budget }
    }

    /// The elements that a path leads to, in order.
    pub(super) fn resolve(&mut self, path: &Path) -> Result<Vec<Node>, TooCostly> {
        let own_type = self.resource.get("resourceType").and_then(Value::as_str);
        let is_of_type = |root: &String| {
            Some(root.as_str()) == own_type || matches!(root.as_str(), "Resource" | "DomainResource")
        };
        if !path.root.as_ref().is_none_or(is_of_type) {
            return Ok(Vec::new());
        }
        let mut nodes = vec![Node::new()];
        for step in &path.steps {
            nodes = match step {
                Step::Element(name) => self.children(&nodes, name)?,
                Step::Index(index) => nodes.into_iter().nth(*index).into_iter().collect(),
                Step::First => nodes.into_iter().take(1).collect(),
                Step::Last => nodes.pop().into_iter().collect(),
                Step::Single => Some(nodes).filter(|nodes| nodes.len() == 1).unwrap_or_default(),
                Step::Where(equations) => self.filter(nodes, equations)?,
                Step::Extension(url) => {
                    let equation = Equation { path: vec!["url".to_owned()], literal: url.as_str().into() };
                    let extensions = self.children(&nodes, "extension")?;
                    self.filter(extensions, &[equation])?
                }
                Step::OfType(type_name) => {
                    nodes.into_iter().filter(|node| self.is_of_type(node, type_name, path)).collect()
                }
            };
        }
        Ok(nodes)
    }

    fn children(&mut self, nodes: &[Node], name: &str) -> Result<Vec<Node>, TooCostly> {
        let mut children = Vec::new();
        for node in nodes {
            self.spend(1)?;
            let Some(members) = members(self.resource, node) else { continue };
            let Some(key) = self.key(members, node, name) else { continue };
            let is_array = |name: &str| members.get(name).is_some_and(Value::is_array);
            let child = |index| {
                let mut child = node.clone();
                child.push(Segment { name: key.clone(), index });
                child
            };
            if is_array(&key) || is_array(&element::twin_name(&key)) {
                let length = element::length(members, &key);
                self.spend(length)?;
                children.extend((0..length).map(|index| child(Some(index))));
            } else {
                children.push(child(None));
            }
        }
        Ok(children)
    }

    /// What JSON has an element under; a choice is there under the name of its type.
    fn key(&self, members: &Members, node: &Node, name: &str) -> Option<String> {
        if element::exists(members, name) {
            return Some(name.to_owned());
        }
        let keys = members.keys().map(|key| key.strip_prefix('_').unwrap_or(key));
        let mut keys = keys.filter(|key| key.starts_with(name)).peekable();
        keys.peek()?;
        let place = place(self.resource, node);
        keys.find(|key| model::is_choice(&place, name, key)).map(str::to_owned)
    }

    fn filter(&mut self, nodes: Vec<Node>, equations: &[Equation]) -> Result<Vec<Node>, TooCostly> {
        let mut kept = Vec::new();
        for node in nodes {
            let mut is_kept = true;
            for equation in equations {
                is_kept = is_kept && self.holds(&node, equation)?;
            }
            if is_kept {
                kept.push(node);
            }
        }
        Ok(kept)
    }

    /// Whether an equation holds: one element is there, and it is the literal (FHIRPath, `=`).
    fn holds(&mut self, node: &Node, equation: &Equation) -> Result<bool, TooCostly> {
        let mut found = vec![node.clone()];
        for name in &equation.path {
            found = self.children(&found, name)?;
        }
        let [only] = &found[..] else { return Ok(false) };
        Ok(value(self.resource, only).is_some_and(|value| equal(value, &equation.literal)))
    }

    /// Whether an element has the type: a choice tells by its name, a resource by its `resourceType`.
    fn is_of_type(&self, node: &Node, type_name: &str, path: &Path) -> bool {
        let Some(last) = node.last() else { return false };
        let own_type = value(self.resource, node).and_then(|value| value.get("resourceType"));
        let suffix = path.element().and_then(|name| last.name.strip_prefix(name)).unwrap_or_default();
        own_type.is_some_and(|own_type| own_type == type_name)
            // `ofType(string)` and `ofType(Quantity)`: JSON writes both with a capital.
            || (!suffix.is_empty() && suffix.eq_ignore_ascii_case(type_name))
    }

    fn spend(&mut self, elements: usize) -> Result<(), TooCostly> {
        *self.budget = self.budget.checked_sub(elements).ok_or(TooCostly)?;
        Ok(())
    }
}

/// What is inside an element.
pub(super) fn members<'a>(resource: &'a Members, node: &[Segment]) -> Option<&'a Members> {
    node.iter().try_fold(resource, |members, segment| element::inside(members, segment))
}

/// The same, to be changed.
pub(super) fn members_mut<'a>(resource: &'a mut Members, node: &[Segment]) -> Option<&'a mut Members> {
    node.iter().try_fold(resource, |members, segment| element::inside_mut(members, segment))
}

/// Where an element is in the model: the names that lead to it from the resource that it is in, which may be a
/// contained one.
pub(super) fn place<'a>(resource: &'a Members, node: &'a [Segment]) -> Vec<&'a str> {
    let type_of = |members: &'a Members| members.get("resourceType").and_then(Value::as_str);
    let mut place: Vec<&str> = type_of(resource).into_iter().collect();
    let mut members = Some(resource);
    for segment in node {
        place.push(&segment.name);
        members = members.and_then(|members| element::inside(members, segment));
        // `ExampleScenario.instance` has an element of that name too, and no resource type begins a small letter.
        let inner = members.and_then(type_of).filter(|_| matches!(&*segment.name, "contained" | "resource"));
        if let Some(inner) = inner {
            place = vec![inner];
        }
    }
    place
}

fn value<'a>(resource: &'a Members, node: &[Segment]) -> Option<&'a Value> {
    let (last, container) = node.split_last()?;
    element::value(members(resource, container)?, last)
}
