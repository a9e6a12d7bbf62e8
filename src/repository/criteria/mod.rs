//! What a query asks of the index: FHIR's questions as conditions on bytes, which both databases answer alike. The
//! conditions on single values are `test`'s; `index` is where what they look for was written.

mod test;
#[cfg(test)]
mod tests;

use super::entry::{Space, Spaces};
use super::index::{IDENTIFIER, OF_TYPE};
use crate::clock::Timestamp;
use crate::fhir::search::{
    Compartment, Filter, Kind, Query, SearchParameter, SortBy, Test, Wanted, patient_compartment,
};

/// A condition on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Criterion {
    /// All of these hold.
    All(Vec<Criterion>),
    /// One of these holds.
    Any(Vec<Criterion>),
    /// It does not hold.
    Not(Box<Criterion>),
    /// It is of this type: the space of the type.
    Type(Space),
    /// Its id is one of these.
    Id(Vec<String>),
    /// It was last changed at or after the first moment (if given) and before the second (if given).
    LastUpdated(Option<Timestamp>, Option<Timestamp>),
    /// The space has an entry of it that passes one of the tests; no tests at all means any entry.
    Has(Space, Vec<EntryTest>),
    /// One of its references in this space leads to a resource that satisfies one of these, each headed by the name
    /// and the space of a type.
    Leads(Space, Vec<(&'static str, Space, Criterion)>),
    /// Some resource of a type refers to it from `from`, and satisfies the criterion.
    Referred {
        /// The space of the reference parameter.
        from: Space,
        /// The space of the type that refers.
        source: Space,
        /// What must hold of it.
        criterion: Box<Criterion>,
    },
    /// Nothing satisfies it.
    Never,
}

/// A test of one entry: both parts must pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryTest {
    /// Of the value.
    pub(crate) value: Bytes,
    /// Of what else there is; an entry without it fails unless this is [`Bytes::Any`].
    pub(crate) extra: Bytes,
}

/// A test of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// Passes.
    Any,
    /// They are these.
    Equal(Vec<u8>),
    /// They are in a range, from the first on (included) to the second (excluded), either open.
    Range(Option<Vec<u8>>, Option<Vec<u8>>),
    /// These stand somewhere in them.
    Contains(Vec<u8>),
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// By id.
    Id,
    /// By the time of the last change.
    LastUpdated,
    /// By the least value in the space (the greatest, if descending); without one, by the next space. Resources with
    /// no value at all come last either way. With several types searched: the spaces of all of them.
    Values(Vec<Vec<Space>>),
}

/// What a query asks of the index of this tenant: its filters, its compartment too, but not its types. `now` is what an
/// approximate date is near to.
pub(crate) fn of(query: &Query, tenant: &str, now: Timestamp) -> Criterion {
    let asking = Asking { tenant, now };
    let compartment =
        query.compartment.as_ref().map(|compartment| asking.compartment(compartment, &query.types));
    let filters = query.filters.iter().map(|filter| asking.filter(filter));
    all(compartment.into_iter().chain(filters).collect())
}

/// The order that a query asks for; each key with whether it descends.
pub(crate) fn order(query: &Query, tenant: &str) -> Vec<(Order, bool)> {
    let space = |parameter: &&SearchParameter| Space::of(tenant, parameter.resource_type, parameter.code);
    let order = query.sort.iter().map(|key| {
        let by = match &key.by {
            SortBy::Id => Order::Id,
            SortBy::LastUpdated => Order::LastUpdated,
            SortBy::Parameters(parameters) => Order::Values(
                parameters.iter().map(|of_types| of_types.iter().map(space).collect()).collect(),
            ),
        };
        (by, key.descending)
    });
    order.collect()
}

/// What questions are about.
#[derive(Clone, Copy)]
struct Asking<'a> {
    tenant: &'a str,
    now: Timestamp,
}

