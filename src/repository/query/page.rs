//! The statements that find a page and count matches. All give the columns of a resource, then one column for each
//! sort key by values, then (when gathered) how many matches there are.

use super::condition::{Row, condition, same_resource_by_value};
use super::keys::{distinct, each_of, look_up};
use super::order::{Keys, Place, push_after, push_from, push_key, push_order_by, push_spaces};
use super::sql::{EACH, Name, Sql};
use super::{Branch, Source};
use crate::auth::Access;
use crate::db::Dialect;
use crate::repository::criteria::{Criterion, Order};
use crate::repository::entry::Space;
use crate::repository::model::Position;

/// What a page is asked of.
#[derive(Debug, Clone, Copy)]
pub(in crate::repository) struct Page<'a> {
    /// The database.
    pub(in crate::repository) dialect: Dialect,
    /// What the caller may see.
    pub(in crate::repository) access: &'a Access,
    /// The order.
    pub(in crate::repository) order: &'a Keys,
    /// Where it begins.
    pub(in crate::repository) after: Option<&'a Position>,
    /// How many rows it has at most.
    pub(in crate::repository) limit: u64,
}

/// Gathers all matches, sorts them and gives the page, with how many there are. Not for [`Source::Value`].
pub(in crate::repository) fn gathered(page: &Page<'_>, branches: &[(&Branch, Source)]) -> Sql {
    let mut sql = Sql::new(page.dialect);
    let all = sql.name("m");
    sql.push("WITH ");
    push_matches(&mut sql, page.order, all, |sql| {
        sql.list(branches, " UNION ALL ", |sql, (branch, source)| {
            let row = sql.name("r");
            push_row_of(sql, page, row, Place::Row { row, first: None });
            let set = match source {
                Source::Set(n) | Source::Value(n) => branch.conjuncts.get(*n),
                Source::Kind => None,
            };
            let row = each_of(sql, page.access, branch.kind, set, row);
            push_conjuncts(sql, page.access, row, branch, *source);
        });
    });
    push_page_of(&mut sql, page, all, |sql| {
        sql.push(", (SELECT COUNT(*) FROM ").push_name(all).push(") AS total");
    });
    sql
}

/// Gathers the matches among the first `bound` resources of a set, and says after their number how many were looked
/// at: if that is `bound`, there may be more.
pub(in crate::repository) fn gathered_among(page: &Page<'_>, branch: &Branch, set: usize, bound: u64) -> Sql {
    let mut sql = Sql::new(page.dialect);
    let (keys, all, row) = (sql.name("k"), sql.name("m"), sql.name("r"));
    sql.push("WITH ").push_name(keys).push(" (key) AS MATERIALIZED (");
    distinct(&mut sql, page.access, branch.kind, &branch.conjuncts[set]);
    sql.push(" LIMIT ").push_number(bound).push("), ");
    push_matches(&mut sql, page.order, all, |sql| {
        push_row_of(sql, page, row, Place::Row { row, first: None });
        sql.push_name(keys);
        look_up(sql, row, keys);
        sql.push(" WHERE ").column(row, "kind = ").number(branch.kind.as_i64()).push(" AND ");
        super::visible(sql, page.access, row);
        let row = Row { name: row, key: (keys, "key") };
        push_conjuncts(sql, page.access, row, branch, Source::Set(set));
    });
    push_page_of(&mut sql, page, all, |sql| {
        sql.push(", (SELECT COUNT(*) FROM ").push_name(all).push(") AS total");
        sql.push(", (SELECT COUNT(*) FROM ").push_name(keys).push(") AS looked_at");
    });
    sql
}

/// All matches as a table of their own.
fn push_matches(sql: &mut Sql, keys: &Keys, all: Name, matches: impl FnOnce(&mut Sql)) {
    sql.push_name(all).push(" (key");
    push_columns(sql, keys, |sql, n| {
        sql.push("o").push_number(n);
    });
    sql.push(") AS MATERIALIZED (");
    matches(sql);
    sql.push("), ");
}

/// The page of such a table.
fn push_page_of(sql: &mut Sql, page: &Page<'_>, all: Name, more: impl FnOnce(&mut Sql)) {
    let one = sql.name("p");
    sql.push_name(one).push(" AS (SELECT * FROM ").push_name(all);
    if let Some(after) = page.after {
        sql.push(" WHERE ");
        push_after(sql, page.order, 0, Place::Columns(all), after);
    }
    push_order_by(sql, page.order, 0, Place::Columns(all));
    sql.push(" LIMIT ").push_number(page.limit).push(") ");
    push_resources(sql, page, one, more);
}

