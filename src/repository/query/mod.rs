//! From a [`Search`] to SQL. A page is found in one of three ways, and all three go through indexes only:
//!
//! - it is *gathered*: the set of resources that one condition leads to is taken whole, the other conditions are asked
//!   of each, and what remains is sorted ([`Source::Set`]; right where that set is small, which a *probe* tells);
//! - it is *walked*: all resources of a type, or all with one value, are passed in the order of their creation until
//!   the page is full ([`Source::Kind`], [`Source::Value`]);
//! - it is *sorted*: the values of the first sort key are passed in their order until the page is full, and after them
//!   come the resources without one.
//!
//! Each condition is a look-up in an index for each resource passed ([`condition`]). [`fold`] takes types out of
//! criteria, [`keys`] makes sets of them, [`order`] and [`page`] make the statements. Nothing is run here.

mod condition;
mod fold;
mod keys;
mod order;
mod page;
mod sql;

use super::criteria::{Bytes, Criterion, Order};
use super::entry::Space;
use super::model::Search;
use crate::auth::Access;
use crate::db::Dialect;

pub(super) use condition::{owned, visible};
pub(super) use order::position;
pub(super) use page::{Page, count, gathered, gathered_among, sorted, unsorted, walked};
pub(super) use sql::{Name, Sql, Value};

/// The part of a search that concerns one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    /// The type.
    pub(super) kind: Space,
    /// What must hold, all of it.
    pub(super) conjuncts: Vec<Criterion>,
}

/// Where the resources of a branch are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// All that this conjunct leads to.
    Set(usize),
    /// Those with the one value that this conjunct asks for, in the order of their creation.
    Value(usize),
    /// All of the type.
    Kind,
}

/// More sets than this are not held against each other.
const MOST_CANDIDATES: usize = 8;

impl Branch {
    /// The branches of a search: one for each type that can have matches.
    pub(super) fn all_of(search: &Search) -> Vec<Self> {
        let branch = |kind: &Space| {
            fold::conjuncts(&search.criterion, *kind).map(|conjuncts| Self { kind: *kind, conjuncts })
        };
        let mut types = search.types.clone();
        types.sort_unstable();
        types.dedup();
        types.iter().filter_map(branch).collect()
    }

    /// The conjuncts that lead to sets, the most promising first.
    pub(super) fn candidates(&self) -> Vec<usize> {
        let ranked = self.conjuncts.iter().enumerate().filter_map(|(n, part)| Some((keys::rank(part)?, n)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable();
        ranked.into_iter().take(MOST_CANDIDATES).map(|(_, n)| n).collect()
    }

    /// Whether a conjunct names its resources, so that there are few without counting.
    pub(super) fn is_named(&self, conjunct: usize) -> bool {
        keys::rank(&self.conjuncts[conjunct]) == Some(keys::Rank::Named)
    }

    /// Whether a conjunct asks for what refers to one thing: mostly few, but not always.
    pub(super) fn is_referring(&self, conjunct: usize) -> bool {
        keys::rank(&self.conjuncts[conjunct]) == Some(keys::Rank::Referring)
    }

    /// The conjunct that asks for what has changed since a moment.
    pub(super) fn changes(&self) -> Option<usize> {
        self.conjuncts.iter().position(|part| matches!(part, Criterion::LastUpdated(..)))
    }

    /// The space and the value, if that is all that a conjunct asks for: [`Source::Value`] can take it.
    fn one_value(&self, conjunct: usize) -> Option<(Space, &[u8])> {
        match &self.conjuncts[conjunct] {
            Criterion::Has(space, tests) => match &tests[..] {
                [test] if test.extra == Bytes::Any => match &test.value {
                    Bytes::Equal(value) => Some((*space, value)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether [`Source::Value`] can take a conjunct.
    pub(super) fn has_one_value(&self, conjunct: usize) -> bool {
        self.one_value(conjunct).is_some()
    }
}

/// The columns of a resource, without content if it is a deleted one.
pub(super) fn columns(sql: &mut Sql, row: Name) {
    sql.list(
        ["key", "type", "id", "version", "last_updated", "change", "bytes", "content"],
        ", ",
        |sql, column| {
            sql.column(row, column);
        },
    );
}

/// Whether the values of an order's first key can be passed in their order.
pub(super) fn is_sortable(order: &[(Order, bool)]) -> bool {
    match order.first() {
        None => false,
        Some((Order::Id | Order::LastUpdated, _)) => true,
        Some((Order::Values(levels), _)) => {
            !levels.is_empty() && levels.iter().all(|spaces| !spaces.is_empty())
        }
    }
}

/// Counts the sets of conjuncts, each up to `limit`: one row of numbers, in their order.
pub(super) fn probe(dialect: Dialect, access: &Access, branch: &Branch, of: &[usize], limit: u64) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT ");
    sql.list(of, ", ", |sql, conjunct| {
        let (set, counted) = (sql.name("k"), sql.name("k"));
        sql.push("(SELECT COUNT(*) FROM (SELECT key FROM (");
        keys::keys(sql, access, branch.kind, &branch.conjuncts[*conjunct]);
        sql.push(") ").push_name(set).push(" LIMIT ").push_number(limit).push(") ");
        sql.push_name(counted).push(")");
    });
    sql
}
