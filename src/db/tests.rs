//! What writing promises, on both databases.

use futures_util::future::join_all;

use super::testing::{for_each_database, settings};
use super::{Db, DbError, Dialect, Tx};

const ADD: &str =
    "INSERT INTO audit (id, tenant, owner, at, action, outcome) VALUES ($1, 't', 'o', $2, 'a', 'b')";
const COUNT: &str = "SELECT COUNT(*) FROM audit";

async fn add(tx: &mut Tx<'_>, id: &str) -> Result<(), DbError> {
    on_db!(tx, conn => sqlx::query(ADD).bind(id).bind(1_i64).execute(conn).await.map(drop))?;
    Ok(())
}

async fn count(db: &Db) -> i64 {
    let mut reader = db.reader().await.expect("a reader");
    on_db!(&mut reader.tx(), conn => sqlx::query_scalar(COUNT).fetch_one(conn).await).expect("a count")
}

async fn add_later(tx: &mut Tx<'_>, id: &str) -> Result<(), DbError> {
    Ok(later_on_db!(tx, insert => {
        insert.push("INSERT INTO audit (id, tenant, owner, at, action, outcome) ").push_values([id], |mut row, id| {
            row.push_bind(id).push_bind("t").push_bind("o").push_bind(1_i64).push_bind("a").push_bind("b");
        });
    })?)
}

#[tokio::test]
async fn what_is_put_off_is_there_for_whoever_looks_and_after_the_commit() {
    for_each_database(|db| async move {
        let unit = db.write((), |(), tx| {
            Box::pin(async move {
                // More than is put off at once.
                for n in 0..2_000 {
                    add_later(tx, &format!("later-{n}")).await?;
                }
                let seen: i64 = on_db!(tx, conn => sqlx::query_scalar(COUNT).fetch_one(conn).await)?;
                add_later(tx, "last").await?;
                Ok::<_, DbError>(seen)
            })
        });
        assert_eq!(unit.await.expect("it is written"), 2_000);
        assert_eq!(count(&db).await, 2_001);
    })
    .await;
}

