//! FHIR R4 search as such: which parameters there are ([`parameter`]) and what a client asked for ([`Query`]). How a
//! query is answered is the repository's business.

mod escape;
mod parameter;
mod query;

use super::Issue;

pub(crate) use escape::escaped;
pub(crate) use parameter::{Component, Kind, SearchParameter};
pub(crate) use query::{
    Comparator, Compartment, Filter, Include, Query, ReferenceValue, SortBy, SortKey, Summary, SystemTest,
    Test, TokenValue, Total, Wanted,
};

/// Where a search looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// `GET [base]/[type]`
    Type(&'static str),
    /// `GET [base]?_type=…`
    System,
    /// `GET [base]/Patient/[id]/[type]`, or `/*` for all types of the compartment.
    Compartment(Compartment, Option<&'static str>),
}

/// Every parameter of a resource type, in alphabetical order.
pub(crate) fn parameters(resource_type: &str) -> &'static [SearchParameter] {
    unimplemented!()
}

/// One parameter of a resource type.
pub(crate) fn parameter(resource_type: &str, code: &str) -> Option<&'static SearchParameter> {
    unimplemented!()
}

impl Query {
    /// Reads the parameters of a search, names and values decoded, in their order. `base` is the gateway's FHIR base
    /// URL: references to it are references to resources here. With `strict`, whatever would be ignored is an error.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub(crate) fn parse(
        scope: Scope,
        parameters: &[(String, String)],
        base: &str,
        strict: bool,
    ) -> Result<Self, Vec<Issue>> {
        unimplemented!()
    }
}
