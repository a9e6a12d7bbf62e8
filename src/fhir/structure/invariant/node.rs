//! What an invariant sees: one element, and questions in the manner of FHIRPath.

use serde_json::{Map, Value};

/// An element.
#[derive(Debug, Clone, Copy)]
pub(in crate::fhir::structure) struct Node<'a> {
    /// Its own members.
    pub(in crate::fhir::structure) members: &'a Map<String, Value>,
}

impl<'a> Node<'a> {
    /// Whether the element is there, be it as extensions only (`exists()`).
    pub(super) fn has(self, name: &str) -> bool {
        self.members.contains_key(name)
            || self.members.keys().any(|key| key.strip_prefix('_').is_some_and(|key| key == name))
    }

    /// Whether the choice element is there with any type.
    pub(super) fn has_choice(self, name: &str) -> bool {
        self.members.keys().any(|key| {
            let key = key.strip_prefix('_').unwrap_or(key);
            key.strip_prefix(name)
                .is_some_and(|of_type| of_type.starts_with(|c: char| c.is_ascii_uppercase()))
        })
    }

    /// How many of these are there.
    pub(super) fn count(self, names: &[&str]) -> usize {
        names.iter().filter(|name| self.has(name)).count()
    }

    /// A plain value.
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A plain value that is a text.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(Value::as_str)
    }

    /// Whether the element is one of these codes.
    pub(super) fn is(self, name: &str, codes: &[&str]) -> bool {
        self.text(name).is_some_and(|code| codes.contains(&code))
    }

    /// Whether the element is true.
    pub(super) fn is_true(self, name: &str) -> bool {
        self.value(name) == Some(&Value::Bool(true))
    }

    /// A number, near enough to compare with a limit.
    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.value(name)?.as_number()?.to_string().parse().ok()
    }

    /// The entries of a repeating element, or the one of another.
    pub(super) fn list(self, name: &str) -> &'a [Value] {
        match self.value(name) {
            Some(Value::Array(entries)) => entries,
            Some(entry) => std::slice::from_ref(entry),
            None => &[],
        }
    }

    /// The elements below of this name.
    pub(super) fn each(self, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.list(name).iter().filter_map(Value::as_object).map(|members| Node { members })
    }

    /// The first element below of this name.
    pub(super) fn first(self, name: &str) -> Option<Node<'a>> {
        self.each(name).next()
    }

    /// Whether the CodeableConcept of this name has one of these codes of the system.
    pub(super) fn is_coded(self, name: &str, system: &str, codes: &[&str]) -> bool {
        let mut codings = self.each(name).flat_map(|concept| concept.each("coding"));
        codings.any(|coding| coding.text("system") == Some(system) && coding.is("code", codes))
    }

    /// Whether no two of the elements below have the same text in this member.
    pub(super) fn are_distinct(self, name: &str, member: &str) -> bool {
        let mut texts: Vec<_> = self.each(name).filter_map(|entry| entry.text(member)).collect();
        texts.sort_unstable();
        texts.windows(2).all(|pair| pair[0] != pair[1])
    }
}
