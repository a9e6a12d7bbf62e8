//! Why a body is refused, and how that is told. Nothing here carries a value or a name from the body.

use crate::fhir::{Issue, IssueType, SpoolError};

/// Reading a body came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The body breaks a rule.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What had to be kept could not be kept.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl ScanError {
    /// What the sender is told.
    pub(crate) fn issue(&self) -> Issue {
        match self {
            Self::Refused(refused) => refused.issue(),
            Self::Spool(SpoolError::Full) => {
                Issue::refusal(IssueType::NoStore, "there is no space left for the payload")
            }
            Self::Spool(SpoolError::Storage(_)) => {
                Issue::refusal(IssueType::Exception, "the payload could not be stored")
            }
        }
    }

    /// Whether a size limit was passed, which HTTP answers with 413 instead of 400.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused(Refused { rule: Rule::StringTooLong | Rule::TooLarge, .. }))
    }
}

/// The rule that a body breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {}", rule.text())]
pub(crate) struct Refused {
    /// The rule.
    pub(crate) rule: Rule,
    /// The element, where one can be named.
    pub(crate) path: Option<String>,
    /// Bytes of the body before the offending one.
    pub(crate) offset: u64,
}

impl Refused {
    fn issue(&self) -> Issue {
        let code = match self.rule {
            Rule::Grammar
            | Rule::Empty
            | Rule::NotAnObject
            | Rule::UnexpectedEnd
            | Rule::DuplicateKey
            | Rule::TooDeep => IssueType::Structure,
            Rule::TooManyNodes => IssueType::TooCostly,
            Rule::StringTooLong | Rule::TooLarge => IssueType::TooLong,
            Rule::Encoding | Rule::ByteOrderMark | Rule::ControlCharacter | Rule::LoneSurrogate => {
                IssueType::Invalid
            }
            Rule::NumberTooLong | Rule::NumberOutOfRange | Rule::NotBase64 => IssueType::Value,
        };
        let mut issue = Issue::refusal(code, self.rule.text())
            .advising(format!("The body breaks this rule at byte {}", self.offset));
        issue.expression.clone_from(&self.path);
        issue
    }
}

/// The rules of the scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// RFC 8259.
    Grammar,
    /// There must be a body.
    Empty,
    /// A FHIR body is a JSON object.
    NotAnObject,
    /// A body must be complete.
    UnexpectedEnd,
    /// Text is UTF-8.
    Encoding,
    /// RFC 8259, 8.1: no byte order mark.
    ByteOrderMark,
    /// FHIR R4 `string`: no characters below U+0020 but tab, line feed and carriage return; JSON: those escaped.
    ControlCharacter,
    /// A surrogate stands for a character only together with its twin.
    LoneSurrogate,
    /// FHIR R4, JSON: property names of an object are unique.
    DuplicateKey,
    /// Nesting is bounded.
    TooDeep,
    /// The number of values is bounded.
    TooManyNodes,
    /// The length of a number is bounded.
    NumberTooLong,
    /// A number fits what the data bases and readers downstream can hold.
    NumberOutOfRange,
    /// The length of a string that is not a payload is bounded.
    StringTooLong,
    /// What stays of a body without its payloads is bounded.
    TooLarge,
    /// `data` is base64.
    NotBase64,
}

impl Rule {
    fn text(self) -> &'static str {
        match self {
            Self::Grammar => "The body is not JSON",
            Self::Empty => "The body is empty",
            Self::NotAnObject => "The body is not a JSON object",
            Self::UnexpectedEnd => "The body ends too early",
            Self::Encoding => "The body is not UTF-8",
            Self::ByteOrderMark => "The body begins with a byte order mark",
            Self::ControlCharacter => "A string holds a control character",
            Self::LoneSurrogate => "A string holds half of a surrogate pair",
            Self::DuplicateKey => "An object has the same property twice",
            Self::TooDeep => "The elements are nested too deeply",
            Self::TooManyNodes => "The body has too many elements",
            Self::NumberTooLong => "A number is too long",
            Self::NumberOutOfRange => "A number is out of range",
            Self::StringTooLong => "A string is too long",
            Self::TooLarge => "The body without its payloads is too large",
            Self::NotBase64 => "The data is not base64",
        }
    }
}
