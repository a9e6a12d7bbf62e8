//! SQL of deliveries and attempts: enqueue, claim, settle, read.
//!
//! A worker owns a row from claim to settle by its lease epoch. Everything it writes names the epoch; no row changed
//! means the lease is lost, and then nothing is written. Only what was called off too late is still settled, as
//! delivered. Lease ends are read from the injected clock on SQLite, where one process owns the database, and from the
//! database's clock on PostgreSQL, where several gateways must agree.

mod leftover;
mod order;
mod retention;
mod row;
mod search;
mod statement;

use std::time::Duration;

use super::model::{Attempt, AttemptOutcome, Delivery, DeliveryStatus, NewDelivery};
use crate::agenda::{self, Errand, NewItem};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Dialect, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::id::{AttemptId, DeliveryId, UploadId};
use crate::report::{self, Report, StreamFields};
#[cfg(test)]
pub(super) use statement::STATEMENTS;

pub(super) use leftover::{Leftover, forget_leftover, leftovers};
pub(crate) use order::{CallOff, Order, cancel_ordered, followed, is_ordered_under_way};
pub(crate) use retention::remove_settled;
use row::{AttemptRow, DeliveryRow, Header, UploadRow};
pub(crate) use search::{DeliveryFilter, FoundDelivery, count, requeue, search};
use statement::{
    ATTEMPTS, CALL_UP, CANCEL, CLAIM_POSTGRES, CLAIM_SQLITE, COUNTS, ENQUEUE, FIND, FREE_ALL_LEASES, HOLD,
    INSERT_ATTEMPT, KEEP_PROGRESS, LIST, NEXT_NUMBER, ON_CONFLICT_KEEP, PARK, PUT_OFF_POSTGRES,
    PUT_OFF_SQLITE, RELEASE, RENEW_POSTGRES, RENEW_SQLITE, REPEAT, SETTLE, TARGETS_DUE_POSTGRES,
    TARGETS_DUE_SQLITE, UPLOAD,
};

/// How long a delivery is put off that waits for others of its order: so long it waits at most where nobody calls it up
/// because what went before it was called off.
const PUT_OFF_FOR: Duration = Duration::from_mins(1);

/// What a worker needs to know of the upload it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CarriedUpload {
    /// The manifest, a JSON object of strings, as stored.
    pub(crate) manifest: Vec<u8>,
    /// The media type, if one is known.
    pub(crate) media_type: Option<String>,
    /// What a report about it repeats.
    pub(crate) stream: StreamFields,
    /// How often this delivery of it has succeeded.
    pub(crate) delivered_before: u32,
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
        later_on_db!(&mut *tx, insert => {
            insert.push(ENQUEUE).push_values(deliveries, |mut row, delivery| {
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
                    .push_bind(now.as_nanos())
                    .push_bind(&delivery.ordering_key)
                    .push_bind(Header::of(delivery))
                    .push_bind(&delivery.followed_by);
            });
            insert.push(ON_CONFLICT_KEEP);
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
    if claimed.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
        put_off(tx, target, now).await?;
    }
    // RETURNING promises no order; ids are in the order of their making.
    claimed.sort_by_key(|delivery| delivery.id);
    Ok(claimed)
}

/// Takes what is due at a target and must wait for others of its order out of what is looked at for a while, so that a
/// long backlog behind one delivery costs something once and not with every claim. [`call_up`] brings it back.
async fn put_off(tx: &mut Tx<'_>, target: &str, now: Timestamp) -> Result<(), DbError> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => PUT_OFF_SQLITE,
        Dialect::Postgres => PUT_OFF_POSTGRES,
    };
    Ok(on_db!(tx, conn => {
        let query = sqlx::query(sql).bind(target).bind(now.as_nanos()).bind(nanos(PUT_OFF_FOR));
        query.execute(conn).await.map(drop)
    })?)
}

