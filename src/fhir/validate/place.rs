//! Where in a resource a check is: the expression for machines, and a label for people. Both are made of
//! the profile's own names and of indexes, never of what a client sent. A place is a chain of steps on the
//! stack; nothing is written down before something is wrong there.

use super::super::outcome::{Issue, IssueType};
use super::super::path::{push_index, push_member};

/// A place in a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    /// The property, or the element's name where that has none.
    name: &'a str,
    index: Option<usize>,
    /// What a person calls it: the slice's name, or the element's.
    word: &'a str,
}

impl<'a> Place<'a> {
    /// The resource itself.
    pub(super) fn root(name: &'a str) -> Self {
        Self { parent: None, name, index: None, word: name }
    }

    /// An element inside.
    pub(super) fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), name, index: None, word: name }
    }

    /// The same place under another name for people.
    pub(super) fn called(self, word: &'a str) -> Self {
        Self { word, ..self }
    }

    /// The property beside this one, where the extensions of a primitive are.
    pub(super) fn twin_name(&self) -> String {
        format!("_{}", self.name)
    }

    /// The same place at another property.
    pub(super) fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// One occurrence of a repeating element; the same place if it does not repeat.
    pub(super) fn indexed(self, index: Option<usize>) -> Self {
        Self { index: index.or(self.index), ..self }
    }

    /// `Parameters.parameter[3].valueIdentifier`
    pub(super) fn expression(&self) -> String {
        let mut expression = self.parent.map(Place::expression).unwrap_or_default();
        match self.parent {
            Some(_) => push_member(&mut expression, self.name.as_bytes()),
            None => expression.push_str(self.name),
        }
        if let Some(index) = self.index {
            push_index(&mut expression, index);
        }
        expression
    }

    /// `MemberId.value`
    fn label(&self) -> String {
        match self.parent {
            Some(parent) if parent.parent.is_some() => format!("{}.{}", parent.label(), self.word),
            _ => self.word.to_owned(),
        }
    }

    /// An error here: the label and what is wrong with it.
    pub(super) fn error(&self, code: IssueType, problem: &str) -> Issue {
        Issue::error(code, self.expression(), format!("{} {problem}", self.label()))
    }

    /// An error about a parameter of this name that is not there. It has no index that could tell it from
    /// other parameters, so that its name must.
    pub(super) fn missing_parameter(&self, problem: &str) -> Issue {
        let expression = format!("{}.where(name='{}')", self.expression(), self.word);
        Issue::error(IssueType::Required, expression, format!("{} {problem}", self.label()))
    }
}
