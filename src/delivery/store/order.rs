//! SQL of deliveries that go one after the other: all those of one sender of messages, by how their ordering keys
//! begin. One that is dead and that somebody follows keeps its place until that was done: what comes after it must not
//! go before whoever follows it could call it off.

use super::statement::{CANCEL_ORDERED, FOLLOWED, IS_ORDERED_UNDER_WAY};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};

/// The deliveries whose ordering keys lie below one name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// Their keys are `below/…`.
    pub(crate) below: &'a str,
    /// The one key that is left out; none if it is empty.
    pub(crate) but: &'a str,
}

/// Which of them are called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallOff {
    /// Those that no worker has.
    Idle,
    /// All. A worker that has one finds its lease lost, and nobody knows whether it arrived.
    All,
}

/// Calls off what is under way in an order, and returns what each of these deliveries was followed by.
pub(crate) async fn cancel_ordered(
    tx: &mut Tx<'_>,
    access: &Access,
    order: Order<'_>,
    which: CallOff,
    now: Timestamp,
) -> Result<Vec<String>, DbError> {
    let followed: Vec<Option<String>> = on_db!(tx, conn => {
        sqlx::query_scalar(CANCEL_ORDERED)
            .bind(order.below)
            .bind(access.tenant())
            .bind(now.as_nanos())
            .bind(which == CallOff::All)
            .bind(order.but)
            .fetch_all(conn)
            .await
    })?;
    Ok(followed.into_iter().flatten().collect())
}

/// Whether anything of an order is under way, or is dead and has still to be [`followed`].
pub(crate) async fn is_ordered_under_way(
    tx: &mut Tx<'_>,
    access: &Access,
    order: Order<'_>,
) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => {
        sqlx::query_scalar(IS_ORDERED_UNDER_WAY)
            .bind(order.below)
            .bind(access.tenant())
            .bind(order.but)
            .fetch_one(conn)
            .await
    })?;
    Ok(count > 0)
}

/// The consequences of a delivery's end are drawn, in this commit: what goes after it may go, if it still may. `id` is
/// the subject of the errand.
///
/// *Idempotence*: changes only what is dead, and once.
pub(crate) async fn followed(
    tx: &mut Tx<'_>,
    access: &Access,
    id: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    on_db!(&mut *tx, conn => {
        let followed = sqlx::query(FOLLOWED).bind(id).bind(access.tenant()).bind(now.as_nanos());
        followed.execute(conn).await.map(drop)
    })?;
    super::call_up(tx, id, now).await
}
