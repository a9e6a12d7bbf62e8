//! Reads the tables of search parameters and of the patient compartment. The tables are ours: tests derive those in
//! `profiles/r4/` from the published definitions and see that every line is understood.
//!
//! Columns: resource type, code, kind, canonical URL, expression, the R4 types of what it finds, and what more the kind
//! needs: a reference the types that it may lead to (`*` for all), a token the code systems of its codes, a composite
//! its components as `kind expression`, separated by `;`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::expression::compile;
use super::parameter::{Component, Kind, SearchParameter};
use crate::fhir::r4;

/// What R4 has, derived from its definitions.
pub(super) const R4: &str = include_str!("../../../profiles/r4/search_parameters.tsv");
/// What US Core adds.
pub(super) const US_CORE: &str = include_str!("../../../profiles/us-core/search_parameters.tsv");
/// Which parameters make a resource one of a patient's: type, codes.
pub(super) const PATIENT_COMPARTMENT: &str = include_str!("../../../profiles/r4/patient_compartment.tsv");

/// What most canonical URLs are shortened by.
pub(super) const URL_PREFIX: &str = "http://hl7.org/fhir/SearchParameter/";
/// The type whose parameters all types have.
pub(super) const ANY_TYPE: &str = "Resource";

/// References that nothing searches by, but that `_include` follows: HRex wants `_include=Task:output`, for which R4
/// has no parameter (hrex, Task polling).
const INCLUDED_ONLY: &str = "Task\toutput\treference\t\tTask.output.value as Reference\tReference\t*";

static TABLE: LazyLock<HashMap<&'static str, Vec<SearchParameter>>> = LazyLock::new(|| {
    let mut table: HashMap<_, Vec<_>> = HashMap::new();
    for parameter in read(R4).chain(read(US_CORE)) {
        table.entry(parameter.resource_type).or_default().push(parameter);
    }
    for all in table.values_mut() {
        all.sort_by_key(|parameter| parameter.code);
    }
    table
});

static INCLUDED: LazyLock<Vec<SearchParameter>> = LazyLock::new(|| read(INCLUDED_ONLY).collect());

static COMPARTMENT: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let lines = PATIENT_COMPARTMENT.lines().filter_map(|line| line.split_once('\t'));
    lines.map(|(name, codes)| (name, codes.split(' ').collect())).collect()
});

/// Every parameter of a resource type, in alphabetical order; none of a type that cannot be searched.
pub(crate) fn parameters(resource_type: &str) -> &'static [SearchParameter] {
    TABLE.get(resource_type).map_or(&[], Vec::as_slice)
}

/// One parameter of a resource type.
pub(crate) fn parameter(resource_type: &str, code: &str) -> Option<&'static SearchParameter> {
    let all = parameters(resource_type);
    all.binary_search_by_key(&code, |parameter| parameter.code).ok().map(|index| &all[index])
}

/// The references of a resource type that `_include` follows and nothing searches by.
pub(crate) fn included_only(resource_type: &str) -> impl Iterator<Item = &'static SearchParameter> {
    INCLUDED.iter().filter(move |parameter| parameter.resource_type == resource_type)
}

/// Every resource type that can be searched, in alphabetical order.
pub(crate) fn searched_types() -> impl Iterator<Item = &'static str> {
    // A Parameters resource is never stored (FHIR R4, Parameters).
    r4::resources().map(r4::Type::name).filter(|name| *name != "Parameters")
}

/// The parameters that make a resource one of a patient's, by their codes; none for types outside the compartment.
pub(crate) fn patient_compartment(resource_type: &str) -> &'static [&'static str] {
    COMPARTMENT.get(resource_type).map_or(&[], Vec::as_slice)
}

fn read(table: &'static str) -> impl Iterator<Item = SearchParameter> {
    table.lines().filter(|line| !line.starts_with('#')).flat_map(read_line)
}

/// The parameters of a line: one, or one per resource type. A line that says nothing readable is left out here and
/// found by a test.
pub(super) fn read_line(line: &'static str) -> Vec<SearchParameter> {
    let mut columns = line.split('\t');
    let [name, code, kind, url, expression, types, more] =
        [(); 7].map(|()| columns.next().unwrap_or_default());
    let of_type = |resource_type| {
        let kind = Kind::named(kind)?;
        let url =
            if url.is_empty() || url.contains(':') { url.to_owned() } else { [URL_PREFIX, url].concat() };
        let targets = match more {
            _ if kind != Kind::Reference => Vec::new(),
            "*" => searched_types().collect(),
            targets => words(targets, ' ').collect(),
        };
        let systems = if kind == Kind::Token { words(more, ' ').collect() } else { Vec::new() };
        let components = if kind == Kind::Composite {
            words(more, ';').map(component).collect()
        } else {
            Some(Vec::new())
        }?;
        let types = words(types, ' ').collect();
        let path = compile(expression)?;
        Some(SearchParameter {
            resource_type,
            code,
            url,
            kind,
            expression,
            types,
            targets,
            systems,
            components,
            path,
        })
    };
    if name == ANY_TYPE {
        searched_types().filter_map(of_type).collect()
    } else {
        r4::resource_type(name).and_then(of_type).into_iter().collect()
    }
}

fn component(text: &'static str) -> Option<Component> {
    let (kind, expression) = text.split_once(' ')?;
    Some(Component { kind: Kind::named(kind)?, expression, path: compile(expression)? })
}

fn words(text: &'static str, separator: char) -> impl Iterator<Item = &'static str> {
    text.split(separator).filter(|word| !word.is_empty())
}
