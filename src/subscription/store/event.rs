//! SQL of events: counted when they happen, told when they are put into a notification, and waiting again if that did
//! not arrive. As long as a subscription is active and events wait, somebody has to tell them: who counts the first one
//! is told so, and whoever tells some is told how many wait still.

use super::stored;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};
use crate::subscription::model::{Counted, Event, NewEvent, Subscription, SubscriptionStatus};

const COUNT: &str = "UPDATE subscription SET events = events + 1, waiting = waiting + 1 \
     WHERE tenant = $1 AND id = $2 AND generation = $3 AND started_at IS NOT NULL AND status <> 'off' \
     RETURNING events, waiting, status";
const INSERT_EVENT: &str = "INSERT INTO subscription_event (tenant, subscription, number, owner, task, version, \
     change, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const PRUNE: &str = "DELETE FROM subscription_event \
     WHERE tenant = $1 AND subscription = $2 AND number <= $3 AND told_at IS NOT NULL";
const WAITING: &str = "SELECT number, task, version, change, at FROM subscription_event \
     WHERE tenant = $1 AND subscription = $2 AND owner = COALESCE($3, owner) AND told_at IS NULL \
     ORDER BY number LIMIT $4";
const EVENTS: &str = "SELECT number, task, version, change, at FROM subscription_event \
     WHERE tenant = $1 AND subscription = $2 AND owner = COALESCE($3, owner) AND number >= $4 AND number <= $5 \
     ORDER BY number LIMIT $6";
const TELL_EVENTS: &str = "UPDATE subscription_event SET told_at = $5 \
     WHERE tenant = $1 AND subscription = $2 AND number >= $3 AND number <= $4 AND told_at IS NULL";
const TELL: &str = "UPDATE subscription SET waiting = waiting - $4, told_at = $5 \
     WHERE tenant = $1 AND id = $2 AND generation = $3 AND status = 'active' RETURNING waiting";
const UNTELL_EVENTS: &str = "UPDATE subscription_event SET told_at = NULL \
     WHERE tenant = $1 AND subscription = $2 AND number >= $3 AND number <= $4 AND told_at <= $5";
const CHANGE_WAITING: &str = "UPDATE subscription SET waiting = waiting + $3 WHERE tenant = $1 AND id = $2";

/// Every statement of this file.
#[cfg(test)]
pub(in crate::subscription) const STATEMENTS: &[&str] =
    &[COUNT, INSERT_EVENT, PRUNE, WAITING, EVENTS, TELL_EVENTS, TELL, UNTELL_EVENTS, CHANGE_WAITING];

/// How many events that were told are kept for whoever asks for them again.
const KEPT_EVENTS: u64 = 10_000;

/// How often those beyond are removed.
const PRUNED_EVERY: u64 = 100;

#[derive(sqlx::FromRow)]
struct EventRow {
    number: i64,
    task: String,
    version: i64,
    change: String,
    at: i64,
}

impl TryFrom<EventRow> for Event {
    type Error = DbError;

    fn try_from(row: EventRow) -> Result<Self, DbError> {
        let number = |value: i64, column| {
            u64::try_from(value).map_err(|_| DbError::inconsistent("subscription_event", column, row.number))
        };
        Ok(Self {
            number: number(row.number, "number")?,
            event: NewEvent {
                version: number(row.version, "version")?,
                is_create: row.change == CREATE,
                at: Timestamp::from_nanos(row.at),
                task: row.task,
            },
        })
    }
}

/// The words of `subscription_event.change`.
const CREATE: &str = "create";
const UPDATE: &str = "update";

