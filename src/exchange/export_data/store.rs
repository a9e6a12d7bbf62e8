//! SQL of bulk exports. What a worker writes names the epoch in which it took the job: once somebody else has it, or it
//! was removed, nothing is written any more.

use std::time::Duration;

use super::{ExportState, ExportStatus, FileKind, Job, MadeFile};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::id::{ExportFileId, ExportId};

const COUNT: &str =
    "SELECT COUNT(*) FROM export_job WHERE tenant = $1 AND owner = COALESCE($2, owner) AND state = 'running'";
const INSERT: &str = "INSERT INTO export_job (id, tenant, owner, request, transaction_time, state, epoch, attempts, \
     lease_until, resources) VALUES ($1, $2, $3, $4, $5, 'running', 0, 0, $6, 0)";
const FIND: &str = "SELECT request, transaction_time, state, resources, expires_at FROM export_job \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
const FILES: &str = "SELECT id, kind, type, resources, last_key FROM export_file \
     WHERE job = $1 AND tenant = $2 AND owner = COALESCE($3, owner) ORDER BY number";
const DUE: &str = "SELECT id, tenant, owner, request, transaction_time, epoch, attempts, resources FROM export_job \
     WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until, id LIMIT 1";
const CLAIM: &str = "UPDATE export_job SET epoch = epoch + 1, attempts = attempts + 1, lease_until = $3 \
     WHERE id = $1 AND epoch = $2 AND state = 'running'";
const RENEW: &str = "UPDATE export_job SET lease_until = $3, resources = $4 \
     WHERE id = $1 AND epoch = $2 AND state = 'running'";
const PROGRESS: &str = "UPDATE export_job SET lease_until = $3, resources = $4, attempts = 0 \
     WHERE id = $1 AND epoch = $2 AND state = 'running'";
const END: &str = "UPDATE export_job SET state = $3, resources = $4, expires_at = $5 \
     WHERE id = $1 AND epoch = $2 AND state = 'running'";
const INSERT_FILE: &str = "INSERT INTO export_file (job, number, tenant, owner, id, kind, type, resources, last_key) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const FREE_ALL_LEASES: &str = "UPDATE export_job SET lease_until = 0 WHERE state = 'running'";
const EXPIRE: &str = "DELETE FROM export_job WHERE expires_at <= $1";
const REMOVE: &str = "DELETE FROM export_job WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
const REMOVE_FILES: &str = "DELETE FROM export_file WHERE NOT EXISTS (SELECT 1 FROM export_job WHERE export_job.id = export_file.job)";
const IS_KNOWN: &str = "SELECT COUNT(*) FROM export_job WHERE id = $1";

/// Every statement of this store.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    COUNT,
    INSERT,
    FIND,
    FILES,
    DUE,
    CLAIM,
    RENEW,
    PROGRESS,
    END,
    INSERT_FILE,
    FREE_ALL_LEASES,
    EXPIRE,
    REMOVE,
    REMOVE_FILES,
    IS_KNOWN,
];

/// A job that waits for a worker, as its row has it.
#[derive(sqlx::FromRow)]
struct JobRow {
    id: String,
    tenant: String,
    owner: String,
    request: String,
    transaction_time: i64,
    epoch: i64,
    attempts: i64,
    resources: i64,
}

impl TryFrom<JobRow> for Job {
    type Error = DbError;

    fn try_from(row: JobRow) -> Result<Self, DbError> {
        let inconsistent = |column| DbError::inconsistent("export_job", column, &row.id);
        Ok(Self {
            id: row.id.parse().map_err(|_| inconsistent("id"))?,
            request: serde_json::from_str(&row.request).map_err(|_| inconsistent("request"))?,
            resources: u64::try_from(row.resources).map_err(|_| inconsistent("resources"))?,
            transaction_time: Timestamp::from_nanos(row.transaction_time),
            tenant: row.tenant,
            owner: row.owner,
            epoch: row.epoch,
            attempts: row.attempts,
        })
    }
}

