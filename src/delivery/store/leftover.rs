//! SQL of what attempts have left at targets for deliveries that nobody goes on with.

use std::time::Duration;

use super::statement::{FORGET_LEFTOVERS, LEFTOVERS};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx, on_db};

/// What attempts have left.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::delivery) struct Leftover {
    /// The delivery.
    pub(in crate::delivery) id: String,
    lease_epoch: i64,
    /// What they kept of it, in the destination's own words.
    #[sqlx(rename = "progress")]
    pub(in crate::delivery) kept: Vec<u8>,
}

/// The next leftovers at a target behind the delivery `after`, of what has ended at least so long ago; at most `limit`.
pub(in crate::delivery) async fn leftovers(
    tx: &mut Tx<'_>,
    (target, after): (&str, &str),
    (now, ended): (Timestamp, Duration),
    limit: u32,
) -> Result<Vec<Leftover>, DbError> {
    Ok(on_db!(tx, conn => {
        sqlx::query_as(LEFTOVERS)
            .bind(target)
            .bind(after)
            .bind(now.as_nanos())
            .bind(i64::try_from(ended.as_nanos()).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(conn)
            .await
    })?)
}

/// Forgets what was taken away, unless somebody goes on with the delivery.
pub(in crate::delivery) async fn forget_leftover(tx: &mut Tx<'_>, gone: &Leftover) -> Result<(), DbError> {
    on_db!(tx, conn => {
        sqlx::query(FORGET_LEFTOVERS).bind(&gone.id).bind(gone.lease_epoch).execute(conn).await.map(drop)
    })?;
    Ok(())
}
