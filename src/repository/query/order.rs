//! The keys of an order: as expressions on a row, as columns of a page, and as the condition that begins a page where
//! the one before ended. Resources without a value of a key come after those with one, whichever way it runs.

use super::sql::{Name, Sql};
use crate::repository::criteria::Order;
use crate::repository::entry::Space;
use crate::repository::model::{Position, StoredResource};

/// An order, its keys with whether they descend; the order of creation comes last.
pub(super) type Keys = [(Order, bool)];

/// Where the values of an order's keys are found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In columns `o0`, `o1`, … and `key` of this.
    Columns(Name),
    /// In what belongs to a row of `resource`.
    Row {
        /// The row.
        row: Name,
        /// The entry whose value is that of the first key, where entries are passed in their order.
        first: Option<Name>,
    },
}

/// The value of a key.
pub(super) fn push_key(sql: &mut Sql, keys: &Keys, n: usize, place: Place) {
    let (row, first) = match place {
        Place::Columns(name) => {
            sql.column(name, "o").push_number(n as u64);
            return;
        }
        Place::Row { row, first } => (row, first),
    };
    match (&keys[n].0, first.filter(|_| n == 0)) {
        (_, Some(entry)) => {
            sql.column(entry, "value");
        }
        (Order::Id, None) => {
            sql.column(row, "id");
        }
        (Order::LastUpdated, None) => {
            sql.column(row, "last_updated");
        }
        (Order::Values(levels), None) if levels.is_empty() => {
            sql.push("NULL");
        }
        (Order::Values(levels), None) => {
            // SQLite wants two arguments at least.
            let is_choice = levels.len() > 1;
            sql.push(if is_choice { "COALESCE(" } else { "" });
            sql.list(levels, ", ", |sql, spaces| {
                let entry = sql.name("e");
                sql.push("(SELECT ")
                    .column(entry, "value FROM search_entry ")
                    .push_name(entry)
                    .push(" WHERE ");
                sql.column(entry, "resource = ").column(row, "key AND ");
                push_spaces(sql, entry, spaces);
                sql.push(" ORDER BY ").column(entry, "value").push(if keys[n].1 { " DESC" } else { "" });
                sql.push(" LIMIT 1)");
            });
            sql.push(if is_choice { ")" } else { "" });
        }
    }
}

/// That an entry is in one of these spaces.
pub(super) fn push_spaces(sql: &mut Sql, entry: Name, spaces: &[Space]) {
    if spaces.is_empty() {
        sql.push("0 = 1");
        return;
    }
    sql.column(entry, "space").equals_any(spaces.iter(), |sql, space| {
        sql.bind(space.into());
    });
}

fn push_row_key(sql: &mut Sql, place: Place) {
    match place {
        Place::Columns(name) => sql.column(name, "key"),
        // The same number; this one is in the index that is walked.
        Place::Row { first: Some(entry), .. } => sql.column(entry, "resource"),
        Place::Row { row, first: None } => sql.column(row, "key"),
    };
}

/// `ORDER BY` the keys from the `skip`th on.
pub(super) fn push_order_by(sql: &mut Sql, keys: &Keys, skip: usize, place: Place) {
    sql.push(" ORDER BY ");
    for (n, (order, descends)) in keys.iter().enumerate().skip(skip) {
        let is_walked = n == 0 && matches!(place, Place::Row { .. });
        match place {
            Place::Row { .. } if !is_walked => {
                sql.push("o").push_number(n as u64);
            }
            _ => push_key(sql, keys, n, place),
        }
        sql.push(if *descends { " DESC" } else { "" });
        // What is walked has a value, and an index runs either way only without this.
        let can_lack = matches!(order, Order::Values(_)) && !is_walked;
        sql.push(if can_lack { " NULLS LAST, " } else { ", " });
    }
    push_row_key(sql, place);
}

/// That something stands after a position in the order of the keys from the `skip`th on.
pub(super) fn push_after(sql: &mut Sql, keys: &Keys, skip: usize, place: Place, after: &Position) {
    let Some((order, descends)) = keys.get(skip) else {
        push_row_key(sql, place);
        sql.push(" > ").number(after.key);
        return;
    };
    let value = after.values.get(skip).and_then(Option::as_deref);
    sql.push("(");
    if let Some(value) = value {
        push_key(sql, keys, skip, place);
        sql.push(if *descends { " < " } else { " > " });
        push_value(sql, order, value);
        sql.push(" OR ");
        if matches!(order, Order::Values(_)) {
            push_key(sql, keys, skip, place);
            sql.push(" IS NULL OR ");
        }
        sql.push("(");
        push_key(sql, keys, skip, place);
        sql.push(" = ");
        push_value(sql, order, value);
    } else {
        sql.push("(");
        push_key(sql, keys, skip, place);
        sql.push(" IS NULL");
    }
    sql.push(" AND ");
    push_after(sql, keys, skip + 1, place, after);
    sql.push("))");
}

/// That the first key is not before a position: what lets an index begin there.
pub(super) fn push_from(sql: &mut Sql, keys: &Keys, place: Place, after: &Position) {
    if let (Some((order, descends)), Some(Some(value))) = (keys.first(), after.values.first()) {
        push_key(sql, keys, 0, place);
        sql.push(if *descends { " <= " } else { " >= " });
        push_value(sql, order, value);
        sql.push(" AND ");
    }
}

fn push_value(sql: &mut Sql, order: &Order, value: &[u8]) {
    match order {
        Order::Id => sql.string(&String::from_utf8_lossy(value)),
        Order::LastUpdated => sql.number(<[u8; 8]>::try_from(value).map_or(i64::MAX, i64::from_be_bytes)),
        Order::Values(_) => sql.bytes(value),
    };
}

/// The position of a resource. `values` are what its page gave for the keys, used where they are values of entries.
pub(in crate::repository) fn position(
    keys: &[(Order, bool)],
    resource: &StoredResource,
    values: Vec<Option<Vec<u8>>>,
) -> Position {
    let values = keys.iter().zip(values).map(|((order, _), value)| match order {
        Order::Id => Some(resource.id.clone().into_bytes()),
        Order::LastUpdated => Some(resource.last_updated.as_nanos().to_be_bytes().to_vec()),
        Order::Values(_) => value,
    });
    Position { values: values.collect(), key: resource.key }
}
