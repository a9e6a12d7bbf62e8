//! SQL of the agenda: add, take, end. Whoever takes an item has it until its lease ends; what it writes names the
//! number of the lease, so that one who comes too late changes nothing.

use std::time::Duration;

use super::{Errand, Item, NewItem, Pool};
use crate::clock::Timestamp;
use crate::db::{DbError, Dialect, ROWS_PER_INSERT, Tx, later_on_db, on_db};

const ADD: &str = "INSERT INTO agenda (tenant, owner, errand, subject, version, due_at, attempts, epoch) ";
/// The items of these errands that may be taken at `$1`: no earlier one of the same errand and subject is left.
macro_rules! due {
    ($words:ident) => {
        concat!(
            "SELECT sequence FROM agenda a WHERE due_at <= $1 AND (taken_until IS NULL OR taken_until <= $1) \
             AND errand IN ",
            $words!(),
            " AND NOT EXISTS (SELECT 1 FROM agenda b WHERE b.tenant = a.tenant AND b.errand = a.errand \
             AND b.subject = a.subject AND b.sequence < a.sequence) ORDER BY due_at, sequence LIMIT $3"
        )
    };
}
macro_rules! taken {
    ($($which:tt)+) => {
        concat!(
            "UPDATE agenda SET taken_until = $1 + $2, epoch = epoch + 1 WHERE sequence IN (",
            $($which)+,
            ") RETURNING sequence, tenant, owner, errand, subject, version, attempts, epoch"
        )
    };
}
macro_rules! take_postgres {
    ($words:ident) => {
        concat!(
            "WITH due AS MATERIALIZED (",
            due!($words),
            " FOR UPDATE SKIP LOCKED) ",
            taken!("SELECT sequence FROM due")
        )
    };
}
const TAKE_HERE_SQLITE: &str = taken!(due!(words_here));
const TAKE_ANSWERS_SQLITE: &str = taken!(due!(words_answers));
const TAKE_CALLS_SQLITE: &str = taken!(due!(words_calls));
const TAKE_BYTES_SQLITE: &str = taken!(due!(words_bytes));
const TAKE_HERE_POSTGRES: &str = take_postgres!(words_here);
const TAKE_ANSWERS_POSTGRES: &str = take_postgres!(words_answers);
const TAKE_CALLS_POSTGRES: &str = take_postgres!(words_calls);
const TAKE_BYTES_POSTGRES: &str = take_postgres!(words_bytes);
const IS_ANY_DUE: &str =
    "SELECT 1 FROM agenda WHERE due_at <= $1 AND (taken_until IS NULL OR taken_until <= $1) LIMIT 1";
const DONE: &str = "DELETE FROM agenda WHERE sequence = $1 AND epoch = $2";
const LATER: &str = "UPDATE agenda SET due_at = $3, attempts = $4, taken_until = NULL \
     WHERE sequence = $1 AND epoch = $2";
const HASTEN: &str = "UPDATE agenda SET due_at = $4 \
     WHERE tenant = $1 AND errand = $2 AND subject = $3 AND due_at > $4";
const COUNT: &str = "SELECT COUNT(*) FROM agenda WHERE errand = $1";
const RENEW: &str = "UPDATE agenda SET taken_until = $3 WHERE sequence = $1 AND epoch = $2";
const FREE_ALL: &str =
    "UPDATE agenda SET taken_until = NULL, epoch = epoch + 1 WHERE taken_until IS NOT NULL";

/// Every fixed statement of this store, and the database it is for if there is only one.
#[cfg(test)]
pub(super) const STATEMENTS: &[(&str, Option<Dialect>)] = &[
    (TAKE_HERE_SQLITE, Some(Dialect::Sqlite)),
    (TAKE_ANSWERS_SQLITE, Some(Dialect::Sqlite)),
    (TAKE_CALLS_SQLITE, Some(Dialect::Sqlite)),
    (TAKE_BYTES_SQLITE, Some(Dialect::Sqlite)),
    (TAKE_HERE_POSTGRES, Some(Dialect::Postgres)),
    (TAKE_ANSWERS_POSTGRES, Some(Dialect::Postgres)),
    (TAKE_CALLS_POSTGRES, Some(Dialect::Postgres)),
    (TAKE_BYTES_POSTGRES, Some(Dialect::Postgres)),
    (IS_ANY_DUE, None),
    (DONE, None),
    (LATER, None),
    (HASTEN, None),
    (COUNT, None),
    (RENEW, None),
    (FREE_ALL, None),
];

#[derive(sqlx::FromRow)]
struct ItemRow {
    sequence: i64,
    tenant: String,
    owner: String,
    errand: String,
    subject: String,
    version: i64,
    attempts: i64,
    epoch: i64,
}

impl TryFrom<ItemRow> for Item {
    type Error = DbError;

    fn try_from(row: ItemRow) -> Result<Self, DbError> {
        let bad = |column| DbError::inconsistent("agenda", column, row.sequence.to_string());
        Ok(Self {
            errand: Errand::parse(&row.errand).ok_or_else(|| bad("errand"))?,
            version: u64::try_from(row.version).map_err(|_| bad("version"))?,
            attempts: u32::try_from(row.attempts).map_err(|_| bad("attempts"))?,
            sequence: row.sequence,
            epoch: row.epoch,
            tenant: row.tenant,
            owner: row.owner,
            subject: row.subject,
        })
    }
}

