//! What a query asks of the index.

use super::entry::Space;
use crate::clock::Timestamp;
use crate::fhir::search::Query;

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

/// What a query asks of the index of this tenant: its filters, its compartment too, but not its types.
pub(crate) fn of(query: &Query, tenant: &str) -> Criterion {
    unimplemented!()
}

/// The order that a query asks for; each key with whether it descends.
pub(crate) fn order(query: &Query, tenant: &str) -> Vec<(Order, bool)> {
    unimplemented!()
}
