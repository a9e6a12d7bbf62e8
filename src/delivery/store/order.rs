//! SQL of deliveries that go one after the other: all those of one sender of messages, by how their ordering keys begin.

use super::statement::{CANCEL_ORDERED, IS_ORDERED_UNDER_WAY};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};

/// Calls off what is under way with an ordering key below `order` (`order/…`), and returns what each of these
/// deliveries was followed by. One that a worker has is left to it, unless `leased` too: then the worker finds its
/// lease lost, and nobody knows whether it arrived.
pub(crate) async fn cancel_ordered(
    tx: &mut Tx<'_>,
    access: &Access,
    order: &str,
    leased: bool,
    now: Timestamp,
) -> Result<Vec<String>, DbError> {
    let followed: Vec<Option<String>> = on_db!(tx, conn => {
        sqlx::query_scalar(CANCEL_ORDERED)
            .bind(order)
            .bind(access.tenant())
            .bind(now.as_nanos())
            .bind(leased)
            .fetch_all(conn)
            .await
    })?;
    Ok(followed.into_iter().flatten().collect())
}

/// Whether anything with an ordering key below `order` is under way.
pub(crate) async fn is_ordered_under_way(
    tx: &mut Tx<'_>,
    access: &Access,
    order: &str,
) -> Result<bool, DbError> {
    let count: i64 = on_db!(tx, conn => {
        sqlx::query_scalar(IS_ORDERED_UNDER_WAY).bind(order).bind(access.tenant()).fetch_one(conn).await
    })?;
    Ok(count > 0)
}
