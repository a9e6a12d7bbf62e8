//! SQL of subscriptions; [`mod@event`] has that of their events. Every change of a subscription names the generation
//! that it is about: once the client has asked for something else, or has deleted it, what was under way changes
//! nothing.

mod event;

use super::model::{Subscription, SubscriptionStatus};
use super::terms::{PayloadContent, Terms};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};

#[cfg(test)]
pub(in crate::subscription) use event::STATEMENTS as EVENT_STATEMENTS;
pub(crate) use event::{arrived, count, events, tell, untell, waiting};

const PUT: &str = "INSERT INTO subscription (tenant, id, owner, version, generation, created_in, status, endpoint, \
     content_type, headers, content, criteria, heartbeat_secs, timeout_secs, max_count, end_at, events, waiting) \
     VALUES ($1, $2, $3, $4, $4, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0) \
     ON CONFLICT (tenant, id) DO UPDATE SET version = excluded.version, generation = excluded.generation, \
     status = excluded.status, endpoint = excluded.endpoint, content_type = excluded.content_type, \
     headers = excluded.headers, content = excluded.content, criteria = excluded.criteria, \
     heartbeat_secs = excluded.heartbeat_secs, timeout_secs = excluded.timeout_secs, \
     max_count = excluded.max_count, end_at = excluded.end_at, failure = NULL \
     WHERE subscription.version < excluded.version";
const FIND: &str = "SELECT tenant, id, owner, version, generation, created_in, status, endpoint, content_type, headers, \
     content, criteria, heartbeat_secs, timeout_secs, max_count, end_at, events, waiting, failure, started_at, told_at \
     FROM subscription WHERE tenant = $1 AND owner = COALESCE($2, owner) AND id = $3";
const STARTED: &str = "SELECT tenant, id, owner, version, generation, created_in, status, endpoint, content_type, headers, \
     content, criteria, heartbeat_secs, timeout_secs, max_count, end_at, events, waiting, failure, started_at, \
     told_at FROM subscription \
     WHERE tenant = $1 AND started_at IS NOT NULL AND status <> 'off' ORDER BY owner, id";
const IS_ANY: &str = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM subscription LIMIT 1) AS found";
const ACTIVATE: &str = "UPDATE subscription SET status = 'active', version = $4, failure = NULL, \
     started_at = COALESCE(started_at, $5), told_at = $5 \
     WHERE tenant = $1 AND id = $2 AND generation = $3 AND status = 'requested'";
const FAIL: &str = "UPDATE subscription SET status = 'error', version = $4, failure = $5 \
     WHERE tenant = $1 AND id = $2 AND generation = $3 AND status IN ('requested', 'active')";
const TURN_OFF: &str = "UPDATE subscription SET status = 'off', version = $4 \
     WHERE tenant = $1 AND id = $2 AND generation = $3";
const FORGET: &str = "DELETE FROM subscription WHERE tenant = $1 AND id = $2";
const FORGET_EVENTS: &str = "DELETE FROM subscription_event WHERE tenant = $1 AND subscription = $2";
const HEARTBEAT: &str = "UPDATE subscription SET told_at = $4 \
     WHERE tenant = $1 AND id = $2 AND generation = $3 AND status = 'active'";

/// Every statement of this file.
#[cfg(test)]
pub(in crate::subscription) const STATEMENTS: &[&str] =
    &[PUT, FIND, STARTED, IS_ANY, ACTIVATE, FAIL, TURN_OFF, FORGET, FORGET_EVENTS, HEARTBEAT];

#[derive(sqlx::FromRow)]
struct SubscriptionRow {
    tenant: String,
    id: String,
    owner: String,
    version: i64,
    generation: i64,
    created_in: i64,
    status: String,
    endpoint: String,
    content_type: String,
    headers: String,
    content: String,
    criteria: String,
    heartbeat_secs: i64,
    timeout_secs: i64,
    max_count: i64,
    end_at: Option<i64>,
    events: i64,
    waiting: i64,
    failure: Option<String>,
    started_at: Option<i64>,
    told_at: Option<i64>,
}

impl TryFrom<SubscriptionRow> for Subscription {
    type Error = DbError;

