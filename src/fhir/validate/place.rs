//! Where in a resource a check is: the expression for machines, and a label for people. Both are made of
//! the profile's own names and of indexes, never of what a client sent.

use super::super::outcome::{Issue, IssueType};
use super::super::profile::ElementRule;

/// A place in a resource.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `Parameters.parameter.where(name='MemberId').value`
    pub(super) expression: String,
    /// `MemberId.value`
    label: String,
}

impl Place {
    /// The resource itself.
    pub(super) fn root(rule: &ElementRule) -> Self {
        Self { expression: rule.name.clone(), label: String::new() }
    }

    /// An element inside.
    pub(super) fn child(&self, name: &str) -> Self {
        let label = if self.label.is_empty() { name.to_owned() } else { format!("{}.{name}", self.label) };
        Self { expression: format!("{}.{name}", self.expression), label }
    }

    /// One occurrence of a repeating element; the same place if it does not repeat.
    pub(super) fn indexed(&self, index: Option<usize>) -> Self {
        match index {
            None => self.clone(),
            Some(index) => {
                Self { expression: format!("{}[{index}]", self.expression), label: self.label.clone() }
            }
        }
    }

    /// The same place, labelled with the slice that was found there: `Attachment.Content` says more than
    /// `parameter.part`.
    pub(super) fn of_slice(&self, slice: &ElementRule) -> Self {
        let name = slice.slice.as_deref().unwrap_or(&slice.name);
        let label = match self.label.rsplit_once('.') {
            Some((parent, _)) => format!("{parent}.{name}"),
            None => name.to_owned(),
        };
        Self { expression: self.expression.clone(), label }
    }

    /// The same place, picked by a criterion instead of an index.
    pub(super) fn picked_by(&self, criterion: &str) -> Self {
        Self { expression: format!("{}.where({criterion})", self.expression), label: self.label.clone() }
    }

    /// An error here: the label and what is wrong with it.
    pub(super) fn error(&self, code: IssueType, problem: &str) -> Issue {
        Issue::error(code, self.expression.as_str(), format!("{} {problem}", self.label))
    }
}