impl Asking<'_> {
    fn space(self, parameter: &SearchParameter, suffix: &str) -> Space {
        Spaces::of(self.tenant, parameter.resource_type).of_code(&[parameter.code, suffix])
    }

    fn filter(self, filter: &Filter) -> Criterion {
        match filter {
            Filter::Own { parameters, test } => self.own(parameters, test),
            Filter::Id(ids) => Criterion::Id(ids.clone()),
            Filter::LastUpdated(wanted) => {
                any(wanted.iter().map(|wanted| test::last_updated(wanted, self.now)).collect())
            }
            Filter::Chain { parameters, targets } => {
                let targets: Vec<_> = targets
                    .iter()
                    .map(|(name, filter)| (*name, Space::of_type(self.tenant, name), self.filter(filter)))
                    .collect();
                let leads = |parameter: &&SearchParameter| {
                    Criterion::Leads(self.space(parameter, ""), targets.clone())
                };
                any(parameters.iter().map(leads).collect())
            }
            Filter::Has { parameter, filter } => Criterion::Referred {
                from: self.space(parameter, ""),
                source: Space::of_type(self.tenant, parameter.resource_type),
                criterion: Box::new(self.filter(filter)),
            },
        }
    }

    /// A space belongs to one type, so that what is asked of all types searched can be asked of each space.
    fn own(self, parameters: &[&'static SearchParameter], test: &Test) -> Criterion {
        let positive = |parameter: &&SearchParameter| match test {
            // A reference may be there by its identifier alone.
            Test::Missing(_) if parameter.kind == Kind::Reference => any(vec![
                Criterion::Has(self.space(parameter, ""), Vec::new()),
                Criterion::Has(self.space(parameter, IDENTIFIER), Vec::new()),
            ]),
            Test::Missing(_) => Criterion::Has(self.space(parameter, ""), Vec::new()),
            Test::AnyOf(wanted) | Test::NoneOf(wanted) => self.has(parameter, wanted),
        };
        let found = any(parameters.iter().map(positive).collect());
        match test {
            Test::Missing(true) | Test::NoneOf(_) => not(found),
            Test::Missing(false) | Test::AnyOf(_) => found,
        }
    }

    fn has(self, parameter: &SearchParameter, wanted: &[Wanted]) -> Criterion {
        let suffix = match wanted.first() {
            Some(Wanted::OfType { .. }) => OF_TYPE,
            Some(Wanted::ReferenceIdentifier(_)) => IDENTIFIER,
            _ => "",
        };
        let tests: Vec<_> =
            wanted.iter().flat_map(|wanted| test::tests(parameter, wanted, self.now)).collect();
        // No tests at all would mean any entry.
        if tests.is_empty() { Criterion::Never } else { Criterion::Has(self.space(parameter, suffix), tests) }
    }

    /// That a resource is one of the patient's: the Patient itself, or what refers to it in one of the ways that the
    /// compartment's definition names.
    fn compartment(self, compartment: &Compartment, types: &[&'static str]) -> Criterion {
        let patient = test::equal(["Patient/", &compartment.patient].concat().into_bytes());
        let of_type = |name: &&'static str| {
            let spaces = Spaces::of(self.tenant, name);
            let codes = patient_compartment(name).iter();
            let mut ways: Vec<_> =
                codes.map(|code| Criterion::Has(spaces.of_code(&[code]), vec![patient.clone()])).collect();
            if *name == "Patient" {
                ways.push(Criterion::Id(vec![compartment.patient.clone()]));
            }
            // Resources of one type need not be looked at in the ways of all others.
            all(vec![Criterion::Type(Space::of_type(self.tenant, name)), any(ways)])
        };
        any(types.iter().map(of_type).collect())
    }
}

fn all(mut criteria: Vec<Criterion>) -> Criterion {
    match criteria.len() {
        1 => criteria.remove(0),
        _ => Criterion::All(criteria),
    }
}

fn any(mut criteria: Vec<Criterion>) -> Criterion {
    criteria.retain(|criterion| *criterion != Criterion::Never);
    match criteria.len() {
        0 => Criterion::Never,
        1 => criteria.remove(0),
        _ => Criterion::Any(criteria),
    }
}

fn not(criterion: Criterion) -> Criterion {
    // All of nothing is true.
    if criterion == Criterion::Never {
        Criterion::All(Vec::new())
    } else {
        Criterion::Not(Box::new(criterion))
    }
}