    fn try_from(row: SubscriptionRow) -> Result<Self, DbError> {
        let inconsistent = |column| DbError::inconsistent("subscription", column, &row.id);
        let number = |value: i64, column| u64::try_from(value).map_err(|_| inconsistent(column));
        let small = |value: i64, column| u32::try_from(value).map_err(|_| inconsistent(column));
        let terms = Terms {
            headers: serde_json::from_str(&row.headers).map_err(|_| inconsistent("headers"))?,
            content: PayloadContent::parse(&row.content).ok_or_else(|| inconsistent("content"))?,
            criteria: serde_json::from_str(&row.criteria).map_err(|_| inconsistent("criteria"))?,
            heartbeat_secs: small(row.heartbeat_secs, "heartbeat_secs")?,
            timeout_secs: small(row.timeout_secs, "timeout_secs")?,
            max_count: small(row.max_count, "max_count")?,
            end: row.end_at.map(Timestamp::from_nanos),
            endpoint: row.endpoint.clone(),
            content_type: row.content_type.clone(),
        };
        Ok(Self {
            version: number(row.version, "version")?,
            generation: number(row.generation, "generation")?,
            created_in: number(row.created_in, "created_in")?,
            status: SubscriptionStatus::parse(&row.status).ok_or_else(|| inconsistent("status"))?,
            events: number(row.events, "events")?,
            waiting: number(row.waiting, "waiting")?,
            started_at: row.started_at.map(Timestamp::from_nanos),
            told_at: row.told_at.map(Timestamp::from_nanos),
            terms,
            failure: row.failure,
            tenant: row.tenant,
            owner: row.owner,
            id: row.id,
        })
    }
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A list as JSON text.
fn listed<T: serde::Serialize>(list: &[T]) -> String {
    // Strings in a list cannot fail to be written.
    serde_json::to_string(list).unwrap_or_default()
}

/// Keeps what version `version` of the resource asks for, and that the endpoint has not answered yet (or that it is
/// off); events that were counted stay. `false` if a later version is known already.
pub(crate) async fn put(
    tx: &mut Tx<'_>,
    (access, owner): (&Access, &str),
    (id, version): (&str, u64),
    status: SubscriptionStatus,
    terms: &Terms,
) -> Result<bool, DbError> {
    let put = on_db!(tx, conn => {
        sqlx::query(PUT)
            .bind(access.tenant())
            .bind(id)
            .bind(owner)
            .bind(stored(version))
            .bind(status.as_code())
            .bind(&terms.endpoint)
            .bind(&terms.content_type)
            .bind(listed(&terms.headers))
            .bind(terms.content.as_code())
            .bind(listed(&terms.criteria))
            .bind(i64::from(terms.heartbeat_secs))
            .bind(i64::from(terms.timeout_secs))
            .bind(i64::from(terms.max_count))
            .bind(terms.end.map(Timestamp::as_nanos))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(put == 1)
}

/// A subscription.
pub(crate) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    id: &str,
) -> Result<Option<Subscription>, DbError> {
    let row: Option<SubscriptionRow> = on_db!(tx, conn => {
        sqlx::query_as(FIND)
            .bind(access.tenant())
            .bind(access.owner())
            .bind(id)
            .fetch_optional(conn)
            .await
    })?;
    row.map(Subscription::try_from).transpose()
}

/// The subscriptions of a tenant whose events are counted, whoever owns them.
pub(crate) async fn started(tx: &mut Tx<'_>, tenant: &str) -> Result<Vec<Subscription>, DbError> {
    let rows: Vec<SubscriptionRow> =
        on_db!(tx, conn => sqlx::query_as(STARTED).bind(tenant).fetch_all(conn).await)?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// Whether there is any subscription. Looks at all tenants.
pub(crate) async fn is_any(tx: &mut Tx<'_>) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => sqlx::query_scalar(IS_ANY).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// The endpoint has answered; `version` of the resource says so. `false` if this is not what is asked for any more.
pub(crate) async fn activate(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    version: u64,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(ACTIVATE)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(subscription.generation))
            .bind(stored(version))
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// The endpoint did not take a notification; `version` of the resource says so. `false` if it is in error already, or
/// this is not what is asked for any more.
pub(crate) async fn fail(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    version: u64,
    failure: &str,
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(FAIL)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(subscription.generation))
            .bind(stored(version))
            .bind(failure)
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// It has ended; `version` of the resource says so. `false` if this is not what is asked for any more.
pub(crate) async fn turn_off(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    version: u64,
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(TURN_OFF)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(subscription.generation))
            .bind(stored(version))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Its resource was deleted: nothing of it stays.
pub(crate) async fn forget(tx: &mut Tx<'_>, access: &Access, id: &str) -> Result<(), DbError> {
    for sql in [FORGET, FORGET_EVENTS] {
        on_db!(&mut *tx, conn => {
            sqlx::query(sql).bind(access.tenant()).bind(id).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Remembers when a notification without events was made. `false` if the subscription is not active, or this is not
/// what is asked for any more.
pub(crate) async fn heartbeat(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(HEARTBEAT)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(subscription.generation))
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}
