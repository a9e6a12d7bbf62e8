//! SQL of the audit trail: rows are added and read, never changed.

use super::{AuditOutcome, Entry};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::id::AuditId;

const INSERT: &str =
    "INSERT INTO audit (id, tenant, owner, at, action, outcome, entity, detail, request_id) ";
const LIST: &str = "SELECT id, at, action, outcome, entity, detail, request_id FROM audit \
     WHERE tenant = $1 AND owner = COALESCE($2, owner) ORDER BY at DESC, id DESC LIMIT $3";

/// Every fixed statement of this store.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LIST];

/// An entry as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEntry {
    /// When.
    pub(crate) at: Timestamp,
    /// What was done.
    pub(crate) action: String,
    /// Whether it was done.
    pub(crate) outcome: AuditOutcome,
    /// To what.
    pub(crate) entity: Option<String>,
    /// Fixed codes, separated by spaces.
    pub(crate) detail: Option<String>,
    /// The request that asked for it.
    pub(crate) request_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: String,
    at: i64,
    action: String,
    outcome: String,
    entity: Option<String>,
    detail: Option<String>,
    request_id: Option<String>,
}

impl TryFrom<EntryRow> for StoredEntry {
    type Error = DbError;

    fn try_from(row: EntryRow) -> Result<Self, DbError> {
        let outcome = [AuditOutcome::Success, AuditOutcome::Refused]
            .into_iter()
            .find(|outcome| outcome.as_str() == row.outcome)
            .ok_or_else(|| DbError::inconsistent("audit", "outcome", &row.id))?;
        let EntryRow { at, action, entity, detail, request_id, .. } = row;
        Ok(Self { at: Timestamp::from_nanos(at), action, outcome, entity, detail, request_id })
    }
}

/// Records one entry.
pub(crate) async fn record(tx: &mut Tx<'_>, entry: &Entry) -> Result<(), DbError> {
    record_all(tx, std::slice::from_ref(entry)).await
}

/// Records entries, many with one statement.
pub(crate) async fn record_all(tx: &mut Tx<'_>, entries: &[Entry]) -> Result<(), DbError> {
    for some in entries.chunks(ROWS_PER_INSERT) {
        later_on_db!(tx, insert => {
            insert.push(INSERT).push_values(some, |mut row, entry| {
                let detail = (!entry.detail.is_empty()).then(|| entry.detail.join(" "));
                row.push_bind(AuditId::new().to_string())
                    .push_bind(&entry.tenant)
                    .push_bind(&entry.owner)
                    .push_bind(entry.at.as_nanos())
                    .push_bind(entry.action)
                    .push_bind(entry.outcome.as_str())
                    .push_bind(&entry.entity)
                    .push_bind(detail)
                    .push_bind(&entry.request_id);
            });
        })?;
    }
    Ok(())
}

/// The newest entries, newest first.
#[cfg_attr(not(test), expect(dead_code, reason = "the view of the audit trail comes with authentication"))]
pub(crate) async fn list(tx: &mut Tx<'_>, access: &Access, limit: u32) -> Result<Vec<StoredEntry>, DbError> {
    let rows: Vec<EntryRow> = on_db!(tx, conn => {
        sqlx::query_as(LIST)
            .bind(access.tenant())
            .bind(access.owner())
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(StoredEntry::try_from).collect()
}
