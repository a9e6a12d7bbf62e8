//! Versions, newest first: the current ones stand in `resource`, those before them in `resource_history`. Each part
//! is read along an index and no further than a page.

use super::statement;
use crate::auth::Access;
use crate::db::{DbError, Tx};
use crate::repository::entry::Space;
use crate::repository::model::{History, HistoryOf, StoredResource};
use crate::repository::query::{self, Name, Sql};

/// A page of a history, and whether there is more.
pub(in crate::repository) async fn history(
    tx: &mut Tx<'_>,
    access: &Access,
    history: &History,
) -> Result<(Vec<StoredResource>, bool), DbError> {
    let sql = page(Sql::new(tx.dialect()), access, history);
    let mut versions = statement::resources(tx, &sql).await?;
    let count = usize::try_from(history.count).unwrap_or(usize::MAX);
    let is_more = versions.len() > count;
    versions.truncate(count);
    Ok((versions, is_more))
}

/// One version more than the page has.
pub(in crate::repository) fn page(mut sql: Sql, access: &Access, history: &History) -> Sql {
    let limit = u64::from(history.count) + 1;
    let all = sql.name("v");
    sql.push("SELECT * FROM (");
    // Each of the two indexes along time has a part of the current versions.
    let parts: &[&'static str] = match &history.of {
        HistoryOf::Instance { .. } => &[""],
        HistoryOf::Type(_) => &["content IS NOT NULL AND ", "content IS NULL AND "],
    };
    for is_in_index in parts {
        let (row, part) = (sql.name("r"), sql.name("v"));
        sql.push("SELECT * FROM (SELECT ");
        query::columns(&mut sql, row);
        sql.push(" FROM resource ").push_name(row).push(" WHERE ");
        if !is_in_index.is_empty() {
            sql.column(row, is_in_index);
        }
        of(&mut sql, access, row, history);
        query::owned(&mut sql, access, row);
        // No version follows.
        times(&mut sql, history, row, None);
        after(&mut sql, history, row, "key");
        sql.push(" ORDER BY ").column(row, "last_updated DESC, ").column(row, "key DESC LIMIT ");
        sql.push_number(limit).push(") ").push_name(part).push(" UNION ALL ");
    }
    let (row, version, part) = (sql.name("r"), sql.name("h"), sql.name("v"));
    sql.push("SELECT * FROM (SELECT ").column(row, "key, ").column(row, "type, ").column(row, "id, ");
    sql.list(["version", "last_updated", "change", "bytes", "content"], ", ", |sql, column| {
        sql.column(version, column);
    });
    match &history.of {
        // One resource, and all its versions.
        HistoryOf::Instance { .. } => {
            sql.push(" FROM resource ").push_name(row);
            sql.look_up("resource_history", version, |sql| {
                sql.column(version, "resource = ").column(row, "key");
            });
            sql.push(" WHERE ");
            of(&mut sql, access, row, history);
        }
        // All versions, and the resource of each.
        HistoryOf::Type(_) => {
            sql.push(" FROM resource_history ").push_name(version);
            sql.look_up("resource", row, |sql| {
                sql.column(row, "key = ").column(version, "resource");
            });
            sql.push(" WHERE ");
            of(&mut sql, access, version, history);
        }
    }
    query::owned(&mut sql, access, row);
    times(&mut sql, history, version, Some("replaced_at"));
    after(&mut sql, history, version, "resource");
    sql.push(" ORDER BY ").column(version, "last_updated DESC, ").column(version, "resource DESC, ");
    sql.column(version, "version DESC LIMIT ").push_number(limit).push(") ").push_name(part);
    sql.push(") ").push_name(all).push(" ORDER BY last_updated DESC, key DESC, version DESC LIMIT ");
    sql.push_number(limit);
    sql
}

/// That a row is of the type, or the row of the resource.
fn of(sql: &mut Sql, access: &Access, row: Name, history: &History) {
    let (resource_type, id) = match &history.of {
        HistoryOf::Instance { resource_type, id } => (*resource_type, Some(id)),
        HistoryOf::Type(resource_type) => (*resource_type, None),
    };
    let kind = Space::of_type(access.tenant(), resource_type);
    sql.column(row, "kind = ").number(kind.as_i64()).push(" AND ");
    if let Some(id) = id {
        sql.column(row, "id = ").string(id).push(" AND ");
    }
}

/// That a version is of the time wanted. `replaced` is the column that says when the next one came.
fn times(sql: &mut Sql, history: &History, version: Name, replaced: Option<&'static str>) {
    if let Some(since) = history.since {
        sql.push(" AND ").column(version, "last_updated >= ").number(since.as_nanos());
    }
    if let Some((from, until)) = history.at {
        sql.push(" AND ").column(version, "last_updated < ").number(until.as_nanos());
        if let Some(replaced) = replaced {
            sql.push(" AND ").column(version, replaced).push(" > ").number(from.as_nanos());
        }
    }
}

/// That a version comes after the last one of the page before.
fn after(sql: &mut Sql, history: &History, version: Name, key: &'static str) {
    let Some((time, last_key, last_version)) = history.after else { return };
    let time = time.as_nanos();
    sql.push(" AND ").column(version, "last_updated <= ").number(time).push(" AND (");
    sql.column(version, "last_updated < ").number(time).push(" OR ");
    sql.column(version, key).push(" < ").number(last_key).push(" OR ");
    sql.column(version, key).push(" = ").number(last_key).push(" AND ");
    sql.column(version, "version < ").number(super::number_of(last_version)).push(")");
}
