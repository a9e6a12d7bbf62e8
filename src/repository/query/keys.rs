//! A criterion as the set of resources to look at: the keys of all that may satisfy it, taken from an index and not
//! from the resources. Some of the set may not satisfy it, so [`condition`] is asked of each all the same.

use super::condition::{condition, entry_test, entry_tests, equal_values, id_in, reference_to, visible};
use super::sql::{Name, Sql};
use crate::auth::Access;
use crate::repository::criteria::{Bytes, Criterion, EntryTest};
use crate::repository::entry::Space;

/// How many resources a criterion will leave, as far as can be told without looking; the fewest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// As many as it names.
    Named,
    /// Those that refer to one thing.
    Referring,
    /// Those with one value that comes with a system.
    Identified,
    /// Those with one value.
    Coded,
    /// Those with a value in a range that ends.
    Range,
    /// Those with a value in a range that does not end.
    Open,
}

/// SQLite takes 500 parts of a `UNION`.
const MOST_PARTS: usize = 50;

/// The rank of a criterion; none if no index leads to what satisfies it.
pub(super) fn rank(criterion: &Criterion) -> Option<Rank> {
    match criterion {
        Criterion::Id(_) => Some(Rank::Named),
        Criterion::Has(_, tests) if equal_values(tests).is_none() && tests.len() > MOST_PARTS => None,
        Criterion::Has(_, tests) => worst(tests.iter().map(rank_of_test)),
        Criterion::LastUpdated(Some(_), Some(_)) => Some(Rank::Range),
        Criterion::LastUpdated(..) => Some(Rank::Open),
        Criterion::All(parts) => parts.iter().filter_map(rank).min(),
        Criterion::Any(parts) if parts.len() <= MOST_PARTS => worst(parts.iter().map(rank)),
        Criterion::Leads(_, targets) if targets.len() <= MOST_PARTS => {
            worst(targets.iter().map(|(_, _, criterion)| rank(criterion)))
                .map(|rank| rank.max(Rank::Identified))
        }
        Criterion::Referred { criterion, .. } => rank(criterion).map(|rank| rank.max(Rank::Identified)),
        Criterion::Any(_)
        | Criterion::Leads(..)
        | Criterion::Not(_)
        | Criterion::Type(_)
        | Criterion::Never => None,
    }
}

fn rank_of_test(test: &EntryTest) -> Option<Rank> {
    match &test.value {
        Bytes::Equal(value) if value.contains(&0) => Some(Rank::Identified),
        Bytes::Equal(value) if value.contains(&b'/') => Some(Rank::Referring),
        Bytes::Equal(_) => Some(Rank::Coded),
        Bytes::Range(Some(_), Some(_)) => Some(Rank::Range),
        Bytes::Range(None, None) | Bytes::Any | Bytes::Contains(_) => None,
        Bytes::Range(..) => Some(Rank::Open),
    }
}

/// The greatest; none if there is none or one has none.
fn worst(mut ranks: impl Iterator<Item = Option<Rank>>) -> Option<Rank> {
    let first = ranks.next()??;
    ranks.try_fold(first, |worst, rank| Some(worst.max(rank?)))
}

