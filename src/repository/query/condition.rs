//! A criterion as a condition on one row of `resource`: each part of it is a look-up in an index. Every other resource
//! that it looks at must be visible to the caller too.

use super::sql::{EACH, Name, Sql};
use crate::auth::Access;
use crate::db::Dialect;
use crate::repository::criteria::{Bytes, Criterion, EntryTest};

/// That a row is one the caller may see and no deleted one. The indexes to walk a type along ask for `content IS NOT
/// NULL`: without these words no planner takes one of them for a look-up.
pub(in crate::repository) fn visible(sql: &mut Sql, access: &Access, row: Name) {
    sql.column(row, "change <> 'delete' AND ");
    owned(sql, access, row);
}

/// That a row is one the caller may see, deleted or not.
pub(in crate::repository) fn owned(sql: &mut Sql, access: &Access, row: Name) {
    sql.column(row, "tenant = ").string(access.tenant());
    if let Some(owner) = access.owner() {
        sql.push(" AND ").column(row, "owner = ").string(owner);
    }
}

/// A row of `resource` in a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its name.
    pub(super) name: Name,
    /// Where its key stands. If that is further to the left, what needs only the key is asked before the row is read.
    pub(super) key: (Name, &'static str),
}

impl Row {
    /// A row whose key is its own.
    pub(super) fn alone(name: Name) -> Self {
        Self { name, key: (name, "key") }
    }

    /// Its key.
    pub(super) fn push_key(self, sql: &mut Sql) -> &mut Sql {
        sql.column(self.key.0, self.key.1)
    }
}

/// That `criterion` holds of a row.
pub(super) fn condition(sql: &mut Sql, access: &Access, row: Row, criterion: &Criterion) {
    match criterion {
        Criterion::All(parts) if parts.is_empty() => {
            sql.push("1 = 1");
        }
        Criterion::Any(parts) if parts.is_empty() => {
            sql.push("0 = 1");
        }
        Criterion::All(parts) => {
            sql.combine(parts, " AND ", &mut |sql, part| condition(sql, access, row, part));
        }
        Criterion::Any(parts) => {
            sql.combine(parts, " OR ", &mut |sql, part| condition(sql, access, row, part));
        }
        Criterion::Not(inner) => {
            sql.push("NOT (");
            condition(sql, access, row, inner);
            sql.push(")");
        }
        Criterion::Type(kind) => {
            sql.column(row.name, "kind = ").number(kind.as_i64());
        }
        Criterion::Id(ids) if ids.is_empty() => {
            sql.push("0 = 1");
        }
        Criterion::Id(ids) => {
            sql.column(row.name, "id").equals_any(ids.iter(), |sql, id| {
                sql.string(id);
            });
        }
        Criterion::LastUpdated(from, until) => {
            sql.push("(1 = 1");
            if let Some(from) = from {
                sql.push(" AND ").column(row.name, "last_updated >= ").number(from.as_nanos());
            }
            if let Some(until) = until {
                sql.push(" AND ").column(row.name, "last_updated < ").number(until.as_nanos());
            }
            sql.push(")");
        }
        Criterion::Has(space, tests) => {
            let entry = sql.name("e");
            sql.push("EXISTS (SELECT 1 FROM search_entry ").push_name(entry).push(" WHERE ");
            let is_few_values =
                equal_values(tests).is_some_and(|values| (1..=FEW_VALUES).contains(&values.len()));
            if is_few_values {
                same_resource_by_value(sql, entry, row.key);
                sql.push(" AND ");
            } else {
                sql.column(entry, "resource = ");
                row.push_key(sql).push(" AND ");
            }
            sql.column(entry, "space = ").number(space.as_i64());
            if !tests.is_empty() {
                sql.push(" AND ");
                entry_tests(sql, entry, tests);
            }
            sql.push(EACH);
        }
        Criterion::Leads(space, targets) if !targets.is_empty() => {
            let entry = sql.name("e");
            sql.push("EXISTS (SELECT 1 FROM search_entry ").push_name(entry).push(" WHERE ");
            sql.column(entry, "resource = ");
            row.push_key(sql).push(" AND ");
            sql.column(entry, "space = ").number(space.as_i64()).push(" AND ");
            sql.combine(targets, " OR ", &mut |sql, (name, kind, criterion)| {
                let target = sql.name("r");
                sql.push("EXISTS (SELECT 1 FROM resource ").push_name(target).push(" WHERE ");
                sql.column(target, "kind = ").number(kind.as_i64()).push(" AND ");
                sql.column(target, "id = ");
                id_in(sql, entry);
                // The id alone would also be found behind another type's name.
                sql.push(" AND ").column(entry, "value = ");
                reference_to(sql, name, target);
                sql.push(" AND ");
                visible(sql, access, target);
                sql.push(" AND ");
                condition(sql, access, Row::alone(target), criterion);
                sql.push(EACH);
            });
            sql.push(EACH);
        }
        Criterion::Referred { from, source, criterion } => {
            let entry = sql.name("e");
            sql.push("EXISTS (SELECT 1 FROM search_entry ").push_name(entry).push(" WHERE ");
            sql.column(entry, "space = ").number(from.as_i64()).push(" AND ");
            sql.column(entry, "value = ");
            reference_to_row(sql, row.name);
            let referring = sql.name("r");
            sql.push(" AND EXISTS (SELECT 1 FROM resource ").push_name(referring).push(" WHERE ");
            sql.column(referring, "key = ").column(entry, "resource AND ");
            sql.column(referring, "kind = ").number(source.as_i64()).push(" AND ");
            visible(sql, access, referring);
            sql.push(" AND ");
            condition(sql, access, Row::alone(referring), criterion);
            sql.push(EACH).push(EACH);
        }
        Criterion::Leads(..) | Criterion::Never => {
            sql.push("0 = 1");
        }
    }
}