/// Walks the sources of all branches in the order of creation.
pub(in crate::repository) fn walked(page: &Page<'_>, branches: &[(&Branch, Source)]) -> Sql {
    merged(page, branches, |sql, (branch, source)| {
        let row = sql.name("r");
        sql.push("SELECT ").column(row, "key FROM ");
        let walk = push_source(sql, page.access, branch, *source, row, page.after.map(|after| after.key));
        push_conjuncts(sql, page.access, walk.row(row), branch, *source);
        push_order_of(sql, row, walk);
    })
}

/// Passes the values of the first key in their order; what has none does not come.
pub(in crate::repository) fn sorted(page: &Page<'_>, branch: &Branch) -> Sql {
    let keys = page.order;
    let Some((Order::Values(levels), descends)) = keys.first() else {
        return merged(page, &[branch], |sql, branch| {
            let row = sql.name("r");
            push_row_of(sql, page, row, Place::Row { row, first: None });
            sql.push("resource ").push_name(row).push(" WHERE ");
            if matches!(keys.first(), Some((Order::LastUpdated, _))) {
                sql.column(row, "content IS NOT NULL AND ");
            }
            push_rest(sql, page, branch, row, None);
        });
    };
    let spaces =
        |(level, spaces): (usize, &Vec<Space>)| spaces.iter().map(move |s| (level, *s)).collect::<Vec<_>>();
    let mut walks: Vec<(usize, Space)> = levels.iter().enumerate().flat_map(spaces).collect();
    walks.sort_unstable();
    walks.dedup();
    merged(page, &walks, |sql, (level, space)| {
        let (row, entry, other) = (sql.name("r"), sql.name("e"), sql.name("e"));
        push_row_of(sql, page, row, Place::Row { row, first: Some(entry) });
        sql.push("search_entry ").push_name(entry);
        sql.look_up("resource", row, |sql| {
            sql.column(row, "key = ").column(entry, "resource");
        });
        sql.push(" WHERE ").column(entry, "space = ").number(space.as_i64()).push(" AND ");
        // Only the value that counts, and of several entries with it only one.
        sql.push("NOT EXISTS (SELECT 1 FROM search_entry ").push_name(other).push(" WHERE ");
        sql.column(other, "resource = ").column(entry, "resource AND ");
        push_spaces(sql, other, &levels[*level]);
        sql.push(" AND (").column(other, "value").push(if *descends { " > " } else { " < " });
        sql.column(entry, "value OR ").column(other, "value = ").column(entry, "value AND (");
        sql.column(other, "extra < ").column(entry, "extra OR ").column(other, "extra = ");
        sql.column(entry, "extra AND ").column(other, "space < ").column(entry, "space))").push(EACH);
        for earlier in &levels[..*level] {
            sql.push(" AND ");
            push_lacks(sql, row, earlier);
        }
        sql.push(" AND ");
        push_rest(sql, page, branch, row, Some(entry));
    })
}

/// Walks what has no value of the first key, which is one by values.
pub(in crate::repository) fn unsorted(page: &Page<'_>, branch: &Branch) -> Sql {
    merged(page, &[branch], |sql, branch| {
        let row = sql.name("r");
        let place = Place::Row { row, first: None };
        push_row_of(sql, page, row, place);
        let is_last_key = page.order.len() == 1;
        let after = page.after.filter(|_| is_last_key).map(|after| after.key);
        let walk = push_source(sql, page.access, branch, Source::Kind, row, after);
        if let Some((Order::Values(levels), _)) = page.order.first() {
            for level in levels {
                sql.push(" AND ");
                push_lacks(sql, row, level);
            }
        }
        push_conjuncts(sql, page.access, walk.row(row), branch, Source::Kind);
        if is_last_key {
            push_order_of(sql, row, walk);
            return;
        }
        if let Some(after) = page.after {
            sql.push(" AND ");
            push_after(sql, page.order, 1, place, after);
        }
        push_order_by(sql, page.order, 1, place);
    })
}

