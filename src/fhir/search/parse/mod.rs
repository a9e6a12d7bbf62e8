//! Reads the parameters of a search: `filter` those that say what is searched, `result` those that say what of it is
//! shown and how, `value` the values. All that is wrong is told at once. No text here repeats what a client sent: a
//! parameter that no definition knows is told by its position.

mod filter;
mod result;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub(crate) use self::value::{comparators, modifiers};
use super::{Query, Scope, Total, parameters, patient_compartment, searched_types};
use crate::fhir::{Issue, IssueType};

/// More parameters than any search has on purpose.
const MOST_PARAMETERS: usize = 100;

/// How many values and links of chains a search may come to, counted for each type that they are asked of: a database
/// takes no more than some ten thousand in one statement.
const MOST_VALUES: usize = 1_000;

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
        if parameters.len() > MOST_PARAMETERS {
            return Err(vec![Issue::refusal(IssueType::TooCostly, "The search has too many parameters")]);
        }
        let (types, compartment) = searched(scope, parameters).map_err(|issue| vec![issue])?;
        let query = Self {
            types,
            compartment,
            filters: Vec::new(),
            sort: Vec::new(),
            count: None,
            total: Total::IfCheap,
            summary: None,
            elements: Vec::new(),
            includes: Vec::new(),
            cursor: None,
            applied: Vec::new(),
            ignored: Vec::new(),
        };
        let mut reader = Reader { query, base, values: 0, times: 1, issues: Vec::new() };
        for (index, (name, value)) in parameters.iter().enumerate() {
            // A form that was left empty asks for nothing.
            if value.is_empty() {
                continue;
            }
            match reader.read(name, value, parameters[..index].iter().any(|(earlier, _)| earlier == name)) {
                Ok(Use::Applied) => reader.query.applied.push((name.clone(), value.clone())),
                Ok(Use::Elsewhere) => {}
                Err(Refusal::Unknown(what)) => {
                    let issue =
                        Issue::refusal(IssueType::NotSupported, what.told(index, &reader.query.types));
                    if strict {
                        reader.issues.push(issue);
                    } else {
                        reader.query.ignored.push(issue.into_warning());
                    }
                }
                Err(Refusal::Invalid(code, text)) => reader.issues.push(Issue::refusal(code, text)),
            }
        }
        if reader.issues.is_empty() { Ok(reader.query) } else { Err(reader.issues) }
    }
}

/// A search that is being read.
struct Reader<'a> {
    query: Query,
    base: &'a str,
    /// How many values and links were counted.
    values: usize,
    /// How often what is being read is asked: once for each of the references that lead there.
    times: usize,
    issues: Vec<Issue>,
}

/// What became of a parameter.
enum Use {
    /// It counts.
    Applied,
    /// It says nothing about the search, or not here: nothing echoes it.
    Elsewhere,
}

/// Why a parameter does not count.
#[derive(Debug)]
enum Refusal {
    /// There is no such parameter here. The search may go on without it.
    Unknown(Unknown),
    /// What it says makes no sense.
    Invalid(IssueType, String),
}

/// A parameter that cannot be searched by.
#[derive(Debug)]
enum Unknown {
    /// One that other types have, or that is not supported, by its name.
    Named(&'static str),
    /// One that nothing knows.
    Unnamed,
}

impl Unknown {
    /// What R4 defines for all types or for one, and nothing here answers.
    const UNSUPPORTED: [&'static str; 9] =
        ["_contained", "_containedType", "_content", "_filter", "_list", "_query", "_score", "_text", "near"];

    fn of(code: &str) -> Self {
        let unsupported = Self::UNSUPPORTED.into_iter().find(|name| *name == code);
        let of_others =
            || searched_types().find_map(|name| super::parameter(name, code)).map(|found| found.code);
        unsupported.or_else(of_others).map_or(Self::Unnamed, Self::Named)
    }

    fn told(&self, index: usize, types: &[&'static str]) -> String {
        let here = if let [one] = types { one } else { "all the types searched" };
        match self {
            Self::Named(name) => format!("The search parameter {name} is not supported for {here}"),
            Self::Unnamed => format!("Search parameter {} of the request is not known for {here}", index + 1),
        }
    }
}

impl Refusal {
    fn value(text: impl Into<String>) -> Self {
        Self::Invalid(IssueType::Value, text.into())
    }

    fn too_costly() -> Self {
        Self::Invalid(
            IssueType::TooCostly,
            "The search has too many values or too many chained parameters".to_owned(),
        )
    }
}

impl Reader<'_> {
    fn read(&mut self, name: &str, value: &str, is_repeated: bool) -> Result<Use, Refusal> {
        if let Some(used) = self.read_result(name, value, is_repeated)? {
            return Ok(used);
        }
        let types = self.query.types.clone();
        match self.filter(&types, name, value, 0)? {
            Some(filter) => {
                self.query.filters.push(filter);
                Ok(Use::Applied)
            }
            None => Ok(Use::Elsewhere),
        }
    }

    /// Counts what a search costs before anything is made of it.
    fn spend(&mut self, values: usize) -> Result<(), Refusal> {
        self.values = self.values.saturating_add(values.saturating_mul(self.times));
        if self.values > MOST_VALUES { Err(Refusal::too_costly()) } else { Ok(()) }
    }
}

/// Which types are searched, and in whose compartment.
fn searched(
    scope: Scope,
    sent: &[(String, String)],
) -> Result<(Vec<&'static str>, Option<super::Compartment>), Issue> {
    let refused = |text: &str| Err(Issue::refusal(IssueType::Value, text));
    // A Patient is in its own compartment.
    let has_patients = |name: &str| name == "Patient" || !patient_compartment(name).is_empty();
    let compartment = match scope {
        Scope::Type(name) => return Ok((vec![name], None)),
        Scope::Compartment(compartment, Some(name)) if has_patients(name) => {
            return Ok((vec![name], Some(compartment)));
        }
        Scope::Compartment(_, Some(name)) => {
            return refused(&format!("Resources of the type {name} are in no patient's compartment"));
        }
        Scope::Compartment(compartment, None) => Some(compartment),
        Scope::System => None,
    };
    let named: Vec<&str> = sent
        .iter()
        .filter(|(name, _)| name == "_type")
        .flat_map(|(_, value)| value.split(','))
        .filter(|name| !name.is_empty())
        .collect();
    if named.is_empty() && compartment.is_none() {
        return refused("A search of all types must name those that are wanted: _type");
    }
    if !named.iter().all(|name| !parameters(name).is_empty()) {
        return refused("The search parameter _type names something that is no searchable resource type");
    }
    let is_wanted = |name: &&str| named.is_empty() || named.contains(name);
    let is_there = |name: &&str| compartment.is_none() || has_patients(name);
    let types: Vec<_> = searched_types().filter(is_wanted).filter(is_there).collect();
    if types.is_empty() {
        return refused("None of the types that _type names is in a patient's compartment");
    }
    Ok((types, compartment))
}
