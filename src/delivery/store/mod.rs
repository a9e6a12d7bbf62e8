//! SQL of deliveries and attempts: enqueue, claim, settle, read.
//!
//! A worker owns a row from claim to settle by its lease epoch. Everything it writes names the epoch; no
//! row changed means the lease is lost, and then nothing is written. Lease ends are read from the injected
//! clock on SQLite, where one process owns the database, and from the database's clock on PostgreSQL,
//! where several gateways must agree.

mod row;

use std::time::Duration;

use sqlx::QueryBuilder;

use super::model::{Attempt, AttemptOutcome, Delivery, DeliveryStatus, NewDelivery};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Dialect, ROWS_PER_INSERT, Tx, on_db};
use crate::id::{AttemptId, DeliveryId, UploadId};
use crate::report::{self, Report, StreamFields};
use row::{AttemptRow, DeliveryRow, UploadRow};

/// The columns of a [`DeliveryRow`].
macro_rules! columns {
    () => {
        "id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, lease_epoch, trace, \
         location"
    };
}
/// Nanoseconds since 1970 by the clock of PostgreSQL.
macro_rules! postgres_now {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000000)::bigint"
    };
}

const ENQUEUE: &str = "INSERT INTO delivery \
     (id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, lease_epoch, trace, created_at) ";
const ON_CONFLICT_KEEP: &str = " ON CONFLICT (upload_id, target, path) DO NOTHING";
const REPEAT: &str = "INSERT INTO delivery \
     (id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, lease_epoch, trace, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, 0, 0, $9, $8) \
     ON CONFLICT (upload_id, target, path) DO UPDATE SET status = 'pending', cause = excluded.cause, \
     due_at = excluded.due_at, attempts = 0, trace = excluded.trace, settled_at = NULL \
     WHERE delivery.status NOT IN ('pending', 'leased', 'waiting') AND delivery.tenant = excluded.tenant \
     RETURNING id";
/// The targets that something is due at `$now`: one step through the index for each target, however much waits.
macro_rules! targets_due {
    ($($due:tt)+) => {
        concat!(
            "WITH RECURSIVE waiting (target) AS (SELECT MIN(target) FROM delivery WHERE settled_at IS NULL \
             UNION ALL SELECT (SELECT MIN(target) FROM delivery WHERE settled_at IS NULL AND target > waiting.target) \
             FROM waiting WHERE waiting.target IS NOT NULL) \
             SELECT target FROM waiting WHERE target IS NOT NULL AND EXISTS (SELECT 1 FROM delivery \
             WHERE settled_at IS NULL AND delivery.target = waiting.target AND ",
            $($due)+,
            ")"
        )
    };
}
const TARGETS_DUE_SQLITE: &str = targets_due!("due_at <= $1");
/// What is due on PostgreSQL: a lease by the clock of the database, on which all gateways agree, the rest by ours.
/// The first condition lets the index be used.
macro_rules! postgres_due {
    ($now:literal) => {
        concat!(
            "due_at <= GREATEST(",
            $now,
            ", ",
            postgres_now!(),
            ") AND ((status = 'leased' AND due_at <= ",
            postgres_now!(),
            ") OR (status <> 'leased' AND due_at <= ",
            $now,
            "))"
        )
    };
}
const TARGETS_DUE_POSTGRES: &str = targets_due!(postgres_due!("$1"));
const CLAIM_SQLITE: &str = concat!(
    "UPDATE delivery SET status = 'leased', lease_owner = $1, due_at = $3 + $5, lease_epoch = lease_epoch + 1 \
     WHERE id IN (SELECT id FROM delivery WHERE settled_at IS NULL AND target = $2 AND due_at <= $3 \
     ORDER BY due_at, id LIMIT $4) RETURNING ",
    columns!()
);
// Materialized: a planner that ran the sub-select once per row would take more than the limit.
const CLAIM_POSTGRES: &str = concat!(
    "WITH due AS MATERIALIZED (SELECT id FROM delivery WHERE settled_at IS NULL AND target = $2 \
     AND ",
    postgres_due!("$3"),
    " ORDER BY due_at, id LIMIT $4 FOR UPDATE SKIP LOCKED) \
     UPDATE delivery SET status = 'leased', lease_owner = $1, due_at = ",
    postgres_now!(),
    " + $5, lease_epoch = lease_epoch + 1 WHERE id IN (SELECT id FROM due) RETURNING ",
    columns!()
);
const RENEW_SQLITE: &str = "UPDATE delivery SET due_at = $3 + $4 \
     WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'";