/// Counts matches up to `limit`, from the same sources as a walk.
pub(in crate::repository) fn count(
    dialect: Dialect,
    access: &Access,
    branches: &[(&Branch, Source)],
    limit: Option<u64>,
) -> Sql {
    let mut sql = Sql::new(dialect);
    let counted = sql.name("c");
    sql.push("SELECT COUNT(*) FROM (");
    sql.list(branches, " UNION ALL ", |sql, (branch, source)| {
        let (row, each) = (sql.name("r"), sql.name("c"));
        sql.push("SELECT 1 FROM (SELECT ").column(row, "key FROM ");
        let walk = push_source(sql, access, branch, *source, row, None);
        push_conjuncts(sql, access, walk.row(row), branch, *source);
        // The number does not depend on it, but the index that is walked does.
        push_order_of(sql, row, walk);
        sql.push(") ").push_name(each);
    });
    if let Some(limit) = limit {
        sql.push(" LIMIT ").push_number(limit);
    }
    sql.push(") ").push_name(counted);
    sql
}

/// The pages of several walks as one.
fn merged<T>(page: &Page<'_>, walks: &[T], mut walk: impl FnMut(&mut Sql, &T)) -> Sql {
    let mut sql = Sql::new(page.dialect);
    let one = sql.name("p");
    sql.push("WITH ").push_name(one).push(" AS (");
    if let [only] = walks {
        walk(&mut sql, only);
    } else {
        let all = sql.name("m");
        sql.push("SELECT * FROM (");
        sql.list(walks, " UNION ALL ", |sql, each| {
            let name = sql.name("w");
            sql.push("SELECT * FROM (");
            walk(sql, each);
            sql.push(" LIMIT ").push_number(page.limit).push(") ").push_name(name);
        });
        sql.push(") ").push_name(all);
        push_order_by(&mut sql, page.order, 0, Place::Columns(all));
    }
    sql.push(" LIMIT ").push_number(page.limit).push(") ");
    push_resources(&mut sql, page, one, |_| {});
    sql
}

/// The resources of a page in its order; `more` adds columns.
fn push_resources(sql: &mut Sql, page: &Page<'_>, of: Name, more: impl FnOnce(&mut Sql)) {
    let row = sql.name("r");
    sql.push("SELECT ");
    super::columns(sql, row);
    push_columns(sql, page.order, |sql, n| {
        sql.column(of, "o").push_number(n);
    });
    more(sql);
    sql.push(" FROM ").push_name(of);
    sql.look_up("resource", row, |sql| {
        sql.column(row, "key = ").column(of, "key");
    });
    push_order_by(sql, page.order, 0, Place::Columns(of));
}

/// `SELECT … FROM` with the columns of a page.
fn push_row_of(sql: &mut Sql, page: &Page<'_>, row: Name, place: Place) {
    sql.push("SELECT ").column(row, "key");
    push_columns(sql, page.order, |sql, n| {
        push_key(sql, page.order, to_usize(n), place);
        sql.push(" AS o").push_number(n);
    });
    sql.push(" FROM ");
}

/// What a sorted walk asks of each resource, where it begins, and its order.
fn push_rest(sql: &mut Sql, page: &Page<'_>, branch: &Branch, row: Name, entry: Option<Name>) {
    let place = Place::Row { row, first: entry };
    if let Some(after) = page.after {
        push_from(sql, page.order, place, after);
        push_after(sql, page.order, 0, place, after);
        sql.push(" AND ");
    }
    sql.column(row, "kind = ").number(branch.kind.as_i64()).push(" AND ");
    super::visible(sql, page.access, row);
    let key = entry.map_or((row, "key"), |entry| (entry, "resource"));
    push_conjuncts(sql, page.access, Row { name: row, key }, branch, Source::Kind);
    push_order_by(sql, page.order, 0, place);
}

/// What a walk passes.
#[derive(Debug, Clone, Copy)]
enum Walk {
    /// Rows of a set, by its keys.
    Set(Row),
    /// Entries with one value.
    Entries(Name),
    /// All rows of a type.
    Kind,
}

impl Walk {
    /// The row that is passed.
    fn row(self, name: Name) -> Row {
        match self {
            Self::Set(row) => row,
            Self::Entries(entry) => Row { name, key: (entry, "resource") },
            Self::Kind => Row::alone(name),
        }
    }
}

