//! SQL of deliveries whose time is over. Which those are is for retention to say, which looks at uploads too.

use sqlx::QueryBuilder;

use crate::db::{DbError, ROWS_PER_INSERT, Tx, on_db};

// One that was asked for again meanwhile is not settled any more.
const REMOVE: &str = "DELETE FROM delivery WHERE settled_at IS NOT NULL AND status <> 'held' AND id IN (";

/// Removes settled deliveries with their attempts; returns how many there were.
pub(crate) async fn remove_settled(tx: &mut Tx<'_>, ids: &[String]) -> Result<u64, DbError> {
    let mut removed = 0;
    for ids in ids.chunks(ROWS_PER_INSERT) {
        removed += on_db!(&mut *tx, conn => {
            let mut query = QueryBuilder::<Driver>::new(REMOVE);
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(id);
            }
            list.push_unseparated(")");
            query.build().execute(conn).await.map(|done| done.rows_affected())
        })?;
    }
    Ok(removed)
}
