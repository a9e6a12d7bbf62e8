//! What a [`Criterion`] and an [`Order`] mean, over entries in memory: how a few resources that are in no database are
//! searched, and the reference that the databases are compared with.

use serde_json::Value;

use super::criteria::{Bytes, Criterion, EntryTest, Order};
use super::entry::{Entry, Space};
use super::index;
use crate::clock::Timestamp;

/// A resource as the index sees it.
#[derive(Debug)]
pub(crate) struct Row {
    kind: Space,
    resource_type: &'static str,
    id: String,
    last_updated: Timestamp,
    entries: Vec<Entry>,
}

impl Row {
    /// A resource of a tenant. `base` is the gateway's FHIR base URL.
    pub(crate) fn new(
        tenant: &str,
        (resource_type, id): (&'static str, &str),
        last_updated: Timestamp,
        resource: &Value,
        base: &str,
    ) -> Self {
        Self {
            kind: Space::of_type(tenant, resource_type),
            resource_type,
            id: id.to_owned(),
            last_updated,
            entries: index::entries(tenant, resource_type, resource, base),
        }
    }

    fn reference(&self) -> Vec<u8> {
        format!("{}/{}", self.resource_type, self.id).into_bytes()
    }

    fn values(&self, space: Space) -> impl Iterator<Item = &Vec<u8>> {
        self.entries.iter().filter(move |entry| entry.space == space).map(|entry| &entry.value)
    }
}

/// The places of the rows of these types that satisfy the criterion, in this order and then in their own.
pub(crate) fn search(
    rows: &[Row],
    types: &[Space],
    criterion: &Criterion,
    order: &[(Order, bool)],
) -> Vec<usize> {
    let is_match = |row: &Row| types.contains(&row.kind) && passes(criterion, row, rows);
    let mut found: Vec<usize> = (0..rows.len()).filter(|at| is_match(&rows[*at])).collect();
    found.sort_by(|left, right| {
        let keys = order.iter().map(|(order, descending)| {
            let (left, right) =
                (key(order, *descending, &rows[*left]), key(order, *descending, &rows[*right]));
            match (left, right) {
                (Some(left), Some(right)) if *descending => right.cmp(&left),
                (Some(left), Some(right)) => left.cmp(&right),
                // Those without a value come last either way.
                (left, right) => right.is_some().cmp(&left.is_some()),
            }
        });
        keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    found
}

fn key(order: &Order, descending: bool, row: &Row) -> Option<Vec<u8>> {
    match order {
        Order::Id => Some(row.id.clone().into_bytes()),
        // No test reaches back before 1970.
        Order::LastUpdated => Some(row.last_updated.as_nanos().to_be_bytes().to_vec()),
        Order::Values(levels) => levels.iter().find_map(|spaces| {
            let values = spaces.iter().flat_map(|space| row.values(*space));
            if descending { values.max() } else { values.min() }.cloned()
        }),
    }
}

fn passes(criterion: &Criterion, row: &Row, rows: &[Row]) -> bool {
    match criterion {
        Criterion::All(all) => all.iter().all(|criterion| passes(criterion, row, rows)),
        Criterion::Any(any) => any.iter().any(|criterion| passes(criterion, row, rows)),
        Criterion::Not(criterion) => !passes(criterion, row, rows),
        Criterion::Type(kind) => row.kind == *kind,
        Criterion::Id(ids) => ids.contains(&row.id),
        Criterion::LastUpdated(from, until) => {
            from.is_none_or(|from| row.last_updated >= from)
                && until.is_none_or(|until| row.last_updated < until)
        }
        Criterion::Has(space, tests) => {
            let passes = |entry: &Entry| tests.is_empty() || tests.iter().any(|test| test.passes(entry));
            row.entries.iter().any(|entry| entry.space == *space && passes(entry))
        }
        Criterion::Leads(space, targets) => row.values(*space).any(|value| {
            let leads = |target: &Row, name: &str, kind: Space| {
                target.kind == kind && target.resource_type == name && target.reference() == *value
            };
            targets.iter().any(|(name, kind, criterion)| {
                rows.iter().any(|target| leads(target, name, *kind) && passes(criterion, target, rows))
            })
        }),
        Criterion::Referred { from, source, criterion } => rows.iter().any(|referring| {
            referring.kind == *source
                && referring.values(*from).any(|value| *value == row.reference())
                && passes(criterion, referring, rows)
        }),
        Criterion::Never => false,
    }
}

impl EntryTest {
    fn passes(&self, entry: &Entry) -> bool {
        let extra = match &entry.extra {
            None => self.extra == Bytes::Any,
            Some(extra) => self.extra.passes(extra),
        };
        extra && self.value.passes(&entry.value)
    }
}

impl Bytes {
    fn passes(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Equal(equal) => bytes == equal,
            Self::Range(from, until) => {
                from.as_ref().is_none_or(|from| bytes >= &from[..])
                    && until.as_ref().is_none_or(|until| bytes < &until[..])
            }
            Self::Contains(part) => part.is_empty() || bytes.windows(part.len()).any(|window| window == part),
        }
    }
}
