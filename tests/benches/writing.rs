//! How fast the database takes what must not be lost: units of `db.write` and claimed-and-settled deliveries, held
//! against the bare limit, one row and one commit at a time through sqlx on the same disk in the same run.
//!
//! `cargo bench --bench writing`. The disk is that of the temporary folder (`TMPDIR`). PostgreSQL is a cluster of
//! its own with `fsync=off`, so its rows show the work and not the disk; without one they are skipped and said so.

mod commit;
#[expect(dead_code, reason = "the benches need a part of what the tests share")]
#[path = "../it/support/mod.rs"]
mod support;
mod table;

use std::sync::Arc;
use std::time::Instant;

use cdex_gateway::internals::{Database, Failure};
use tokio_util::task::TaskTracker;

use self::commit::BareDatabase;
use self::support::postgres;
use self::table::speed;

/// Rows that are written one after the other.
const ALONE: usize = 1_000;
/// Rows that [`WRITERS`] write together.
const TOGETHER: usize = 32_000;
const WRITERS: usize = 64;
/// Deliveries of each round.
const DELIVERIES: usize = 4_000;
const TARGETS: [&str; 4] = ["one", "two", "three", "four"];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    table::heading(&format!("SQLite, synchronous=FULL, in {}", folder.path().display()), "row");
    let bare = BareDatabase::sqlite(&folder.path().join("bare.db")).await?;
    // Its own file for the limit; the one of the gateway must have the gateway's schema first.
    let path = folder.path().join("gateway.db");
    let database = Database::open(&format!("sqlite:{}", path.display())).await?;
    measure(bare, database, BareDatabase::open_sqlite(&path).await?).await?;

    table::heading("PostgreSQL, own cluster, fsync=off", "row");
    let Some((url, bare)) = postgres::fresh_database().zip(postgres::fresh_database()) else {
        table::note("SKIPPED", "no PostgreSQL on this machine");
        return Ok(());
    };
    let bare = BareDatabase::postgres(&bare).await?;
    let database = Database::open(&url).await?;
    measure(bare, database, BareDatabase::open_postgres(&url).await?).await
}

/// `seed` is a second connection to the database that is measured.
async fn measure(mut bare: BareDatabase, database: Database, mut seed: BareDatabase) -> Result<(), Failure> {
    // The best of three, because what disturbs a disk only ever makes it slower.
    let mut times = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        for _ in 0..ALONE {
            bare.commit_row().await?;
        }
        times.push(begin.elapsed());
    }
    let time = times.into_iter().min().unwrap_or_default();
    let limit = table::limit("bare sqlx: a row and a commit at a time", speed(ALONE, time));

    let begin = Instant::now();
    for _ in 0..ALONE {
        database.write_row().await?;
    }
    table::row("db.write: one writer", speed(ALONE, begin.elapsed()), limit);

    let database = Arc::new(database);
    let begin = Instant::now();
    let writers = TaskTracker::new();
    let written: Vec<_> = (0..WRITERS)
        .map(|_| {
            let database = Arc::clone(&database);
            writers.spawn(async move {
                for _ in 0..TOGETHER / WRITERS {
                    database.write_row().await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for writer in written {
        writer.await??;
    }
    table::row(&format!("db.write: {WRITERS} writers"), speed(TOGETHER, begin.elapsed()), limit);

    for (round, targets) in [&TARGETS[..1], &TARGETS[..]].into_iter().enumerate() {
        seed.enqueue(round, targets, DELIVERIES).await?;
        let begin = Instant::now();
        database.deliver(targets, DELIVERIES).await;
        let what = format!("deliveries claimed and settled, targets: {}", targets.len());
        table::row(&what, speed(DELIVERIES, begin.elapsed()), limit);
    }
    database.close().await;
    Ok(())
}
