//! What can be wrong with one element, and how it is told. Nothing that a client sent is in the words.

use std::borrow::Cow;

use super::Mode;
use super::invariant::Invariant;
use crate::fhir::r4::Primitive;
use crate::fhir::{Issue, IssueType};

/// A rule of FHIR R4, JSON Representation, or of the resource's type, that is broken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Problem {
    MissingType,
    UnknownType,
    NotAResource,
    Unknown,
    NotRepeating,
    Repeating,
    NotAnObject,
    NotAPrimitive,
    NotABoolean,
    NotANumber,
    NotAString,
    NotAnInteger,
    Null,
    EmptyString,
    EmptyArray,
    EmptyObject,
    TwinOfComplex,
    TwinNotAnObject,
    TwinNotAnArray,
    TwinLength,
    SecondChoice,
    /// A text without the lexical form of its type.
    Form(Primitive),
    /// A required element is not there.
    Missing,
    /// A display item of a Questionnaire without its `linkId`.
    NamelessDisplay,
    NotInValueSet,
    ReferenceTarget,
    ReferenceType,
    Broken(&'static Invariant),
}

/// How much a problem weighs, lightest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// No reader can make sense of it.
    Shape,
    /// A value cannot be read as what it should be.
    Form,
    /// A rule about what may be said is broken.
    Content,
    /// A rule that R4 breaks itself, in the questionnaires it generates for its resource types.
    Forgiven,
}

impl Problem {
    /// The issue it is in this mode; `None` where it is none.
    pub(super) fn issue(self, path: String, mode: Mode) -> Option<Issue> {
        let (code, text) = self.told();
        let issue = Issue::error(code, path, text);
        match (mode, self.class()) {
            (Mode::Shape, Class::Form | Class::Content | Class::Forgiven) => None,
            (_, Class::Forgiven) | (Mode::Lenient, Class::Content) => Some(issue.into_warning()),
            _ => Some(issue),
        }
    }

    fn class(self) -> Class {
        match self {
            Self::Form(_) => Class::Form,
            Self::NamelessDisplay => Class::Forgiven,
            Self::Broken(invariant) if matches!(invariant.key, "que-1" | "que-2") => Class::Forgiven,
            Self::Missing
            | Self::NotInValueSet
            | Self::ReferenceTarget
            | Self::ReferenceType
            | Self::SecondChoice
            | Self::Broken(_) => Class::Content,
            _ => Class::Shape,
        }
    }

    fn told(self) -> (IssueType, Cow<'static, str>) {
        let text = match self {
            Self::MissingType => return (IssueType::Required, "A resource says its type".into()),
            Self::UnknownType => return (IssueType::Value, "This is no resource type of FHIR R4".into()),
            Self::NotABoolean => return (IssueType::Value, "The value must be true or false".into()),
            Self::NotANumber => return (IssueType::Value, "The value must be a number".into()),
            Self::NotAString => return (IssueType::Value, "The value must be a string".into()),
            Self::NotAnInteger => {
                return (IssueType::Value, "The value must be an integer in the range of its type".into());
            }
            Self::Form(primitive) => {
                let text = format!("The value does not have the form of a FHIR {}", primitive.name());
                return (IssueType::Value, text.into());
            }
            Self::Missing | Self::NamelessDisplay => {
                return (IssueType::Required, "The element is required".into());
            }
            Self::NotInValueSet => {
                return (
                    IssueType::CodeInvalid,
                    "The code is not in the value set that FHIR R4 requires".into(),
                );
            }
            Self::ReferenceTarget => {
                return (IssueType::Value, "The reference points to a type that is not allowed here".into());
            }
            Self::ReferenceType => {
                return (
                    IssueType::Value,
                    "The type is not that of the reference, or not allowed here".into(),
                );
            }
            Self::Broken(invariant) => {
                return (IssueType::Invariant, format!("{}: {}", invariant.key, invariant.says).into());
            }
            Self::NotAResource => "A resource is a JSON object",
            Self::Unknown => "There is no such element here",
            Self::NotRepeating => "The element does not repeat, so it must not be an array",
            Self::Repeating => "The element repeats, so it must be an array",
            Self::NotAnObject => "The element must be a JSON object",
            Self::NotAPrimitive => "The element has a plain value, not an object",
            Self::Null => "A null is only allowed in an array of plain values, beside an extension",
            Self::EmptyString => "A string must not be empty",
            Self::EmptyArray => "An array must not be empty",
            Self::EmptyObject => "An object must not be empty",
            Self::TwinOfComplex => "Only an element with a plain value has a property with an underscore",
            Self::TwinNotAnObject => "A property with an underscore holds an object",
            Self::TwinNotAnArray => "A property with an underscore is an array where its element is one",
            Self::TwinLength => "A property with an underscore has as many entries as its element",
            Self::SecondChoice => "The element is there with another type already",
        };
        (IssueType::Structure, text.into())
    }
}