const RENEW_POSTGRES: &str = concat!(
    "UPDATE delivery SET due_at = ",
    postgres_now!(),
    " + $3 WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'"
);
const SETTLE: &str = "UPDATE delivery SET status = $3, due_at = $4, location = COALESCE($5, location), \
     settled_at = $6, attempts = attempts + 1, lease_owner = NULL \
     WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'";
const INSERT_ATTEMPT: &str = "INSERT INTO attempt (id, tenant, owner, delivery_id, upload_id, target, number, \
     cause, status, location, issue, size_bytes, started_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, \
     (SELECT COALESCE(MAX(number), 0) + 1 FROM attempt WHERE delivery_id = $4), \
     $7, $8, $9, $10, $11, $12, $13)";
const PARK: &str = "UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' ELSE 'waiting' END, \
     due_at = $3, lease_owner = NULL \
     WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'";
const FREE_ALL_LEASES: &str = "UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' \
     ELSE 'waiting' END, due_at = $1, lease_epoch = lease_epoch + 1, lease_owner = NULL \
     WHERE status = 'leased'";
const CANCEL: &str = "UPDATE delivery SET status = 'cancelled', settled_at = $3, lease_owner = NULL \
     WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($4, owner) \
     AND status IN ('pending', 'leased', 'waiting', 'held')";
// `settled_at` takes it out of what workers look at.
const HOLD: &str = "UPDATE delivery SET status = 'held', settled_at = $3 \
     WHERE upload_id = $1 AND tenant = $2 AND status = 'pending'";
const RELEASE: &str = "UPDATE delivery SET status = 'pending', due_at = $3, settled_at = NULL \
     WHERE upload_id = $1 AND tenant = $2 AND status = 'held'";
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM delivery WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) ORDER BY created_at, id"
);
const ATTEMPTS: &str = "SELECT id, delivery_id, target, number, cause, status, location, issue, size_bytes, \
     started_at, ended_at FROM attempt \
     WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) ORDER BY ended_at, number, id";
const COUNTS: &str = "SELECT status, COUNT(*) FROM delivery WHERE tenant = $1 AND owner = COALESCE($2, owner) \
     GROUP BY status";
const UPLOAD: &str = "SELECT id, tenant, owner, manifest, data_stream_id, data_stream_route \
     FROM upload WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";

/// Every fixed statement of this store, and the database it is for if there is only one.
#[cfg(test)]
pub(super) const STATEMENTS: &[(&str, Option<Dialect>)] = &[
    (REPEAT, None),
    (TARGETS_DUE_SQLITE, Some(Dialect::Sqlite)),
    (TARGETS_DUE_POSTGRES, Some(Dialect::Postgres)),
    (CLAIM_SQLITE, Some(Dialect::Sqlite)),
    (CLAIM_POSTGRES, Some(Dialect::Postgres)),
    (RENEW_SQLITE, Some(Dialect::Sqlite)),
    (RENEW_POSTGRES, Some(Dialect::Postgres)),
    (SETTLE, None),
    (INSERT_ATTEMPT, None),
    (PARK, None),
    (FREE_ALL_LEASES, None),
    (CANCEL, None),
    (HOLD, None),
    (RELEASE, None),
    (LIST, None),
    (ATTEMPTS, None),
    (COUNTS, None),
    (UPLOAD, None),
];

/// What a worker needs to know of the upload it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CarriedUpload {
    /// The manifest, a JSON object of strings, as stored.
    pub(crate) manifest: Vec<u8>,
    /// What a report about it repeats.
    pub(crate) stream: StreamFields,
}

/// How an attempt ended and what comes next, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Settlement {
    /// The delivery as it was claimed.
    pub(super) delivery: Delivery,
    /// How the attempt ended.
    pub(super) outcome: AttemptOutcome,
    /// When it began and ended.
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
    /// Delivered, waiting or dead.
    pub(super) next: DeliveryStatus,
    /// When the next attempt is due, if there is one.
    pub(super) due_at: Timestamp,
    /// The report on it, with what it repeats of the upload; none if the upload is gone.
    pub(super) report: Option<(StreamFields, Report)>,
}

/// What came of asking for a delivery again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// It will be made.
    Queued(DeliveryId),
    /// It is already waiting for a worker, or a worker has it.
    AlreadyUnderWay,
}