/// `… WHERE …` over the rows of a source whose key is greater than `after`.
fn push_source(
    sql: &mut Sql,
    access: &Access,
    branch: &Branch,
    source: Source,
    row: Name,
    after: Option<i64>,
) -> Walk {
    let value = match source {
        Source::Set(n) => {
            let each = each_of(sql, access, branch.kind, Some(&branch.conjuncts[n]), row);
            if let Some(after) = after {
                sql.push(" AND ").column(row, "key > ").number(after);
            }
            return Walk::Set(each);
        }
        Source::Value(n) => branch.one_value(n),
        Source::Kind => None,
    };
    let Some((space, value)) = value else {
        push_kind(sql, branch.kind, row, after);
        sql.push(" AND ");
        super::visible(sql, access, row);
        return Walk::Kind;
    };
    let (entry, other) = (sql.name("e"), sql.name("e"));
    sql.push("search_entry ").push_name(entry);
    sql.look_up("resource", row, |sql| {
        sql.column(row, "key = ").column(entry, "resource");
    });
    sql.push(" WHERE ").column(entry, "space = ").number(space.as_i64()).push(" AND ");
    sql.column(entry, "value = ").bytes(value).push(" AND ");
    if let Some(after) = after {
        sql.column(entry, "resource > ").number(after).push(" AND ");
    }
    // Of several entries with the value only one.
    sql.push("NOT EXISTS (SELECT 1 FROM search_entry ").push_name(other).push(" WHERE ");
    sql.column(other, "space = ").column(entry, "space AND ").column(other, "value = ");
    sql.column(entry, "value AND ");
    same_resource_by_value(sql, other, (entry, "resource"));
    sql.push(" AND ").column(other, "extra < ").column(entry, "extra").push(EACH).push(" AND ");
    sql.column(row, "kind = ").number(branch.kind.as_i64()).push(" AND ");
    super::visible(sql, access, row);
    Walk::Entries(entry)
}

/// `resource … WHERE …` over what is there of a type.
fn push_kind(sql: &mut Sql, kind: Space, row: Name, after: Option<i64>) {
    let kind = kind.as_i64();
    sql.push("resource ").push_name(row).push(" WHERE ").column(row, "content IS NOT NULL AND ");
    match sql.dialect() {
        Dialect::Sqlite => {
            sql.column(row, "kind = ").number(kind);
            if let Some(after) = after {
                sql.push(" AND ").column(row, "key > ").number(after);
            }
        }
        // Where the type is known to be one, PostgreSQL would also walk all types by their keys if this one is
        // frequent, and so first pass everything that was created before the first of it.
        Dialect::Postgres => {
            sql.push("(").column(row, "kind, ").column(row, "key) > (").number(kind).push(", ");
            sql.number(after.unwrap_or(i64::MIN)).push(") AND ").column(row, "kind <= ").number(kind);
        }
    }
}

/// `ORDER BY` creation, in the words that the index of the walk is in.
fn push_order_of(sql: &mut Sql, row: Name, walk: Walk) {
    sql.push(" ORDER BY ");
    match (walk, sql.dialect()) {
        (Walk::Entries(entry), _) => sql.column(entry, "resource"),
        (Walk::Kind, Dialect::Postgres) => sql.column(row, "kind, ").column(row, "key"),
        (Walk::Kind, Dialect::Sqlite) | (Walk::Set(_), _) => sql.column(row, "key"),
    };
}

/// What the source has not already proved.
fn push_conjuncts(sql: &mut Sql, access: &Access, row: Row, branch: &Branch, source: Source) {
    for (n, conjunct) in branch.conjuncts.iter().enumerate() {
        let is_exact = matches!(conjunct, Criterion::Has(..) | Criterion::Id(_) | Criterion::LastUpdated(..));
        if is_exact && matches!(source, Source::Set(set) | Source::Value(set) if set == n) {
            continue;
        }
        sql.push(" AND ");
        condition(sql, access, row, conjunct);
    }
}

/// That a resource has no value in any of these spaces.
fn push_lacks(sql: &mut Sql, row: Name, spaces: &[Space]) {
    let entry = sql.name("e");
    sql.push("NOT EXISTS (SELECT 1 FROM search_entry ").push_name(entry).push(" WHERE ");
    sql.column(entry, "resource = ").column(row, "key AND ");
    push_spaces(sql, entry, spaces);
    sql.push(EACH);
}

/// `, …` for each key.
fn push_columns(sql: &mut Sql, keys: &Keys, mut each: impl FnMut(&mut Sql, u64)) {
    for n in 0..keys.len() {
        sql.push(", ");
        each(sql, n as u64);
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