/// The delivery has ended: makes the next one of its order due at `now`.
async fn call_up(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<(), DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query(CALL_UP).bind(id).bind(now.as_nanos()).execute(conn).await.map(drop)
    })?)
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
        Tx::Sqlite(tx) => {
            let query = sqlx::query(RENEW_SQLITE).bind(id).bind(epoch).bind(now.as_nanos());
            query.bind(nanos(lease)).execute(tx.conn().await?).await?.rows_affected()
        }
        Tx::Postgres(conn) => {
            let query = sqlx::query(RENEW_POSTGRES).bind(id).bind(epoch).bind(nanos(lease));
            query.execute(&mut **conn).await?.rows_affected()
        }
    };
    Ok(changed == 1)
}

/// Writes how an attempt ended: the delivery's next state, the attempt and its report. `false`, and nothing
/// written, if the lease is lost. What was called off while it succeeded is delivered all the same.
pub(super) async fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> Result<bool, DbError> {
    let Settlement { delivery, outcome, started_at, ended_at, next, due_at, report } = settlement;
    let (status, location, issue, size_bytes) = match outcome {
        AttemptOutcome::Success { location, size_bytes, remark } => {
            (AttemptRow::SUCCESS, Some(location), remark.as_ref(), Some(*size_bytes))
        }
        AttemptOutcome::Failure { issue, read_bytes } => {
            (AttemptRow::FAILURE, None, Some(issue), *read_bytes)
        }
    };
    let size_bytes = size_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
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
    let id = delivery.id.to_string();
    later_on_db!(tx, insert => {
        insert.push(INSERT_ATTEMPT).push_values([delivery], |mut row, delivery| {
            row.push_bind(AttemptId::new().to_string())
                .push_bind(&delivery.tenant)
                .push_bind(&delivery.owner)
                .push_bind(&id)
                .push_bind(delivery.upload_id.to_string())
                .push_bind(&delivery.target)
                .push(NEXT_NUMBER)
                .push_bind_unseparated(&id)
                .push_unseparated(")")
                .push_bind(delivery.cause.as_str())
                .push_bind(status)
                .push_bind(location)
                .push_bind(issue)
                .push_bind(size_bytes)
                .push_bind(started_at.as_nanos())
                .push_bind(ended_at.as_nanos());
        });
    })?;
    if delivery.is_ordered && settled_at.is_some() {
        call_up(tx, &id, *ended_at).await?;
    }
    if let Some((stream, report)) = report {
        report::record(tx, stream, std::slice::from_ref(report)).await?;
    }
    if delivery.followed_by.is_some() && !next.is_under_way() {
        let item = NewItem {
            tenant: delivery.tenant.clone(),
            owner: delivery.owner.clone(),
            errand: Errand::FollowDelivery,
            subject: delivery.id.to_string(),
            version: 0,
            due_at: *ended_at,
        };
        agenda::add(tx, &[item]).await?;
    }
    Ok(true)
}

/// One delivery.
pub(crate) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    id: DeliveryId,
) -> Result<Option<Delivery>, DbError> {
    let row: Option<DeliveryRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(Delivery::try_from).transpose()
}

/// Keeps what an attempt leaves for the next one; `false` if the lease is lost.
pub(super) async fn keep_progress(
    tx: &mut Tx<'_>,
    (id, lease_epoch): (DeliveryId, i64),
    state: &[u8],
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(KEEP_PROGRESS)
            .bind(id.to_string())
            .bind(lease_epoch)
            .bind(state)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
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
/// one finds its lease lost, unless the target has it by then.
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
    delivery: &Delivery,
) -> Result<Option<CarriedUpload>, DbError> {
    let row: Option<UploadRow> = on_db!(tx, conn => {
        sqlx::query_as(UPLOAD)
            .bind(delivery.upload_id.to_string())
            .bind(&delivery.tenant)
            .bind(delivery.id.to_string())
            .fetch_optional(conn)
            .await
    })?;
    row.map(CarriedUpload::try_from).transpose()
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
