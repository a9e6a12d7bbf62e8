//! The rows of resources: reading one, and what all other files of this folder share. `keep` changes them, `history`
//! lists versions, `search` and `include` find them through the index.

mod history;
mod include;
mod keep;
mod search;
mod statement;

use super::entry::Space;
use super::model::{Change, StoredResource};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Dialect, Tx, on_db};

pub(super) use history::history;
#[cfg(test)]
pub(super) use history::page as history_page;
#[cfg(test)]
pub(super) use include::{references, referring_resources, resources};
pub(super) use include::{referred, referring};
pub(super) use keep::{delete, keep};
#[cfg(test)]
pub(super) use search::{Plan, Way, pages, plan, search_by};
pub(super) use search::{matches, search};
#[cfg(test)]
pub(super) use statement::explain;

const READ: &str = "SELECT key, type, id, version, last_updated, change, bytes, content FROM resource \
     WHERE kind = $1 AND id = $2 AND tenant = $3 AND owner = COALESCE($4, owner)";
const READ_POSTGRES: &str = "SELECT key, type, id, version, last_updated, change, bytes, content FROM resource \
     WHERE kind = $1 AND id = $2 AND tenant = $3 AND owner = COALESCE($4, owner) FOR UPDATE";
const READ_VERSION: &str = "SELECT key, type, id, version, last_updated, change, bytes, content FROM resource \
     WHERE kind = $1 AND id = $2 AND tenant = $3 AND owner = COALESCE($4, owner) AND version = $5 \
     UNION ALL SELECT r.key, r.type, r.id, h.version, h.last_updated, h.change, h.bytes, h.content \
     FROM resource r JOIN resource_history h ON h.resource = r.key \
     WHERE r.kind = $1 AND r.id = $2 AND r.tenant = $3 AND r.owner = COALESCE($4, r.owner) AND h.version = $5";

const DELETED: &str = "SELECT key, type, id, version, last_updated, change, bytes, content FROM resource \
     WHERE kind = $1 AND content IS NULL AND tenant = $2 AND owner = COALESCE($3, owner) \
     AND last_updated > $4 AND last_updated <= $5 AND key > $6 ORDER BY key LIMIT $7";

/// Every fixed statement of this store, and the database it is for if there is only one.
#[cfg(test)]
pub(super) const STATEMENTS: &[(&str, Option<crate::db::Dialect>)] = &[
    (READ, None),
    (READ_POSTGRES, Some(Dialect::Postgres)),
    (READ_VERSION, None),
    (DELETED, None),
    (keep::LOOK_SQLITE, Some(Dialect::Sqlite)),
    (keep::LOOK_POSTGRES, Some(Dialect::Postgres)),
    (keep::SUPERSEDE, None),
    (keep::REPLACE, None),
    (search::LOCK_POSTGRES, Some(Dialect::Postgres)),
];

/// One version of a resource as its row has it.
#[derive(Debug, sqlx::FromRow)]
struct ResourceRow {
    key: i64,
    r#type: String,
    id: String,
    version: i64,
    last_updated: i64,
    change: String,
    bytes: Option<String>,
    content: Option<Vec<u8>>,
}

impl TryFrom<ResourceRow> for StoredResource {
    type Error = DbError;

    fn try_from(row: ResourceRow) -> Result<Self, DbError> {
        let inconsistent = |column| DbError::inconsistent("resource", column, row.key);
        Ok(Self {
            key: row.key,
            version: u64::try_from(row.version).map_err(|_| inconsistent("version"))?,
            change: change_of(&row.change).ok_or_else(|| inconsistent("change"))?,
            bytes: match &row.bytes {
                Some(id) => Some(id.parse().map_err(|_| inconsistent("bytes"))?),
                None => None,
            },
            resource_type: row.r#type,
            id: row.id,
            last_updated: Timestamp::from_nanos(row.last_updated),
            content: row.content.map(Into::into),
        })
    }
}

fn change_of(text: &str) -> Option<Change> {
    [Change::Create, Change::Update, Change::Delete].into_iter().find(|change| column_of(*change) == text)
}

fn column_of(change: Change) -> &'static str {
    match change {
        Change::Create => "create",
        Change::Update => "update",
        Change::Delete => "delete",
    }
}

fn number_of(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// The current version of a resource; a deleted one comes without content.
pub(super) async fn read(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
) -> Result<Option<StoredResource>, DbError> {
    one(tx, access, (resource_type, id), READ).await
}

/// The same, and nobody else changes it until the unit ends: SQLite has one writer at a time, PostgreSQL locks the row.
pub(super) async fn read_to_change(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
) -> Result<Option<StoredResource>, DbError> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => READ,
        Dialect::Postgres => READ_POSTGRES,
    };
    one(tx, access, (resource_type, id), sql).await
}

async fn one(
    tx: &mut Tx<'_>,
    access: &Access,
    (resource_type, id): (&str, &str),
    sql: &'static str,
) -> Result<Option<StoredResource>, DbError> {
    let kind = Space::of_type(access.tenant(), resource_type);
    let row: Option<ResourceRow> = on_db!(tx, conn => {
        sqlx::query_as(sql)
            .bind(kind.as_i64())
            .bind(id)
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(StoredResource::try_from).transpose()
}

/// One version of a resource, the current one included.
pub(super) async fn read_version(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
    version: u64,
) -> Result<Option<StoredResource>, DbError> {
    let kind = Space::of_type(access.tenant(), resource_type);
    let row: Option<ResourceRow> = on_db!(tx, conn => {
        sqlx::query_as(READ_VERSION)
            .bind(kind.as_i64())
            .bind(id)
            .bind(access.tenant())
            .bind(access.owner())
            .bind(number_of(version))
            .fetch_optional(conn)
            .await
    })?;
    row.map(StoredResource::try_from).transpose()
}

/// Resources of a type that were deleted in a stretch of time, from a row on.
pub(super) async fn deleted(
    tx: &mut Tx<'_>,
    access: &Access,
    kind: Space,
    (since, until): (Timestamp, Timestamp),
    after: i64,
    limit: u32,
) -> Result<Vec<StoredResource>, DbError> {
    let rows: Vec<ResourceRow> = on_db!(tx, conn => {
        sqlx::query_as(DELETED)
            .bind(kind.as_i64())
            .bind(access.tenant())
            .bind(access.owner())
            .bind(since.as_nanos())
            .bind(until.as_nanos())
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(StoredResource::try_from).collect()
}
