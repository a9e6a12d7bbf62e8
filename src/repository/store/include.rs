//! What resources refer to, and what refers to them, through the entries of reference parameters.

use std::collections::BTreeMap;

use super::statement;
use crate::auth::Access;
use crate::db::{DbError, Tx};
use crate::repository::entry::Space;
use crate::repository::model::StoredResource;
use crate::repository::query::{self, Sql};

/// The longest id (FHIR R4, datatypes, id); what is longer refers to no resource here.
const LONGEST_ID: usize = 64;

/// What these resources refer to.
pub(in crate::repository) async fn referred(
    tx: &mut Tx<'_>,
    access: &Access,
    keys: &[i64],
    spaces: &[Space],
    targets: &[&str],
    limit: u32,
) -> Result<Vec<StoredResource>, DbError> {
    if keys.is_empty() || spaces.is_empty() {
        return Ok(Vec::new());
    }
    let references = statement::values(tx, &references(Sql::new(tx.dialect()), keys, spaces)).await?;
    let mut wanted: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for reference in references.iter().filter_map(|reference| std::str::from_utf8(reference).ok()) {
        let Some((name, id)) = reference.split_once('/') else { continue };
        if id.len() > LONGEST_ID || !(targets.is_empty() || targets.contains(&name)) {
            continue;
        }
        wanted.entry(Space::of_type(access.tenant(), name).as_i64()).or_default().push(id.to_owned());
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    statement::resources(tx, &resources(Sql::new(tx.dialect()), access, keys, &wanted, limit)).await
}

/// The values of resources in spaces.
pub(in crate::repository) fn references(mut sql: Sql, keys: &[i64], spaces: &[Space]) -> Sql {
    let entry = sql.name("e");
    sql.push("SELECT DISTINCT ").column(entry, "value FROM search_entry ").push_name(entry);
    sql.push(" WHERE ").column(entry, "resource");
    sql.equals_any(keys.iter(), |sql, key| {
        sql.number(*key);
    });
    sql.push(" AND ").column(entry, "space");
    sql.equals_any(spaces.iter(), |sql, space| {
        sql.bind(space.into());
    });
    sql
}

/// Resources by type and id, without some.
pub(in crate::repository) fn resources(
    mut sql: Sql,
    access: &Access,
    without: &[i64],
    wanted: &BTreeMap<i64, Vec<String>>,
    limit: u32,
) -> Sql {
    let all = sql.name("v");
    sql.push("SELECT * FROM (");
    sql.list(wanted, " UNION ALL ", |sql, (kind, ids)| {
        let row = sql.name("r");
        sql.push("SELECT ");
        query::columns(sql, row);
        sql.push(" FROM resource ").push_name(row).push(" WHERE ");
        sql.column(row, "kind = ").number(*kind).push(" AND ").column(row, "id");
        sql.equals_any(ids.iter(), |sql, id| {
            sql.string(id);
        });
        sql.push(" AND ");
        query::visible(sql, access, row);
        sql.push(" AND ").column(row, "key NOT IN (");
        sql.list(without, ", ", |sql, key| {
            sql.number(*key);
        })
        .push(")");
    });
    sql.push(") ").push_name(all).push(" ORDER BY key LIMIT ").push_number(u64::from(limit));
    sql
}

/// What refers to these resources.
pub(in crate::repository) async fn referring(
    tx: &mut Tx<'_>,
    access: &Access,
    references: &[String],
    spaces: &[Space],
    limit: u32,
) -> Result<Vec<StoredResource>, DbError> {
    if references.is_empty() || spaces.is_empty() {
        return Ok(Vec::new());
    }
    statement::resources(tx, &referring_resources(Sql::new(tx.dialect()), access, references, spaces, limit))
        .await
}

/// The resources with one of these values in one of these spaces. No more than `limit` are sorted, however many
/// there are.
pub(in crate::repository) fn referring_resources(
    mut sql: Sql,
    access: &Access,
    references: &[String],
    spaces: &[Space],
    limit: u32,
) -> Sql {
    let (row, entry, seen, found) = (sql.name("r"), sql.name("e"), sql.name("r"), sql.name("k"));
    sql.push("SELECT ");
    query::columns(&mut sql, row);
    sql.push(" FROM (SELECT DISTINCT ").column(entry, "resource AS key FROM search_entry ").push_name(entry);
    sql.look_up("resource", seen, |sql| {
        sql.column(seen, "key = ").column(entry, "resource");
    });
    sql.push(" WHERE ").column(entry, "space");
    sql.equals_any(spaces.iter(), |sql, space| {
        sql.bind(space.into());
    });
    sql.push(" AND ").column(entry, "value");
    sql.equals_any(references.iter(), |sql, reference| {
        sql.bytes(reference.as_bytes());
    });
    sql.push(" AND ");
    query::visible(&mut sql, access, seen);
    sql.push(" LIMIT ").push_number(u64::from(limit)).push(") ").push_name(found);
    sql.look_up("resource", row, |sql| {
        sql.column(row, "key = ").column(found, "key");
    });
    sql.push(" ORDER BY ").column(row, "key");
    sql
}