/// Inserts deliveries, due at `now`; one that exists already stays as it is.
///
/// *Idempotence*: per upload, target and path.
pub(crate) async fn enqueue(
    tx: &mut Tx<'_>,
    deliveries: &[NewDelivery],
    now: Timestamp,
) -> Result<(), DbError> {
    for deliveries in deliveries.chunks(ROWS_PER_INSERT) {
        on_db!(&mut *tx, conn => {
            let mut insert = QueryBuilder::<Driver>::new(ENQUEUE);
            insert.push_values(deliveries, |mut row, delivery| {
                row.push_bind(DeliveryId::new().to_string())
                    .push_bind(&delivery.tenant)
                    .push_bind(&delivery.owner)
                    .push_bind(delivery.upload_id.to_string())
                    .push_bind(&delivery.target)
                    .push_bind(&delivery.path)
                    .push_bind(DeliveryStatus::Pending.as_str())
                    .push_bind(delivery.cause.as_str())
                    .push_bind(now.as_nanos())
                    .push_bind(0_i64)
                    .push_bind(0_i64)
                    .push_bind(&delivery.trace)
                    .push_bind(now.as_nanos());
            });
            insert.push(ON_CONFLICT_KEEP);
            insert.build().execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Asks for a delivery once more, due at `now`; a path that was never delivered to gets a row of its own.
pub(crate) async fn repeat(
    tx: &mut Tx<'_>,
    delivery: &NewDelivery,
    now: Timestamp,
) -> Result<Repeated, DbError> {
    let id: Option<String> = on_db!(tx, conn => {
        sqlx::query_scalar(REPEAT)
            .bind(DeliveryId::new().to_string())
            .bind(&delivery.tenant)
            .bind(&delivery.owner)
            .bind(delivery.upload_id.to_string())
            .bind(&delivery.target)
            .bind(&delivery.path)
            .bind(delivery.cause.as_str())
            .bind(now.as_nanos())
            .bind(&delivery.trace)
            .fetch_optional(conn)
            .await
    })?;
    let Some(id) = id else { return Ok(Repeated::AlreadyUnderWay) };
    let id = id.parse().map_err(|_| DbError::inconsistent("delivery", "id", id))?;
    Ok(Repeated::Queued(id))
}

/// The targets that have deliveries due. Looks at all tenants: for the worker only.
pub(super) async fn targets_due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<String>, DbError> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => TARGETS_DUE_SQLITE,
        Dialect::Postgres => TARGETS_DUE_POSTGRES,
    };
    Ok(on_db!(tx, conn => sqlx::query_scalar(sql).bind(now.as_nanos()).fetch_all(conn).await)?)
}

/// Leases up to `limit` due deliveries to `target`, the longest due first, to `worker`.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    worker: &str,
    target: &str,
    now: Timestamp,
    limit: u32,
    lease: Duration,
) -> Result<Vec<Delivery>, DbError> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => CLAIM_SQLITE,
        Dialect::Postgres => CLAIM_POSTGRES,
    };
    let rows: Vec<DeliveryRow> = on_db!(tx, conn => {
        sqlx::query_as(sql)
            .bind(worker)
            .bind(target)
            .bind(now.as_nanos())
            .bind(i64::from(limit))
            .bind(nanos(lease))
            .fetch_all(conn)
            .await
    })?;
    let mut claimed = rows.into_iter().map(Delivery::try_from).collect::<Result<Vec<_>, _>>()?;
    // RETURNING promises no order; ids are in the order of their making.
    claimed.sort_by_key(|delivery| delivery.id);
    Ok(claimed)
}

/// Prolongs a lease; `false` if it is lost.
pub(super) async fn renew(
    tx: &mut Tx<'_>,
    delivery: &Delivery,
    now: Timestamp,
    lease: Duration,
) -> Result<bool, DbError> {
    let (id, epoch) = (delivery.id.to_string(), delivery.lease_epoch);
    let changed = match tx {
        Tx::Sqlite(conn) => {
            let query = sqlx::query(RENEW_SQLITE).bind(id).bind(epoch).bind(now.as_nanos());
            query.bind(nanos(lease)).execute(&mut **conn).await?.rows_affected()
        }
        Tx::Postgres(conn) => {
            let query = sqlx::query(RENEW_POSTGRES).bind(id).bind(epoch).bind(nanos(lease));
            query.execute(&mut **conn).await?.rows_affected()
        }
    };
    Ok(changed == 1)
}

