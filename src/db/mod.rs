//! The pools, and the two ways to use them: [`Db::reader`] to look, [`Db::write`] to change.
//!
//! SQLite and PostgreSQL share one copy of each statement: [`Tx`] is an enum of the two connections and
//! [`on_db!`] expands one body for both. On PostgreSQL a write is a transaction of its own; on SQLite all
//! writes go through one connection that commits many of them at once (`writer.rs`).

mod ahead;
mod error;
mod migrate;
mod pool;
mod together;
mod writer;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqlitePool};
use tokio_util::task::TaskTracker;

pub(crate) use error::DbError;
pub(crate) use pool::{DbSettings, Dialect};
pub(crate) use together::SqliteTx;

use writer::Writer;

/// Expands `$body` once for each database, with `$conn` bound to the connection behind a [`Tx`] and the
/// type `Driver` naming the database.
macro_rules! on_db {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx {
            $crate::db::Tx::Sqlite(together) => {
                #[allow(dead_code, reason = "only bodies that build a statement name the driver")]
                type Driver = ::sqlx::Sqlite;
                match together.conn().await {
                    Ok($conn) => $body,
                    Err(error) => Err(error),
                }
            }
            $crate::db::Tx::Postgres($conn) => {
                #[allow(dead_code, reason = "only bodies that build a statement name the driver")]
                type Driver = ::sqlx::Postgres;
                let $conn = &mut **$conn;
                $body
            }
        }
    };
}
pub(crate) use on_db;

/// Writes a statement into `$query`, the builder of its text and values, whose outcome nobody looks at. SQLite may run
/// it later (`together.rs`), PostgreSQL runs it now. Values are pushed, never numbered, and it returns no rows.
macro_rules! later_on_db {
    ($tx:expr, $query:ident => $body:expr) => {
        match $tx {
            $crate::db::Tx::Sqlite(together) => match together.later().await {
                Ok($query) => {
                    $body;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            $crate::db::Tx::Postgres(conn) => {
                let mut query = ::sqlx::QueryBuilder::<::sqlx::Postgres>::new("");
                let $query = &mut query;
                $body;
                query.build().execute(&mut **conn).await.map(drop)
            }
        }
    };
}
pub(crate) use later_on_db;

/// Rows that one `INSERT` takes at most: SQLite binds 32,766 values in one statement, and no table here has
/// more than 30 columns.
pub(crate) const ROWS_PER_INSERT: usize = 1000;

/// A connection to run statements on: inside [`Db::write`] a transaction, from [`Db::reader`] not.
pub(crate) enum Tx<'c> {
    /// A connection to SQLite.
    Sqlite(SqliteTx<'c>),
    /// A connection to PostgreSQL.
    Postgres(&'c mut PgConnection),
}

impl Tx<'_> {
    /// Which database this is, for the few statements that need two texts.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Tx::Sqlite(_) => Dialect::Sqlite,
            Tx::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Db {
    inner: Arc<Inner>,
}

enum Inner {
    Sqlite { readers: SqlitePool, writer: Writer },
    Postgres { pool: PgPool, units: TaskTracker },
}

/// A connection borrowed for reading; see [`Db::reader`].
pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Reader {
    /// The connection as the store functions take it.
    pub(crate) fn tx(&mut self) -> Tx<'_> {
        match self {
            Reader::Sqlite(conn) => Tx::Sqlite(SqliteTx { conn, later: None }),
            Reader::Postgres(conn) => Tx::Postgres(conn),
        }
    }
}

impl Db {
    /// Opens the database and brings its schema up to date, or refuses if it is not and
    /// `settings.migrate` is off.
    pub(crate) async fn open(settings: &DbSettings) -> Result<Self, DbError> {
        let inner = pool::open(settings).await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Which database this is.
    pub(crate) fn dialect(&self) -> Dialect {
        match &*self.inner {
            Inner::Sqlite { .. } => Dialect::Sqlite,
            Inner::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// Borrows a connection for reading. On SQLite it cannot write and never waits for the writer.
    ///
    /// Each statement sees what was committed when it began.
    pub(crate) async fn reader(&self) -> Result<Reader, DbError> {
        Ok(match &*self.inner {
            Inner::Sqlite { readers, .. } => Reader::Sqlite(readers.acquire().await?),
            Inner::Postgres { pool, .. } => Reader::Postgres(pool.acquire().await?),
        })
    }

    /// Runs `unit` on `state` in a transaction and returns when it is durable; the only way to write.
    ///
    /// The unit awaits nothing but its `tx`. It may run more than once (on SQLite a group of units is
    /// replayed one by one if one of them fails), so it changes nothing but the database; everything it
    /// needs is in `state`, which it only borrows. A unit that ends in `Err` leaves no trace. A refusal
    /// that is no fault (a stale offset, say) is better returned as a value: an `Err` makes the units that
    /// shared its commit run again.
    ///
    /// *Cancellation*: once the future has been polled the unit runs even if its caller is dropped.
    pub(crate) async fn write<S, T, E, F>(&self, state: S, unit: F) -> Result<T, E>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> Fn(&'t S, &'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
    {
        match &*self.inner {
            Inner::Sqlite { writer, .. } => writer.write(state, unit).await,
            Inner::Postgres { pool, units } => {
                let pool = pool.clone();
                let work = units.spawn(async move {
                    let mut transaction = pool.begin().await.map_err(DbError::from)?;
                    let out = unit(&state, &mut Tx::Postgres(&mut transaction)).await?;
                    transaction.commit().await.map_err(DbError::from)?;
                    Ok(out)
                });
                work.await.unwrap_or_else(|_| Err(DbError::UnitPanicked.into()))
            }
        }
    }

    /// Whether the database answers.
    pub(crate) async fn check(&self) -> Result<(), DbError> {
        let mut reader = self.reader().await?;
        on_db!(&mut reader.tx(), conn => sqlx::query("SELECT 1").execute(conn).await.map(drop))?;
        Ok(())
    }

    /// Waits for the writes under way, then closes the connections.
    pub(crate) async fn close(&self) {
        match &*self.inner {
            Inner::Sqlite { readers, writer } => {
                writer.close().await;
                readers.close().await;
            }
            Inner::Postgres { pool, units } => {
                units.close();
                units.wait().await;
                pool.close().await;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
