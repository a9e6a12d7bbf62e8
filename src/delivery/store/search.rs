//! SQL that finds deliveries by where they stand and what they carry: the dead-letter list and its like (D-06). The
//! text of these statements depends on the filter; what it asks for is always bound.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;

use super::row::DeliveryRow;
use super::statement::{FOUND, REQUEUE};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Dialect, Tx, on_db};
use crate::delivery::{Delivery, DeliveryStatus};
use crate::id::DeliveryId;

/// Which deliveries are meant: those of which all that is said here is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeliveryFilter {
    /// Where they stand; anywhere if empty.
    pub(crate) statuses: Vec<DeliveryStatus>,
    /// The target's name.
    pub(crate) target: Option<String>,
    /// The data stream.
    pub(crate) data_stream_id: Option<String>,
    /// Its route.
    pub(crate) data_stream_route: Option<String>,
    /// `sender_id` of the manifest.
    pub(crate) sender_id: Option<String>,
    /// Ended then or later; what has not ended was asked for then or later.
    pub(crate) since: Option<Timestamp>,
    /// Ended, or asked for, before then.
    pub(crate) until: Option<Timestamp>,
}

/// A delivery with what a list shows beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundDelivery {
    /// The delivery.
    pub(crate) delivery: Delivery,
    /// The data stream.
    pub(crate) data_stream_id: String,
    /// Its route.
    pub(crate) data_stream_route: String,
    /// `sender_id` of the manifest, if it has one.
    pub(crate) sender_id: Option<String>,
    /// When it was first asked for.
    pub(crate) created_at: Timestamp,
    /// When it ended, if it has.
    pub(crate) settled_at: Option<Timestamp>,
    /// Why its last attempt failed, if it did.
    pub(crate) issue: Option<String>,
    /// Whether all bytes of the upload are here.
    pub(crate) is_complete: bool,
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    delivery: DeliveryRow,
    data_stream_id: String,
    data_stream_route: String,
    manifest: Vec<u8>,
    upload_state: String,
    created_at: i64,
    settled_at: Option<i64>,
    last_issue: Option<String>,
}

impl TryFrom<FoundRow> for FoundDelivery {
    type Error = DbError;

    fn try_from(row: FoundRow) -> Result<Self, DbError> {
        let delivery = Delivery::try_from(row.delivery)?;
        let mut manifest: BTreeMap<String, String> = serde_json::from_slice(&row.manifest)
            .map_err(|_| DbError::inconsistent("upload", "manifest", delivery.upload_id.to_string()))?;
        Ok(Self {
            delivery,
            data_stream_id: row.data_stream_id,
            data_stream_route: row.data_stream_route,
            sender_id: manifest.remove("sender_id"),
            created_at: Timestamp::from_nanos(row.created_at),
            settled_at: row.settled_at.map(Timestamp::from_nanos),
            issue: row.last_issue,
            is_complete: row.upload_state == "complete",
        })
    }
}

/// Appends the conditions of a filter to a query that ends where they belong.
macro_rules! push_conditions {
    ($query:ident, $access:expr, $filter:expr, $dialect:expr) => {
        $query
            .push("delivery.tenant = ")
            .push_bind($access.tenant())
            .push(" AND delivery.owner = COALESCE(")
            .push_bind($access.owner())
            .push(", delivery.owner)");
        if !$filter.statuses.is_empty() {
            $query.push(" AND status IN (");
            let mut statuses = $query.separated(", ");
            for status in &$filter.statuses {
                statuses.push_bind(status.as_str());
            }
            $query.push(")");
        }
        let sender = match $dialect {
            Dialect::Sqlite => "json_extract(CAST(manifest AS TEXT), '$.sender_id')",
            Dialect::Postgres => "convert_from(manifest, 'UTF8')::json ->> 'sender_id'",
        };
        for (column, text) in [("target", &$filter.target), (sender, &$filter.sender_id)] {
            if let Some(text) = text {
                $query.push(" AND ").push(column).push(" = ").push_bind(text);
            }
        }
        // Letter case tells no streams apart, as in the routing; their words are ASCII.
        let words =
            [("data_stream_id", &$filter.data_stream_id), ("data_stream_route", &$filter.data_stream_route)];
        for (column, word) in words {
            if let Some(word) = word {
                $query.push(" AND LOWER(").push(column).push(") = ").push_bind(word.to_ascii_lowercase());
            }
        }
        let moments = [(" >= ", $filter.since), (" < ", $filter.until)];
        for (comparison, moment) in moments {
            if let Some(moment) = moment {
                $query.push(" AND COALESCE(settled_at, delivery.created_at)").push(comparison);
                $query.push_bind(moment.as_nanos());
            }
        }
    };
}

/// Up to `limit` deliveries that a filter means, in the order of their making, from the one behind `after` on.
pub(crate) async fn search(
    tx: &mut Tx<'_>,
    access: &Access,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<FoundDelivery>, DbError> {
    let dialect = tx.dialect();
    let rows: Vec<FoundRow> = on_db!(tx, conn => {
        let mut query = QueryBuilder::<Driver>::new(FOUND);
        push_conditions!(query, access, filter, dialect);
        if let Some(after) = after {
            query.push(" AND delivery.id > ").push_bind(after.to_string());
        }
        query.push(" ORDER BY delivery.id LIMIT ").push_bind(i64::from(limit));
        query.build_query_as().fetch_all(conn).await
    })?;
    rows.into_iter().map(FoundDelivery::try_from).collect()
}

/// How many deliveries a filter means.
pub(crate) async fn count(tx: &mut Tx<'_>, access: &Access, filter: &DeliveryFilter) -> Result<u64, DbError> {
    let dialect = tx.dialect();
    let count: i64 = on_db!(tx, conn => {
        let mut query = QueryBuilder::<Driver>::new(
            "SELECT COUNT(*) FROM delivery JOIN upload ON upload.id = upload_id WHERE ",
        );
        push_conditions!(query, access, filter, dialect);
        query.build_query_scalar().fetch_one(conn).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Asks once more for a delivery that has ended, due at `now`; `false` if it is under way, or its bytes are gone.
pub(crate) async fn requeue(
    tx: &mut Tx<'_>,
    access: &Access,
    id: DeliveryId,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = on_db!(tx, conn => {
        sqlx::query(REQUEUE)
            .bind(id.to_string())
            .bind(access.tenant())
            .bind(access.owner())
            .bind(now.as_nanos())
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}