#[derive(sqlx::FromRow)]
struct StatusRow {
    request: String,
    transaction_time: i64,
    state: String,
    resources: i64,
    expires_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct FileRow {
    id: String,
    kind: String,
    r#type: String,
    resources: i64,
    last_key: Option<i64>,
}

impl TryFrom<FileRow> for MadeFile {
    type Error = DbError;

    fn try_from(row: FileRow) -> Result<Self, DbError> {
        let inconsistent = |column| DbError::inconsistent("export_file", column, &row.id);
        let kind = [FileKind::Output, FileKind::Deleted].into_iter().find(|kind| kind.as_str() == row.kind);
        Ok(Self {
            id: row.id.parse().map_err(|_| inconsistent("id"))?,
            kind: kind.ok_or_else(|| inconsistent("kind"))?,
            resources: u64::try_from(row.resources).map_err(|_| inconsistent("resources"))?,
            resource_type: row.r#type,
            last_key: row.last_key,
        })
    }
}

/// How many exports are being made or wait.
pub(super) async fn running(tx: &mut Tx<'_>, access: &Access) -> Result<i64, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_scalar(COUNT).bind(access.tenant()).bind(access.owner()).fetch_one(conn).await
    })?)
}

/// Adds a job. No worker takes it before `due`.
pub(super) async fn insert(tx: &mut Tx<'_>, job: &Job, due: Timestamp) -> Result<(), DbError> {
    let request = serde_json::to_string(&job.request)
        .map_err(|_| DbError::inconsistent("export_job", "request", job.id))?;
    on_db!(tx, conn => {
        sqlx::query(INSERT)
            .bind(job.id.to_string())
            .bind(&job.tenant)
            .bind(&job.owner)
            .bind(request)
            .bind(job.transaction_time.as_nanos())
            .bind(due.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Where an export is.
pub(super) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    id: ExportId,
) -> Result<Option<ExportStatus>, DbError> {
    let row: Option<StatusRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    let Some(row) = row else { return Ok(None) };
    let inconsistent = |column| DbError::inconsistent("export_job", column, id);
    let states = [ExportState::Running, ExportState::Complete, ExportState::Failed];
    Ok(Some(ExportStatus {
        request: serde_json::from_str(&row.request).map_err(|_| inconsistent("request"))?,
        transaction_time: Timestamp::from_nanos(row.transaction_time),
        state: states
            .into_iter()
            .find(|state| state.as_str() == row.state)
            .ok_or_else(|| inconsistent("state"))?,
        resources: u64::try_from(row.resources).map_err(|_| inconsistent("resources"))?,
        expires_at: row.expires_at.map(Timestamp::from_nanos),
        files: files(tx, access, id).await?,
    }))
}

/// The files that an export has made, in their order.
pub(super) async fn files(tx: &mut Tx<'_>, access: &Access, id: ExportId) -> Result<Vec<MadeFile>, DbError> {
    let rows: Vec<FileRow> = on_db!(tx, conn => {
        sqlx::query_as(FILES)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(MadeFile::try_from).collect()
}

/// The job that has waited longest for a worker.
pub(super) async fn due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Job>, DbError> {
    let row: Option<JobRow> =
        on_db!(tx, conn => sqlx::query_as(DUE).bind(now.as_nanos()).fetch_optional(conn).await)?;
    row.map(Job::try_from).transpose()
}

/// Takes a job; false if another worker was faster.
pub(super) async fn claim(tx: &mut Tx<'_>, job: &Job, lease_until: Timestamp) -> Result<bool, DbError> {
    changed(on_db!(tx, conn => {
        sqlx::query(CLAIM)
            .bind(job.id.to_string())
            .bind(job.epoch)
            .bind(lease_until.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    }))
}

/// Keeps a job, or gives it back with a moment that is over; false if it is not this worker's any more.
pub(super) async fn renew(tx: &mut Tx<'_>, job: &Job, lease_until: Timestamp) -> Result<bool, DbError> {
    hold(tx, RENEW, job, lease_until).await
}

/// Adds a file whose bytes are durable; false if the job is not this worker's any more.
pub(super) async fn add_file(
    tx: &mut Tx<'_>,
    job: &Job,
    (number, file): (u32, &MadeFile),
    lease_until: Timestamp,
) -> Result<bool, DbError> {
    if !hold(tx, PROGRESS, job, lease_until).await? {
        return Ok(false);
    }
    on_db!(tx, conn => {
        sqlx::query(INSERT_FILE)
            .bind(job.id.to_string())
            .bind(i64::from(number))
            .bind(&job.tenant)
            .bind(&job.owner)
            .bind(file.id.to_string())
            .bind(file.kind.as_str())
            .bind(&file.resource_type)
            .bind(number_of(file.resources))
            .bind(file.last_key)
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(true)
}

async fn hold(
    tx: &mut Tx<'_>,
    statement: &'static str,
    job: &Job,
    lease_until: Timestamp,
) -> Result<bool, DbError> {
    changed(on_db!(tx, conn => {
        sqlx::query(statement)
            .bind(job.id.to_string())
            .bind(job.epoch)
            .bind(lease_until.as_nanos())
            .bind(number_of(job.resources))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    }))
}

/// Ends a job; false if it is not this worker's any more.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    job: &Job,
    state: ExportState,
    (now, retention): (Timestamp, Duration),
) -> Result<bool, DbError> {
    changed(on_db!(tx, conn => {
        sqlx::query(END)
            .bind(job.id.to_string())
            .bind(job.epoch)
            .bind(state.as_str())
            .bind(number_of(job.resources))
            .bind(now.after(retention).as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    }))
}

/// Frees the jobs of workers that are surely gone.
pub(super) async fn free_all_leases(tx: &mut Tx<'_>) -> Result<(), DbError> {
    on_db!(tx, conn => sqlx::query(FREE_ALL_LEASES).execute(conn).await.map(drop))?;
    Ok(())
}

/// Removes exports whose time is over; how many.
pub(super) async fn expire(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, DbError> {
    let removed = on_db!(tx, conn => {
        sqlx::query(EXPIRE).bind(now.as_nanos()).execute(conn).await.map(|done| done.rows_affected())
    })?;
    if removed > 0 {
        remove_files(tx).await?;
    }
    Ok(removed)
}

/// Removes an export; false if there is none.
pub(super) async fn remove(tx: &mut Tx<'_>, access: &Access, id: ExportId) -> Result<bool, DbError> {
    let removed = changed(on_db!(tx, conn => {
        sqlx::query(REMOVE)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    }))?;
    if removed {
        remove_files(tx).await?;
    }
    Ok(removed)
}

async fn remove_files(tx: &mut Tx<'_>) -> Result<(), DbError> {
    on_db!(tx, conn => sqlx::query(REMOVE_FILES).execute(conn).await.map(drop))?;
    Ok(())
}

/// Whether an export still has its row; for the removal of its files.
pub(super) async fn is_known(tx: &mut Tx<'_>, id: ExportId) -> Result<bool, DbError> {
    let rows: i64 =
        on_db!(tx, conn => sqlx::query_scalar(IS_KNOWN).bind(id.to_string()).fetch_one(conn).await)?;
    Ok(rows > 0)
}

/// The row of a file that may be read.
pub(super) async fn find_file(
    tx: &mut Tx<'_>,
    access: &Access,
    id: ExportId,
    file: ExportFileId,
) -> Result<Option<MadeFile>, DbError> {
    // An export that is not complete has no files yet, whatever lies there.
    let status = find(tx, access, id).await?.filter(|status| status.state == ExportState::Complete);
    Ok(status.and_then(|status| status.files.into_iter().find(|made| made.id == file)))
}

fn changed(rows: Result<u64, sqlx::Error>) -> Result<bool, DbError> {
    Ok(rows? > 0)
}

fn number_of(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
