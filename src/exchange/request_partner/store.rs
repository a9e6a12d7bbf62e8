//! SQL of the requests to partners.

use super::PartnerRequest;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::id::TaskRequestId;

const INSERT: &str = "INSERT INTO request (id, tenant, owner, task_id, partner, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const FIND: &str = "SELECT id, task_id, partner, place, sent_at, poll_at FROM request \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
const SENT: &str = "UPDATE request SET place = $4, sent_at = $5, poll_at = $6 \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";
/// The outer condition on `poll_at` is what keeps a second one, who waited for the row, from claiming it too.
const CLAIM: &str = "UPDATE request SET poll_at = $5 WHERE poll_at <= $4 AND id IN (SELECT id FROM request \
     WHERE tenant = $1 AND owner = COALESCE($2, owner) AND partner = $3 AND poll_at <= $4 \
     ORDER BY CASE WHEN id = $6 THEN 0 ELSE 1 END, poll_at, id LIMIT $7) \
     RETURNING id, task_id, partner, place, sent_at, poll_at";
const LOOKED: &str = "UPDATE request SET place = COALESCE($5, place), poll_at = $6 \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) AND poll_at = $4";
const RESUME: &str = "UPDATE request SET poll_at = $4 \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)";

/// Writes nothing new; whoever else writes the row waits until the unit ends.
const HOLD: &str = "UPDATE request SET poll_at = poll_at \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) RETURNING poll_at";
const HASTEN: &str = "UPDATE request SET poll_at = $4 WHERE tenant = $1 AND partner = COALESCE($2, partner) \
     AND place = $3 AND poll_at > $4 RETURNING id";

/// Every statement of this store.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, SENT, CLAIM, LOOKED, RESUME, HOLD, HASTEN];

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    task_id: String,
    partner: String,
    place: Option<String>,
    sent_at: Option<i64>,
    poll_at: Option<i64>,
}

impl TryFrom<Row> for PartnerRequest {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id.parse().map_err(|_| DbError::inconsistent("request", "id", &row.id))?,
            task_id: row.task_id,
            partner: row.partner,
            place: row.place,
            sent_at: row.sent_at.map(Timestamp::from_nanos),
            poll_at: row.poll_at.map(Timestamp::from_nanos),
        })
    }
}

/// Keeps a request that is on its way.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    access: &Access,
    request: &PartnerRequest,
    now: Timestamp,
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(INSERT)
            .bind(request.id.to_string())
            .bind(access.tenant())
            .bind(access.owner().unwrap_or_default())
            .bind(&request.task_id)
            .bind(&request.partner)
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// A request.
pub(super) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    id: TaskRequestId,
) -> Result<Option<PartnerRequest>, DbError> {
    let row: Option<Row> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    row.map(PartnerRequest::try_from).transpose()
}

/// The partner took a request; its Task is there, if that is known, and is looked at then.
pub(super) async fn sent(
    tx: &mut Tx<'_>,
    access: &Access,
    id: TaskRequestId,
    place: Option<&str>,
    (sent_at, poll_at): (Timestamp, Timestamp),
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(SENT)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .bind(place)
            .bind(sent_at.as_nanos())
            .bind(poll_at.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Takes the requests to a partner whose Tasks are to be looked at by `now`, that of `id` first, at most `limit`.
/// Nobody else gets them before `until`, which their `poll_at` is until then.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    access: &Access,
    (partner, id): (&str, TaskRequestId),
    (now, until): (Timestamp, Timestamp),
    limit: u32,
) -> Result<Vec<PartnerRequest>, DbError> {
    let rows: Vec<Row> = on_db!(tx, conn => {
        sqlx::query_as(CLAIM)
            .bind(access.tenant())
            .bind(access.owner())
            .bind(partner)
            .bind(now.as_nanos())
            .bind(until.as_nanos())
            .bind(id.to_string())
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(PartnerRequest::try_from).collect()
}

/// A Task was looked at: it is at `place`, if that is known now, and is looked at again at `poll_at`. `false` if the
/// claim is somebody else's by now; then nothing changed.
pub(super) async fn looked(
    tx: &mut Tx<'_>,
    access: &Access,
    request: &PartnerRequest,
    place: Option<&str>,
    poll_at: Option<Timestamp>,
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(LOOKED)
            .bind(request.id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .bind(request.poll_at.map(Timestamp::as_nanos))
            .bind(place)
            .bind(poll_at.map(Timestamp::as_nanos))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// A Task whose outputs were to be collected is to be looked at again.
pub(super) async fn resume(
    tx: &mut Tx<'_>,
    access: &Access,
    id: TaskRequestId,
    poll_at: Timestamp,
) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(RESUME)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .bind(poll_at.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// When a Task is to be looked at, if it is; that stays so until the unit ends.
pub(super) async fn hold(
    tx: &mut Tx<'_>,
    access: &Access,
    id: TaskRequestId,
) -> Result<Option<Timestamp>, DbError> {
    let poll_at: Option<Option<i64>> = on_db!(tx, conn => {
        sqlx::query_scalar(HOLD)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .fetch_optional(conn)
            .await
    })?;
    Ok(poll_at.flatten().map(Timestamp::from_nanos))
}

/// The Tasks at this place, of one partner or of any, are to be looked at by `now`, whoever asked for them; gives those
/// that were not to be before. One that is being looked at is looked at again.
pub(super) async fn hasten(
    tx: &mut Tx<'_>,
    access: &Access,
    partner: Option<&str>,
    place: &str,
    now: Timestamp,
) -> Result<Vec<TaskRequestId>, DbError> {
    let ids: Vec<String> = on_db!(tx, conn => {
        sqlx::query_scalar(HASTEN)
            .bind(access.tenant())
            .bind(partner)
            .bind(place)
            .bind(now.as_nanos())
            .fetch_all(conn)
            .await
    })?;
    ids.iter().map(|id| id.parse().map_err(|_| DbError::inconsistent("request", "id", id))).collect()
}