/// A `SELECT` of the keys of all resources of a type that may satisfy a criterion that has a rank, some of them
/// several times, some of them perhaps not to be seen.
pub(super) fn keys(sql: &mut Sql, access: &Access, kind: Space, criterion: &Criterion) {
    match criterion {
        Criterion::All(parts) => {
            if let Some((_, best)) =
                parts.iter().filter_map(|part| Some((rank(part)?, part))).min_by_key(|p| p.0)
            {
                keys(sql, access, kind, best);
            }
        }
        Criterion::Any(parts) => {
            sql.list(parts, " UNION ALL ", |sql, part| {
                let part_name = sql.name("k");
                sql.push("SELECT key FROM (");
                keys(sql, access, kind, part);
                sql.push(") ").push_name(part_name);
            });
        }
        Criterion::Has(space, tests) if equal_values(tests).is_some() => {
            entries(sql, *space, |sql, entry| entry_tests(sql, entry, tests));
        }
        Criterion::Has(space, tests) => {
            sql.list(tests, " UNION ALL ", |sql, test| {
                entries(sql, *space, |sql, entry| entry_test(sql, entry, test));
            });
        }
        Criterion::Leads(space, targets) => {
            sql.list(targets, " UNION ALL ", |sql, (name, target_kind, criterion)| {
                let (target, entry) = (sql.name("t"), sql.name("e"));
                sql.push("SELECT ").column(entry, "resource AS key FROM (");
                matching(sql, access, *target_kind, criterion, |sql, row| {
                    reference_to(sql, name, row);
                    sql.push(" AS value");
                });
                sql.push(") ").push_name(target);
                sql.look_up("search_entry", entry, |sql| {
                    sql.column(entry, "space = ").number(space.as_i64()).push(" AND ");
                    sql.column(entry, "value = ").column(target, "value");
                });
            });
        }
        Criterion::Referred { from, source, criterion } => {
            let (referring, entry, row) = (sql.name("s"), sql.name("e"), sql.name("r"));
            sql.push("SELECT ").column(row, "key FROM (");
            matching(sql, access, *source, criterion, |sql, row| {
                sql.column(row, "key");
            });
            sql.push(") ").push_name(referring);
            sql.look_up("search_entry", entry, |sql| {
                sql.column(entry, "resource = ").column(referring, "key AND ");
                sql.column(entry, "space = ").number(from.as_i64());
            });
            sql.look_up("resource", row, |sql| {
                sql.column(row, "kind = ").number(kind.as_i64()).push(" AND ").column(row, "id = ");
                id_in(sql, entry);
            });
        }
        Criterion::Id(_)
        | Criterion::LastUpdated(..)
        | Criterion::Not(_)
        | Criterion::Type(_)
        | Criterion::Never => {
            let row = sql.name("r");
            sql.push("SELECT ").column(row, "key FROM resource ").push_name(row).push(" WHERE ");
            if matches!(criterion, Criterion::LastUpdated(..)) {
                sql.column(row, "content IS NOT NULL AND ");
            }
            sql.column(row, "kind = ").number(kind.as_i64()).push(" AND ");
            condition(sql, access, row, criterion);
        }
    }
}

fn entries(sql: &mut Sql, space: Space, test: impl FnOnce(&mut Sql, Name)) {
    let entry = sql.name("e");
    sql.push("SELECT ").column(entry, "resource AS key FROM search_entry ").push_name(entry);
    sql.push(" WHERE ").column(entry, "space = ").number(space.as_i64()).push(" AND ");
    test(sql, entry);
}

/// A `SELECT` over the resources of a type that satisfy a criterion.
fn matching(
    sql: &mut Sql,
    access: &Access,
    kind: Space,
    criterion: &Criterion,
    select: impl FnOnce(&mut Sql, Name),
) {
    let row = sql.name("r");
    sql.push("SELECT ");
    select(sql, row);
    sql.push(" FROM ");
    each_of(sql, access, kind, rank(criterion).map(|_| criterion), row);
    sql.push(" AND ");
    condition(sql, access, row, criterion);
}

/// `… WHERE …` over the visible resources of a type: those of the set of a criterion, each once, or all.
pub(super) fn each_of(sql: &mut Sql, access: &Access, kind: Space, set: Option<&Criterion>, row: Name) {
    if let Some(criterion) = set {
        let each = sql.name("k");
        sql.push("(");
        distinct(sql, access, kind, criterion);
        sql.push(") ").push_name(each);
        look_up(sql, row, each);
        sql.push(" WHERE ");
    } else {
        sql.push("resource ").push_name(row).push(" WHERE ").column(row, "content IS NOT NULL AND ");
    }
    sql.column(row, "kind = ").number(kind.as_i64()).push(" AND ");
    visible(sql, access, row);
}

/// A `SELECT` of the keys of a set, each once.
pub(super) fn distinct(sql: &mut Sql, access: &Access, kind: Space, criterion: &Criterion) {
    let all = sql.name("k");
    sql.push("SELECT DISTINCT key FROM (");
    keys(sql, access, kind, criterion);
    sql.push(") ").push_name(all);
}

/// The resource of each key.
pub(super) fn look_up(sql: &mut Sql, row: Name, keys: Name) {
    sql.look_up("resource", row, |sql| {
        sql.column(row, "key = ").column(keys, "key");
    });
}
