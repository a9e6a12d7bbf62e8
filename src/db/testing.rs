//! Databases for the stores' tests: SQLite always, PostgreSQL where one can be had.

use std::future::Future;
use std::time::Duration;

use sqlx::{Executor, SqlStr};

use super::{Db, DbSettings};

#[path = "../../tests/it/support/port.rs"]
mod port;
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;

/// Runs `test` on a fresh database of each kind. A skipped PostgreSQL is printed.
pub(crate) async fn for_each_database<F, Fut>(test: F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output = ()>,
{
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sqlite = format!("sqlite:{}", folder.path().join("gateway.db").display());
    run(sqlite, &test).await;
    let found = tokio::task::spawn_blocking(postgres::fresh_database).await.expect("no panic");
    if let Some(url) = found {
        run(url, &test).await;
    }
}

async fn run<F, Fut>(url: String, test: &F)
where
    F: Fn(Db) -> Fut,
    Fut: Future<Output = ()>,
{
    let db = Db::open(&settings(url)).await.expect("the database opens");
    // On the heap: what a test holds is no concern of the stack of whoever runs it.
    Box::pin(test(db.clone())).await;
    db.close().await;
}

/// Has the database prepare each statement, which is how a store's SQL is checked against the schema.
pub(crate) async fn assert_prepares(db: &Db, statements: &[&'static str]) {
    let mut reader = db.reader().await.expect("a reader");
    for sql in statements {
        let prepared = on_db!(&mut reader.tx(), conn => {
            conn.prepare(SqlStr::from_static(sql)).await.map(drop)
        });
        assert!(prepared.is_ok(), "{sql}: {prepared:?}");
    }
}

/// Settings for a test database.
pub(crate) fn settings(url: String) -> DbSettings {
    DbSettings {
        url,
        connections: 4,
        busy_timeout: Duration::from_mins(1),
        durable: true,
        migrate: true,
        observe_group: |_| {},
    }
}
