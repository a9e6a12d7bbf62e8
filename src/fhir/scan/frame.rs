//! The containers that are open at one point of a body: where the point is, as a path, and which property names
//! each object already has. Everything lies in flat vectors, so that nesting costs no stack.

use std::collections::HashSet;
use std::ops::Range;

use crate::fhir::path;

/// Up to here, names are compared one by one; beyond, an object gets a set, so that a million properties
/// cost no more than a million.
const COMPARED_NAMES: usize = 24;

/// The open containers, outermost first.
#[derive(Debug, Default)]
pub(super) struct Frames {
    open: Vec<Frame>,
    /// The unescaped property names of all open objects, one after the other.
    names: Vec<u8>,
    /// Where each name lies in `names`.
    spans: Vec<Range<usize>>,
}

/// One open container.
#[derive(Debug)]
enum Frame {
    /// An object, whose names begin at this place of `spans`; the last one is the current property.
    Object { first: usize, seen: Option<HashSet<Box<[u8]>>> },
    /// An array, and the index of the current value.
    Array(usize),
}

impl Frames {
    /// How many containers are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the innermost one is an array.
    pub(super) fn in_array(&self) -> bool {
        matches!(self.open.last(), Some(Frame::Array(_)))
    }

    /// Opens an object.
    pub(super) fn open_object(&mut self) {
        self.open.push(Frame::Object { first: self.spans.len(), seen: None });
    }

    /// Opens an array.
    pub(super) fn open_array(&mut self) {
        self.open.push(Frame::Array(0));
    }

    /// Closes the innermost container.
    pub(super) fn close(&mut self) {
        if let Some(Frame::Object { first, .. }) = self.open.pop() {
            if let Some(span) = self.spans.get(first) {
                self.names.truncate(span.start);
            }
            self.spans.truncate(first);
        }
    }

    /// Goes on to the next value of an array.
    pub(super) fn next_value(&mut self) {
        if let Some(Frame::Array(index)) = self.open.last_mut() {
            *index += 1;
        }
    }

    /// Goes on to the property `name` of an object; `false` if the object has had it already.
    pub(super) fn next_property(&mut self, name: &[u8]) -> bool {
        let Self { open, names, spans } = self;
        let Some(Frame::Object { first, seen }) = open.last_mut() else { return true };
        let earlier = &spans[*first..];
        let is_new = match seen {
            Some(seen) => seen.insert(name.into()),
            None if earlier.len() < COMPARED_NAMES => {
                !earlier.iter().any(|span| &names[span.clone()] == name)
            }
            None => {
                let mut all: HashSet<Box<[u8]>> =
                    earlier.iter().map(|span| names[span.clone()].into()).collect();
                let is_new = all.insert(name.into());
                *seen = Some(all);
                is_new
            }
        };
        let start = names.len();
        names.extend_from_slice(name);
        spans.push(start..names.len());
        is_new
    }

    /// The current property of the container at `depth`, if it is an object.
    pub(super) fn property(&self, depth: usize) -> Option<&[u8]> {
        let Frame::Object { first, .. } = self.open.get(depth)? else { return None };
        // Its last name is the one before the first name of the next object inside.
        let next = self.open[depth + 1..].iter().find_map(|frame| match frame {
            Frame::Object { first, .. } => Some(*first),
            Frame::Array(_) => None,
        });
        let end = next.unwrap_or(self.spans.len());
        if end == *first { None } else { Some(&self.names[self.spans[end - 1].clone()]) }
    }

    /// The index of the current value in the container at `depth`, if it is an array.
    pub(super) fn index(&self, depth: usize) -> Option<usize> {
        match self.open.get(depth)? {
            Frame::Array(index) => Some(*index),
            Frame::Object { .. } => None,
        }
    }

    /// The path of the current value, beginning with `root`.
    pub(super) fn path(&self, root: &str) -> String {
        let mut path = root.to_owned();
        for depth in 0..self.open.len() {
            if let Some(name) = self.property(depth) {
                path::push_member(&mut path, name);
            } else if let Some(index) = self.index(depth) {
                path::push_index(&mut path, index);
            }
        }
        path
    }
}
