//! Where the walk is in the resource: a chain back to its start, which becomes a path only when an issue needs one.

use crate::fhir::path;

/// A place in a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Start(&'a str),
    Member(&'a str),
    /// The property with an underscore beside the element of this name.
    Twin(&'a str),
    Entry(usize),
}

impl<'a> Place<'a> {
    /// Where the walk begins, by its own path.
    pub(super) fn start(path: &'a str) -> Self {
        Self { above: None, step: Step::Start(path) }
    }

    /// A property of this place.
    pub(super) fn member(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), step: Step::Member(name) }
    }

    /// The property with an underscore that goes with an element of this place.
    pub(super) fn twin(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), step: Step::Twin(name) }
    }

    /// An entry of the array at this place.
    pub(super) fn entry(&'a self, index: usize) -> Self {
        Self { above: Some(self), step: Step::Entry(index) }
    }

    /// The path to it.
    pub(super) fn path(&self) -> String {
        let mut path = self.above.map(Self::path).unwrap_or_default();
        match self.step {
            Step::Start(start) => path.push_str(start),
            Step::Member(name) => path::push_member(&mut path, name.as_bytes()),
            Step::Twin(name) => path::push_member(&mut path, format!("_{name}").as_bytes()),
            Step::Entry(index) => path::push_index(&mut path, index),
        }
        path
    }
}
