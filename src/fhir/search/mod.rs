//! FHIR R4 search as such: which parameters there are ([`parameter()`]) and what a client asked for ([`Query`]). How a
//! query is answered is the repository's business.
//!
//! `table` reads the parameters, each with the [`expression`] that says where its values are; `parse` reads what a
//! client sent; [`mod@reference`] and [`date`] read texts that clients and resources have in common.

pub(crate) mod date;
mod escape;
pub(crate) mod expression;
mod parameter;
mod parse;
mod query;
pub(crate) mod reference;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use escape::escaped;
pub(crate) use parameter::{Component, Kind, SearchParameter};
pub(crate) use parse::{comparators, modifiers};
pub(crate) use query::{
    Comparator, Compartment, Filter, Include, Query, ReferenceValue, SortBy, SortKey, Summary, SystemTest,
    Test, TokenValue, Total, Wanted,
};
pub(crate) use table::{included_only, parameter, parameters, patient_compartment, searched_types};

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
