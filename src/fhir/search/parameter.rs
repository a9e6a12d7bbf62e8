//! The search parameters of FHIR R4, from the table in `profiles/r4/`.

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

/// One search parameter of one resource type.
#[derive(Debug)]
pub(crate) struct SearchParameter {
    /// The resource type that it searches: one entry per type, also for those that all types have.
    pub(crate) resource_type: &'static str,
    /// Its name in a URL.
    pub(crate) code: &'static str,
    /// The canonical URL of its definition.
    pub(crate) url: &'static str,
    /// What it compares.
    pub(crate) kind: Kind,
    /// The FHIRPath expression of its definition, narrowed to this resource type.
    pub(crate) expression: &'static str,
    /// What its references may lead to; empty for other kinds.
    pub(crate) targets: Vec<&'static str>,
    /// What a composite consists of.
    pub(crate) components: Vec<Component>,
}

/// A part of a composite parameter.
#[derive(Debug)]
pub(crate) struct Component {
    /// The kind of its values.
    pub(crate) kind: Kind,
    /// Where it is, from the element that the composite's expression selects.
    pub(crate) expression: &'static str,
}