/// Adds items.
pub(crate) async fn add(tx: &mut Tx<'_>, items: &[NewItem]) -> Result<(), DbError> {
    for some in items.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, insert => {
            insert.push(ADD).push_values(some, |mut row, item| {
                row.push_bind(&item.tenant)
                    .push_bind(&item.owner)
                    .push_bind(item.errand.as_str())
                    .push_bind(&item.subject)
                    .push_bind(i64::try_from(item.version).unwrap_or(i64::MAX))
                    .push_bind(item.due_at.as_nanos())
                    .push_bind(0_i64)
                    .push_bind(0_i64);
            });
        })?;
    }
    Ok(())
}

/// Whether there may be something to take. Looks at all tenants.
pub(crate) async fn is_any_due(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, DbError> {
    let found: Option<i32> = on_db!(tx, conn => {
        sqlx::query_scalar(IS_ANY_DUE).bind(now.as_nanos()).fetch_optional(conn).await
    })?;
    Ok(found.is_some())
}

/// Takes up to `limit` items of a pool that are due, those that are longest so first. They belong to the caller until
/// the lease ends. Looks at all tenants. An errand of a later version of the program is left to that.
pub(crate) async fn take_of(
    tx: &mut Tx<'_>,
    pool: Pool,
    now: Timestamp,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Item>, DbError> {
    let sql = match (pool, tx.dialect()) {
        (Pool::Here, Dialect::Sqlite) => TAKE_HERE_SQLITE,
        (Pool::Answers, Dialect::Sqlite) => TAKE_ANSWERS_SQLITE,
        (Pool::Calls, Dialect::Sqlite) => TAKE_CALLS_SQLITE,
        (Pool::Bytes, Dialect::Sqlite) => TAKE_BYTES_SQLITE,
        (Pool::Here, Dialect::Postgres) => TAKE_HERE_POSTGRES,
        (Pool::Answers, Dialect::Postgres) => TAKE_ANSWERS_POSTGRES,
        (Pool::Calls, Dialect::Postgres) => TAKE_CALLS_POSTGRES,
        (Pool::Bytes, Dialect::Postgres) => TAKE_BYTES_POSTGRES,
    };
    let rows: Vec<ItemRow> = on_db!(tx, conn => {
        sqlx::query_as(sql)
            .bind(now.as_nanos())
            .bind(i64::try_from(lease.as_nanos()).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?;
    // One that nobody can read must not keep the others from being done.
    let readable =
        |row| Item::try_from(row).inspect_err(|error| tracing::error!(%error, "an item is not understood"));
    let mut taken: Vec<Item> = rows.into_iter().filter_map(|row| readable(row).ok()).collect();
    taken.sort_by_key(|item| item.sequence);
    Ok(taken)
}

/// Takes up to `limit` items of each pool, in the order in which they were added.
#[cfg(test)]
pub(crate) async fn take(
    tx: &mut Tx<'_>,
    now: Timestamp,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Item>, DbError> {
    let mut taken = Vec::new();
    for pool in Pool::ALL {
        taken.extend(take_of(tx, pool, now, lease, limit).await?);
    }
    taken.sort_by_key(|item| item.sequence);
    Ok(taken)
}

/// Removes an item. The first thing that a unit does which holds the effect of one: `false`, and somebody else has it
/// now; then the unit must change nothing.
pub(crate) async fn done(tx: &mut Tx<'_>, item: &Item) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        let done = sqlx::query(DONE).bind(item.sequence).bind(item.epoch).execute(conn).await;
        done.map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Keeps an item for later, as one that has never failed; `false` as with [`done`].
pub(crate) async fn later(tx: &mut Tx<'_>, item: &Item, due_at: Timestamp) -> Result<bool, DbError> {
    put_off(tx, item, due_at, 0).await
}

/// Keeps an item that failed, or led to nothing yet, for another attempt; `false` as with [`done`].
pub(crate) async fn failed(tx: &mut Tx<'_>, item: &Item, due_at: Timestamp) -> Result<bool, DbError> {
    put_off(tx, item, due_at, item.attempts.saturating_add(1)).await
}

async fn put_off(tx: &mut Tx<'_>, item: &Item, due_at: Timestamp, attempts: u32) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        let query = sqlx::query(LATER).bind(item.sequence).bind(item.epoch).bind(due_at.as_nanos());
        query.bind(i64::from(attempts)).execute(conn).await.map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Makes the items of a tenant's subject due by `due_at`, if they were not to be before.
pub(crate) async fn hasten(
    tx: &mut Tx<'_>,
    tenant: &str,
    errand: Errand,
    subject: &str,
    due_at: Timestamp,
) -> Result<(), DbError> {
    Ok(on_db!(tx, conn => {
        let query = sqlx::query(HASTEN).bind(tenant).bind(errand.as_str()).bind(subject);
        query.bind(due_at.as_nanos()).execute(conn).await.map(drop)
    })?)
}

/// How many items of an errand there are. Looks at all tenants.
pub(crate) async fn count(tx: &mut Tx<'_>, errand: Errand) -> Result<u64, DbError> {
    let count: i64 =
        on_db!(tx, conn => sqlx::query_scalar(COUNT).bind(errand.as_str()).fetch_one(conn).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Keeps an item for whoever has it, until the lease ends anew; nothing if somebody else has it now, or it is done.
pub(crate) async fn renew(tx: &mut Tx<'_>, item: &Item, taken_until: Timestamp) -> Result<(), DbError> {
    Ok(on_db!(tx, conn => {
        let query = sqlx::query(RENEW).bind(item.sequence).bind(item.epoch).bind(taken_until.as_nanos());
        query.execute(conn).await.map(drop)
    })?)
}

/// Ends all leases; for the start of a gateway that nobody shares the database with.
pub(crate) async fn free_all(tx: &mut Tx<'_>) -> Result<(), DbError> {
    Ok(on_db!(tx, conn => sqlx::query(FREE_ALL).execute(conn).await.map(drop))?)
}