/// Counts an event. None if events of it are not counted, or this is not what is asked for any more.
pub(crate) async fn count(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    event: &NewEvent,
) -> Result<Option<Counted>, DbError> {
    let counted: Option<(i64, i64, String)> = on_db!(&mut *tx, conn => {
        sqlx::query_as(COUNT)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(subscription.generation))
            .fetch_optional(conn)
            .await
    })?;
    let Some((number, waiting, status)) = counted else { return Ok(None) };
    on_db!(&mut *tx, conn => {
        sqlx::query(INSERT_EVENT)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(number)
            .bind(&subscription.owner)
            .bind(&event.task)
            .bind(stored(event.version))
            .bind(if event.is_create { CREATE } else { UPDATE })
            .bind(event.at.as_nanos())
            .execute(conn)
            .await
            .map(drop)
    })?;
    let is_active = SubscriptionStatus::parse(&status) == Some(SubscriptionStatus::Active);
    let number = u64::try_from(number).unwrap_or(0);
    if number.is_multiple_of(PRUNED_EVERY) {
        prune(tx, subscription, number.saturating_sub(KEPT_EVENTS)).await?;
    }
    Ok(Some(Counted { number, is_first_to_tell: is_active && waiting == 1 }))
}

/// Removes events up to a number that were told.
async fn prune(tx: &mut Tx<'_>, subscription: &Subscription, until: u64) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(PRUNE)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(until))
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// The first events that are in no notification yet, in order.
pub(crate) async fn waiting(
    tx: &mut Tx<'_>,
    access: &Access,
    id: &str,
    limit: u32,
) -> Result<Vec<Event>, DbError> {
    let rows: Vec<EventRow> = on_db!(tx, conn => {
        sqlx::query_as(WAITING)
            .bind(access.tenant())
            .bind(id)
            .bind(access.owner())
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(Event::try_from).collect()
}

/// Events with numbers in a range, both ends included, in order; at most `limit`.
pub(crate) async fn events(
    tx: &mut Tx<'_>,
    access: &Access,
    id: &str,
    (from, until): (u64, u64),
    limit: u32,
) -> Result<Vec<Event>, DbError> {
    let rows: Vec<EventRow> = on_db!(tx, conn => {
        sqlx::query_as(EVENTS)
            .bind(access.tenant())
            .bind(id)
            .bind(access.owner())
            .bind(stored(from))
            .bind(stored(until))
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?;
    rows.into_iter().map(Event::try_from).collect()
}

/// Puts waiting events, in order and without one left out, into notifications; says how many wait still. None if the
/// subscription is not active, or this is not what is asked for any more: nothing changed.
pub(crate) async fn tell(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    told: &[Event],
    now: Timestamp,
) -> Result<Option<u64>, DbError> {
    let (Some(first), Some(last)) = (told.first(), told.last()) else { return Ok(Some(0)) };
    let count = told.len() as u64;
    let waiting: Option<i64> = on_db!(&mut *tx, conn => {
        sqlx::query_scalar(TELL)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(subscription.generation))
            .bind(stored(count))
            .bind(now.as_nanos())
            .fetch_optional(conn)
            .await
    })?;
    let Some(waiting) = waiting else { return Ok(None) };
    let changed = on_db!(tx, conn => {
        sqlx::query(TELL_EVENTS)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(first.number))
            .bind(stored(last.number))
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    if changed != count {
        return Err(DbError::inconsistent("subscription", "waiting", &subscription.id));
    }
    u64::try_from(waiting)
        .map(Some)
        .map_err(|_| DbError::inconsistent("subscription", "waiting", &subscription.id))
}

/// A notification that was made at `told_at` did not arrive: its events, both ends included, wait again, without those
/// that were told anew since.
pub(crate) async fn untell(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    (from, until): (u64, u64),
    told_at: Timestamp,
) -> Result<(), DbError> {
    let changed = on_db!(&mut *tx, conn => {
        sqlx::query(UNTELL_EVENTS)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(from))
            .bind(stored(until))
            .bind(told_at.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    change_waiting(tx, subscription, stored(changed)).await
}

/// A notification arrived after all, which somebody had sent again after it was given up: its events, both ends
/// included, wait no more.
pub(crate) async fn arrived(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    (from, until): (u64, u64),
    now: Timestamp,
) -> Result<(), DbError> {
    let changed = on_db!(&mut *tx, conn => {
        sqlx::query(TELL_EVENTS)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(stored(from))
            .bind(stored(until))
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    change_waiting(tx, subscription, -stored(changed)).await
}

async fn change_waiting(tx: &mut Tx<'_>, subscription: &Subscription, by: i64) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(CHANGE_WAITING)
            .bind(&subscription.tenant)
            .bind(&subscription.id)
            .bind(by)
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}