#[tokio::test]
async fn a_failing_unit_leaves_no_trace_and_harms_no_neighbour() {
    for_each_database(|db| async move {
        for (round, put_off) in [true, false].into_iter().enumerate() {
            let units = (0..40).map(|n| {
                db.write((round, n, put_off), |(round, n, put_off): &(usize, i32, bool), tx| {
                    Box::pin(async move {
                        let first = format!("first-{round}-{n}");
                        // Every fifth breaks the primary key after its first row was written.
                        let second = if n % 5 == 0 { first.clone() } else { format!("second-{round}-{n}") };
                        for id in [first, second] {
                            if *put_off { add_later(tx, &id).await? } else { add(tx, &id).await? }
                        }
                        Ok(())
                    })
                })
            });
            let outcomes: Vec<Result<(), DbError>> = join_all(units).await;
            for (n, outcome) in outcomes.iter().enumerate() {
                if n % 5 == 0 {
                    assert!(matches!(outcome, Err(DbError::Constraint(_))), "{n}: {outcome:?}");
                } else {
                    assert!(outcome.is_ok(), "{n}: {outcome:?}");
                }
            }
            assert_eq!(count(&db).await, if put_off { 64 } else { 128 });
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_put_off_and_refused_for_any_reason_leaves_no_lock() {
    for_each_database(|db| async move {
        for _ in 0..3 {
            // No constraint that is told apart from others: a column that must have a value.
            let refused = db.write::<_, (), DbError, _>((), |(), tx| {
                Box::pin(async move {
                    add_later(tx, "gone").await?;
                    Ok(later_on_db!(tx, insert => {
                        insert.push("INSERT INTO audit (id, tenant, owner, at, action, outcome) VALUES ('x', NULL, 'o', 1, 'a', 'b')");
                    })?)
                })
            });
            assert!(refused.await.is_err());
            let next: Result<(), DbError> =
                db.write((), |(), tx| Box::pin(async move { add(tx, "next").await?; Err(DbError::Closed) })).await;
            assert!(matches!(next, Err(DbError::Closed)), "{next:?}");
        }
        assert_eq!(count(&db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_unit_that_fails_forgets_what_it_put_off() {
    for_each_database(|db| async move {
        let outcome: Result<(), DbError> = db
            .write((), |(), tx| {
                Box::pin(async move {
                    add_later(tx, "gone").await?;
                    Err(DbError::Closed)
                })
            })
            .await;
        assert!(matches!(outcome, Err(DbError::Closed)), "{outcome:?}");
        let next: Result<(), DbError> = db.write((), |(), tx| Box::pin(add_later(tx, "next"))).await;
        next.expect("it is written");
        assert_eq!(count(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_panicking_unit_is_an_error_and_the_writer_goes_on() {
    for_each_database(|db| async move {
        let outcome: Result<(), DbError> = db
            .write((), |(), tx| {
                Box::pin(async move {
                    add(tx, "before").await?;
                    panic!("a unit of this test panics")
                })
            })
            .await;
        assert!(matches!(outcome, Err(DbError::UnitPanicked)), "{outcome:?}");
        let outcome: Result<(), DbError> = db.write((), |(), tx| Box::pin(add(tx, "after"))).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(count(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_the_database_ended_by_itself_harms_no_later_one() {
    for_each_database(|db| async move {
        if db.dialect() == Dialect::Postgres {
            return;
        }
        // As SQLite does when the disk is full: the transaction is over, and nobody was asked.
        let ended = db.write::<_, (), DbError, _>((), |(), tx| {
            Box::pin(async move {
                add(tx, "gone").await?;
                on_db!(tx, conn => sqlx::query("ROLLBACK").execute(conn).await.map(drop))?;
                Err(DbError::UnitPanicked)
            })
        });
        assert!(ended.await.is_err());
        for n in 0..3 {
            let id = format!("after-{n}");
            let outcome = db.write::<_, (), DbError, _>(id, |id: &String, tx| Box::pin(add(tx, id))).await;
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        assert_eq!(count(&db).await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_unit_runs_even_if_its_caller_is_dropped() {
    for_each_database(|db| async move {
        let write = db.write::<_, (), DbError, _>((), |(), tx| Box::pin(add(tx, "dropped")));
        // One poll enqueues it; then the caller goes away.
        let _ = futures_util::FutureExt::now_or_never(write);
        let next: Result<(), DbError> = db.write((), |(), tx| Box::pin(add(tx, "next"))).await;
        next.expect("the writer goes on");
        // On PostgreSQL the two are transactions of their own, in no order.
        while count(&db).await < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("gateway.db").display());
    let db = Db::open(&settings(url.clone())).await.expect("it opens");
    let write = db.write::<_, (), DbError, _>((), |(), tx| Box::pin(add(tx, "dropped")));
    let _ = futures_util::FutureExt::now_or_never(write);
    db.close().await;
    let db = Db::open(&settings(url)).await.expect("it opens again");
    assert_eq!(count(&db).await, 1);
    db.close().await;
}

#[tokio::test]
async fn a_reader_on_sqlite_cannot_write() {
    for_each_database(|db| async move {
        if db.dialect() == Dialect::Sqlite {
            let mut reader = db.reader().await.expect("a reader");
            assert!(add(&mut reader.tx(), "x").await.is_err());
            assert!(add_later(&mut reader.tx(), "x").await.is_err());
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_behind_is_refused_unless_it_may_be_migrated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("gateway.db").display());
    let behind = super::DbSettings { migrate: false, ..settings(url.clone()) };
    assert!(matches!(Db::open(&behind).await, Err(DbError::Schema(_))));
    Db::open(&settings(url)).await.expect("it migrates").close().await;
    Db::open(&behind).await.expect("now it is current").close().await;
}

/// Tables with their columns, in the order of both.
async fn schema(db: &Db) -> Vec<(String, String)> {
    let sql = match db.dialect() {
        Dialect::Sqlite => {
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' \
             AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY 1, 2"
        }
        Dialect::Postgres => {
            "SELECT table_name::text COLLATE \"C\", column_name::text COLLATE \"C\" FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%' ORDER BY 1, 2"
        }
    };
    let mut reader = db.reader().await.expect("a reader");
    on_db!(&mut reader.tx(), conn => sqlx::query_as(sql).fetch_all(conn).await).expect("the schema")
}

#[tokio::test]
async fn both_databases_have_the_same_migrations_tables_and_columns() {
    let names = |set: &sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        set.iter().map(|m| (m.version, m.description.to_string())).collect()
    };
    assert_eq!(names(&super::migrate::SQLITE), names(&super::migrate::POSTGRES));
    let schemas = std::sync::Mutex::new(Vec::new());
    for_each_database(|db| {
        let schemas = &schemas;
        async move {
            let found = schema(&db).await;
            schemas.lock().expect("no panic").push(found);
        }
    })
    .await;
    let schemas = schemas.into_inner().expect("no panic");
    assert!(schemas[0].len() > 50);
    assert!(schemas.iter().all(|schema| *schema == schemas[0]), "{schemas:#?}");
}