/// Up to so many values each is looked up for itself.
const FEW_VALUES: usize = 4;

/// That an entry is of a resource, said so that the entries with the same value are where it is looked up: those lie
/// close together for all resources that are asked about, while the entries of each resource lie by themselves. (An
/// equation would let planners choose, and they choose the other index; measured, that takes half as long again.)
pub(super) fn same_resource_by_value(sql: &mut Sql, entry: Name, (row, key): (Name, &'static str)) {
    sql.column(entry, "resource BETWEEN ").column(row, key).push(" AND ").column(row, key);
}

/// That an entry passes one of the tests.
pub(super) fn entry_tests(sql: &mut Sql, entry: Name, tests: &[EntryTest]) {
    if let Some(values) = equal_values(tests) {
        sql.column(entry, "value").equals_any(values.iter(), |sql, value| {
            sql.bytes(value);
        });
    } else {
        sql.combine(tests, " OR ", &mut |sql, test| entry_test(sql, entry, test));
    }
}

/// The values, if all that is tested is that one of them is equal.
pub(super) fn equal_values(tests: &[EntryTest]) -> Option<Vec<&[u8]>> {
    tests
        .iter()
        .map(|test| match test {
            EntryTest { value: Bytes::Equal(value), extra: Bytes::Any } => Some(&**value),
            _ => None,
        })
        .collect()
}

/// That an entry passes a test.
pub(super) fn entry_test(sql: &mut Sql, entry: Name, test: &EntryTest) {
    sql.push("(");
    bytes_test(sql, entry, "value", &test.value);
    if test.extra != Bytes::Any {
        sql.push(" AND ").column(entry, "extra > ").bytes(b"").push(" AND ");
        bytes_test(sql, entry, "extra", &test.extra);
    }
    sql.push(")");
}

fn bytes_test(sql: &mut Sql, entry: Name, column: &'static str, test: &Bytes) {
    match test {
        Bytes::Any | Bytes::Range(None, None) => {
            sql.push("1 = 1");
        }
        Bytes::Equal(bytes) => {
            sql.column(entry, column).push(" = ").bytes(bytes);
        }
        Bytes::Range(from, until) => {
            if let Some(from) = from {
                sql.column(entry, column).push(" >= ").bytes(from);
            }
            if from.is_some() && until.is_some() {
                sql.push(" AND ");
            }
            if let Some(until) = until {
                sql.column(entry, column).push(" < ").bytes(until);
            }
        }
        Bytes::Contains(bytes) => match sql.dialect() {
            Dialect::Sqlite => {
                sql.push("instr(").column(entry, column).push(", ").bytes(bytes).push(") > 0");
            }
            Dialect::Postgres => {
                sql.push("position(").bytes(bytes).push(" IN ").column(entry, column).push(") > 0");
            }
        },
    }
}

/// The id in a reference `Type/id`. Of another value it is some text, or none; never an error.
pub(super) fn id_in(sql: &mut Sql, entry: Name) {
    match sql.dialect() {
        Dialect::Sqlite => {
            sql.push("CAST(substr(").column(entry, "value, instr(");
            sql.column(entry, "value, x'2F') + 1) AS TEXT)");
        }
        // `escape` leaves ASCII as it is and, unlike a conversion from UTF-8, takes all bytes.
        Dialect::Postgres => {
            sql.push("encode(substr(").column(entry, "value, position('\\x2F'::bytea IN ");
            sql.column(entry, "value) + 1), 'escape')");
        }
    }
}

/// `Type/id` of a row whose type is known.
pub(super) fn reference_to(sql: &mut Sql, resource_type: &'static str, row: Name) {
    match sql.dialect() {
        Dialect::Sqlite => {
            sql.push("CAST('").push(resource_type).push("/' || ").column(row, "id AS BLOB)");
        }
        Dialect::Postgres => {
            sql.push("convert_to('").push(resource_type).push("/' || ").column(row, "id, 'UTF8')");
        }
    }
}

/// `Type/id` of a row.
pub(super) fn reference_to_row(sql: &mut Sql, row: Name) {
    match sql.dialect() {
        Dialect::Sqlite => {
            sql.push("CAST(").column(row, "type || '/' || ").column(row, "id AS BLOB)");
        }
        Dialect::Postgres => {
            sql.push("convert_to(").column(row, "type || '/' || ").column(row, "id, 'UTF8')");
        }
    }
}
