//! The search parameters of FHIR R4 and those that US Core adds, as their definitions have them.

use serde_json::Value;

use super::expression::Expression;

/// What kind of values a parameter has (FHIR R4 `search-param-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A code, an identifier, a boolean, a contact.
    Token,
    /// Text.
    String,
    /// Another resource.
    Reference,
    /// A moment or a stretch of time.
    Date,
    /// A number with a unit.
    Quantity,
    /// A number.
    Number,
    /// A URI.
    Uri,
    /// Several of these that belong together.
    Composite,
}

impl Kind {
    /// Every kind with its code.
    const CODES: [(&'static str, Self); 8] = [
        ("token", Self::Token),
        ("string", Self::String),
        ("reference", Self::Reference),
        ("date", Self::Date),
        ("quantity", Self::Quantity),
        ("number", Self::Number),
        ("uri", Self::Uri),
        ("composite", Self::Composite),
    ];

    /// The code as on the wire.
    pub(crate) fn as_code(self) -> &'static str {
        Self::CODES.iter().find(|(_, kind)| *kind == self).map_or("special", |(code, _)| code)
    }

    /// The kind of this code; `None` for `special` too, which says nothing about values.
    pub(super) fn named(code: &str) -> Option<Self> {
        Self::CODES.iter().find(|(name, _)| *name == code).map(|(_, kind)| *kind)
    }
}

/// One search parameter of one resource type.
#[derive(Debug)]
pub(crate) struct SearchParameter {
    /// The resource type that it searches: one entry per type, also for those that all types have.
    pub(crate) resource_type: &'static str,
    /// Its name in a URL.
    pub(crate) code: &'static str,
    /// The canonical URL of its definition.
    pub(crate) url: String,
    /// What it compares.
    pub(crate) kind: Kind,
    /// The FHIRPath expression of its definition, narrowed to this resource type.
    pub(crate) expression: &'static str,
    /// The R4 types of the elements that it finds.
    pub(crate) types: Vec<&'static str>,
    /// What its references may lead to; empty for other kinds.
    pub(crate) targets: Vec<&'static str>,
    /// Of a token whose elements are codes: their code systems; none where those are not known.
    pub(crate) systems: Vec<&'static str>,
    /// What a composite consists of.
    pub(crate) components: Vec<Component>,
    pub(super) path: Expression,
}

impl SearchParameter {
    /// Hands over every element of a resource that the parameter is about.
    pub(crate) fn each<'a>(&self, resource: &'a Value, found: &mut dyn FnMut(&'a Value)) {
        self.path.each(resource, resource, found);
    }
}

/// A part of a composite parameter.
#[derive(Debug)]
pub(crate) struct Component {
    /// The kind of its values.
    pub(crate) kind: Kind,
    /// Where it is, from the element that the composite's expression selects.
    pub(crate) expression: &'static str,
    pub(super) path: Expression,
}

impl Component {
    /// Hands over every element that this part of the composite is about, in one of the elements of the composite.
    pub(crate) fn each<'a>(&self, element: &'a Value, resource: &'a Value, found: &mut dyn FnMut(&'a Value)) {
        self.path.each(element, resource, found);
    }
}
