//! Runs statements of `query`, whose texts are made of this program's own words and bind all else.

use sqlx::{AssertSqlSafe, Row as _};

use super::ResourceRow;
use crate::db::{DbError, Tx, on_db};
use crate::repository::model::StoredResource;
use crate::repository::query::{Sql, Value};

/// A resource of a page, with the values it was sorted by.
#[derive(Debug)]
pub(super) struct Found {
    /// The resource.
    pub(super) resource: StoredResource,
    /// What the page said of each key; only those of entries are read.
    pub(super) values: Vec<Option<Vec<u8>>>,
    /// What the statement said after that: how many matches there are, and how many resources it looked at.
    pub(super) counts: Vec<i64>,
}

/// Expands to a query with everything bound.
macro_rules! bound {
    ($query:expr, $sql:expr) => {{
        let mut query = $query;
        for value in $sql.values() {
            query = match value {
                Value::Number(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.as_str()),
                Value::Bytes(bytes) => query.bind(bytes.as_slice()),
            };
        }
        query
    }};
}

/// The resources that a statement finds.
pub(super) async fn resources(tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<StoredResource>, DbError> {
    let rows: Vec<ResourceRow> = on_db!(tx, conn => {
        bound!(sqlx::query_as::<Driver, _>(AssertSqlSafe(sql.text())), sql).fetch_all(conn).await
    })?;
    rows.into_iter().map(StoredResource::try_from).collect()
}

/// A page. `is_value` says of each key of its order whether it is the value of an entry.
pub(super) async fn page(tx: &mut Tx<'_>, sql: &Sql, is_value: &[bool]) -> Result<Vec<Found>, DbError> {
    // What a resource has comes first, the keys after it.
    const KEYS: usize = 8;
    type Fetched = (ResourceRow, Vec<Option<Vec<u8>>>, Vec<i64>);
    let rows: Vec<Fetched> = on_db!(tx, conn => {
        let rows = bound!(sqlx::query::<Driver>(AssertSqlSafe(sql.text())), sql).fetch_all(conn).await?;
        let fetched = rows.iter().map(|row| {
            let value = |(n, is_value): (usize, &bool)| {
                if *is_value { row.try_get(KEYS + n) } else { Ok(None) }
            };
            let values = is_value.iter().enumerate().map(value).collect::<Result<_, _>>()?;
            let counts = (KEYS + is_value.len()..row.len()).map(|n| row.try_get(n)).collect::<Result<_, _>>()?;
            Ok::<_, sqlx::Error>((sqlx::FromRow::from_row(row)?, values, counts))
        });
        fetched.collect::<Result<_, _>>()
    })?;
    let found =
        |(row, values, counts)| Ok(Found { resource: StoredResource::try_from(row)?, values, counts });
    rows.into_iter().map(found).collect()
}

/// The numbers of the only row of a statement.
pub(super) async fn numbers(tx: &mut Tx<'_>, sql: &Sql, columns: usize) -> Result<Vec<i64>, DbError> {
    Ok(on_db!(tx, conn => {
        let row = bound!(sqlx::query::<Driver>(AssertSqlSafe(sql.text())), sql).fetch_one(conn).await?;
        (0..columns).map(|n| row.try_get(n)).collect::<Result<_, sqlx::Error>>()
    })?)
}

/// The texts of the only column of a statement, as bytes.
pub(super) async fn values(tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<Vec<u8>>, DbError> {
    Ok(on_db!(tx, conn => {
        bound!(sqlx::query_scalar::<Driver, _>(AssertSqlSafe(sql.text())), sql).fetch_all(conn).await
    })?)
}

/// How a statement would be run: on SQLite a line a step, on PostgreSQL one JSON text.
#[cfg(test)]
pub(in crate::repository) async fn explain(tx: &mut Tx<'_>, sql: &Sql) -> Vec<String> {
    let explained: Result<Vec<String>, sqlx::Error> = match tx {
        Tx::Sqlite(tx) => {
            let conn = tx.conn().await.expect("nothing was put off");
            let text = format!("EXPLAIN QUERY PLAN {}", sql.text());
            let rows = bound!(sqlx::query::<sqlx::Sqlite>(AssertSqlSafe(text)), sql).fetch_all(conn).await;
            rows.and_then(|rows| rows.iter().map(|row| row.try_get("detail")).collect())
        }
        Tx::Postgres(conn) => {
            let text = format!("EXPLAIN (FORMAT JSON) {}", sql.text());
            let rows =
                bound!(sqlx::query::<sqlx::Postgres>(AssertSqlSafe(text)), sql).fetch_all(&mut **conn).await;
            rows.and_then(|rows| rows.iter().map(|row| row.try_get_unchecked(0)).collect())
        }
    };
    explained.expect("the statement can be explained")
}