/// Writes how an attempt ended: the delivery's next state, the attempt and its report. `false`, and nothing
/// written, if the lease is lost.
pub(super) async fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Result<bool, DbError> {
    let Settlement { delivery, outcome, started_at, ended_at, next, due_at, report } = settlement;
    let (status, location, issue, size_bytes) = match outcome {
        AttemptOutcome::Success { location, size_bytes } => {
            (AttemptRow::SUCCESS, Some(location), None, Some(i64::try_from(*size_bytes).unwrap_or(i64::MAX)))
        }
        AttemptOutcome::Failure { issue } => (AttemptRow::FAILURE, None, Some(issue), None),
    };
    let settled_at = (!next.is_under_way()).then_some(ended_at.as_nanos());
    let changed = on_db!(tx, conn => {
        sqlx::query(SETTLE)
            .bind(delivery.id.to_string())
            .bind(delivery.lease_epoch)
            .bind(next.as_str())
            .bind(due_at.as_nanos())
            .bind(location)
            .bind(settled_at)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    if changed == 0 {
        return Ok(false);
    }
    on_db!(tx, conn => {
        sqlx::query(INSERT_ATTEMPT)
            .bind(AttemptId::new().to_string())
            .bind(&delivery.tenant)
            .bind(&delivery.owner)
            .bind(delivery.id.to_string())
            .bind(delivery.upload_id.to_string())
            .bind(&delivery.target)
            .bind(delivery.cause.as_str())
            .bind(status)
            .bind(location)
            .bind(issue)
            .bind(size_bytes)
            .bind(started_at.as_nanos())
            .bind(ended_at.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    if let Some((stream, report)) = report {
        report::record(tx, stream, std::slice::from_ref(report)).await?;
    }
    Ok(true)
}

/// Gives a lease back without counting an attempt; `false` if it is lost already.
pub(super) async fn park(tx: &mut Tx<'_>, delivery: &Delivery, now: Timestamp) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(PARK)
            .bind(delivery.id.to_string())
            .bind(delivery.lease_epoch)
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Frees all leases, whoever has them, and returns how many there were. Only for a start on SQLite, where
/// the lock on the data folder proves that nobody else runs.
pub(crate) async fn free_all_leases(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query(FREE_ALL_LEASES).bind(now.as_nanos()).execute(conn).await.map(|done| done.rows_affected())
    })?)
}

/// Calls off what is under way for an upload, and returns how many deliveries that were. A worker that has
/// one finds its lease lost.
#[cfg_attr(not(test), expect(dead_code, reason = "terminating an upload will call its deliveries off"))]
pub(crate) async fn cancel(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    now: Timestamp,
) -> Result<u64, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query(CANCEL)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(now.as_nanos())
            .bind(access.owner())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?)
}

/// Keeps back what no worker has begun of an upload's deliveries, and returns how many those are.
pub(crate) async fn hold(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    now: Timestamp,
) -> Result<u64, DbError> {
    set_free_or_back(tx, HOLD, access, upload_id, now).await
}

/// Lets go what is held of an upload's deliveries, due at `now`, and returns how many those are.
pub(crate) async fn release(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    now: Timestamp,
) -> Result<u64, DbError> {
    set_free_or_back(tx, RELEASE, access, upload_id, now).await
}

async fn set_free_or_back(
    tx: &mut Tx<'_>,
    sql: &'static str,
    access: &Access,
    upload_id: UploadId,
    now: Timestamp,
) -> Result<u64, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query(sql)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?)
}

/// The deliveries of one upload, in the order in which they were first asked for.
#[cfg_attr(not(test), expect(dead_code, reason = "the view of deliveries comes with the dead-letter list"))]
pub(crate) async fn list(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
) -> Result<Vec<Delivery>, DbError> {
    let rows: Vec<DeliveryRow> = on_db!(tx, conn => {
        sqlx::query_as(LIST)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// The ended attempts of one upload, oldest first.
pub(crate) async fn attempts(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
) -> Result<Vec<Attempt>, DbError> {
    let rows: Vec<AttemptRow> = on_db!(tx, conn => {
        sqlx::query_as(ATTEMPTS)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(Attempt::try_from).collect()
}

/// How many deliveries stand where; a state without any is left out.
pub(crate) async fn counts(tx: &mut Tx<'_>, access: &Access) -> Result<Vec<(DeliveryStatus, u64)>, DbError> {
    let rows: Vec<(String, i64)> = on_db!(tx, conn => {
        sqlx::query_as(COUNTS).bind(access.tenant()).bind(access.owner()).fetch_all(conn).await
    })?;
    let count = |(status, count): (String, i64)| {
        let status = DeliveryStatus::parse(&status)
            .ok_or_else(|| DbError::inconsistent("delivery", "status", "of a count"))?;
        Ok((status, u64::try_from(count).unwrap_or(0)))
    };
    rows.into_iter().map(count).collect()
}

/// What a delivery has to know of its upload.
pub(super) async fn carried_upload(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
) -> Result<Option<CarriedUpload>, DbError> {
    let row: Option<UploadRow> = on_db!(tx, conn => {
        sqlx::query_as(UPLOAD)
            .bind(upload_id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(CarriedUpload::try_from).transpose()
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
