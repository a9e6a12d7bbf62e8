//! SQL of the reports. Rows are only ever added, or replaced where the stage says so; their sequence is
//! the order in which they became true. One statement writes all reports of a call. What the sinks have is in
//! [`outbox`].

pub(super) mod outbox;

use sqlx::QueryBuilder;

use super::{Report, StreamFields};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::id::UploadId;

const FORGET: &str = "DELETE FROM report WHERE upload_id = ";
const INSERT: &str = "INSERT INTO report (tenant, owner, upload_id, stage, body, created_at) ";
const LIST: &str = "SELECT sequence, stage, body, created_at FROM report \
     WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) ORDER BY sequence";

const REMOVE: &str = "DELETE FROM report WHERE sequence IN (";

/// Every fixed statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LIST];

/// A report as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredReport {
    /// Its place among all reports of the gateway.
    pub(crate) sequence: i64,
    /// The stage's name on the wire.
    pub(crate) stage: String,
    /// The whole envelope, as JSON.
    pub(crate) body: Vec<u8>,
    /// When the stage ended.
    pub(crate) created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    sequence: i64,
    stage: String,
    body: Vec<u8>,
    created_at: i64,
}

impl From<ReportRow> for StoredReport {
    fn from(row: ReportRow) -> Self {
        let ReportRow { sequence, stage, body, created_at } = row;
        Self { sequence, stage, body, created_at: Timestamp::from_nanos(created_at) }
    }
}

pub(super) async fn record(
    tx: &mut Tx<'_>,
    stream: &StreamFields,
    reports: &[Report],
) -> Result<(), DbError> {
    if reports.is_empty() {
        return Ok(());
    }
    let upload_id = stream.upload_id.to_string();
    for report in reports.iter().filter(|report| report.stage.replaces()) {
        later_on_db!(tx, forget => {
            forget.push(FORGET).push_bind(&upload_id);
            forget.push(" AND stage = ").push_bind(report.stage.name());
            forget.push(" AND tenant = ").push_bind(&stream.tenant);
        })?;
    }
    later_on_db!(tx, insert => {
        insert.push(INSERT).push_values(reports, |mut row, report| {
            row.push_bind(&stream.tenant)
                .push_bind(&stream.owner)
                .push_bind(&upload_id)
                .push_bind(report.stage.name())
                .push_bind(report.to_wire(stream))
                .push_bind(report.ended_at.as_nanos());
        });
    })?;
    Ok(())
}

/// The reports of one upload, in the order in which they became true.
pub(crate) async fn list(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
) -> Result<Vec<StoredReport>, DbError> {
    let rows: Vec<ReportRow> = on_db!(tx, conn => {
        sqlx::query_as(LIST)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_all(conn)
            .await
    })?;
    Ok(rows.into_iter().map(StoredReport::from).collect())
}

/// Removes reports by their numbers; returns how many there were. Whether nobody needs them any more is for the caller
/// to know.
pub(crate) async fn remove(tx: &mut Tx<'_>, sequences: &[i64]) -> Result<u64, DbError> {
    let mut removed = 0;
    for sequences in sequences.chunks(ROWS_PER_INSERT) {
        removed += on_db!(&mut *tx, conn => {
            let mut query = QueryBuilder::<Driver>::new(REMOVE);
            let mut list = query.separated(", ");
            for sequence in sequences {
                list.push_bind(*sequence);
            }
            list.push_unseparated(")");
            query.build().execute(conn).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(removed)
}
