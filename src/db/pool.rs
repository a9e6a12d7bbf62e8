//! Opening the database: pragmas and session settings.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;

use super::writer::Writer;
use super::{DbError, Inner, ahead, migrate};

/// Which of the two databases a statement runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 14 or later.
    Postgres,
}

/// How to open the database.
#[derive(Debug, Clone)]
pub(crate) struct DbSettings {
    /// `sqlite:PATH` or `postgres://…`.
    pub(crate) url: String,
    /// Connections: on SQLite for reading (writing has one of its own), on PostgreSQL in all.
    pub(crate) connections: u32,
    /// How long to wait for a connection or a lock.
    pub(crate) busy_timeout: Duration,
    /// Whether every commit is on stable storage before it is acknowledged.
    pub(crate) durable: bool,
    /// Whether pending migrations are applied; otherwise they are an error.
    pub(crate) migrate: bool,
    /// Told how many units of writing shared each commit on SQLite.
    pub(crate) observe_group: fn(usize),
}

/// The writer's page cache in KiB, negative as SQLite wants it. A group of units touches pages all over the search
/// index; those that do not fit into the cache are written and read again within the transaction.
const WRITER_CACHE: &str = "-65536";
/// How much of the file readers map, in bytes; SQLite's own limit is little more. A look-up reads a few words of each
/// page on its way, and a map spares copying the rest. (A failing disk then ends the process instead of a statement;
/// what was acknowledged is no less safe for that.)
const READER_MAP: &str = "70368744177664";
/// Pages in the write-ahead log after which it is copied into the database: each copy writes a page once, however
/// often it changed since the last one.
const CHECKPOINT: &str = "8192";
/// How long the log becomes: those pages, each with its header, and what the units add that make it full.
const LOG_BYTES: u64 = 36 * 1024 * 1024;

pub(super) async fn open(settings: &DbSettings) -> Result<Inner, DbError> {
    if let Some(path) = settings.url.strip_prefix("sqlite:") {
        open_sqlite(settings, PathBuf::from(path.trim_start_matches("//"))).await
    } else if settings.url.starts_with("postgres://") || settings.url.starts_with("postgresql://") {
        open_postgres(settings).await
    } else {
        Err(DbError::Url("it starts with neither sqlite: nor postgres://".to_owned()))
    }
}

async fn open_sqlite(settings: &DbSettings, path: PathBuf) -> Result<Inner, DbError> {
    // Made here for its owner's eyes only; SQLite gives its other files the same mode.
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    made.map_err(sqlx::Error::Io)?;
    let log = ahead::log_of(&path);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if settings.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .disable_statement_logging();
    let writer = options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", CHECKPOINT);
    let mut conn = writer.clone().create_if_missing(true).connect().await?;
    migrate::sqlite(&mut conn, settings.migrate).await?;
    if settings.durable {
        // Nobody waits for it, and without it commits only take longer.
        drop(spawn_blocking(move || ahead::lengthen(&log, LOG_BYTES)));
    }
    let readers = SqlitePoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(settings.busy_timeout)
        // A file does not hang up, and asking costs a hop to the connection's thread and back.
        .test_before_acquire(false)
        .connect_lazy_with(options.read_only(true).pragma("mmap_size", READER_MAP));
    let reopen = writer.create_if_missing(false);
    Ok(Inner::Sqlite { readers, writer: Writer::start(conn, reopen, settings.observe_group) })
}

async fn open_postgres(settings: &DbSettings) -> Result<Inner, DbError> {
    let millis = |d: Duration| format!("{}ms", d.as_millis());
    let options = PgConnectOptions::from_str(&settings.url)
        .map_err(|_| DbError::Url("it is not a PostgreSQL URL".to_owned()))?
        .options([
            ("statement_timeout", millis(settings.busy_timeout)),
            ("lock_timeout", millis(settings.busy_timeout / 2)),
            ("idle_in_transaction_session_timeout", millis(settings.busy_timeout * 2)),
            // Statements here are many and short: compiling one would take longer than any of them runs.
            ("jit", "off".to_owned()),
            // `process` durability asks for no wait on the disk; anything else waits whatever the server says.
            ("synchronous_commit", if settings.durable { "on".to_owned() } else { "off".to_owned() }),
        ])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(settings.busy_timeout)
        .connect_with(options)
        .await?;
    migrate::postgres(&pool, settings.migrate).await?;
    Ok(Inner::Postgres { pool, units: TaskTracker::new() })
}

/// Opens the writer's connection anew after it was lost.
pub(super) async fn reopen(options: &SqliteConnectOptions) -> Result<sqlx::SqliteConnection, DbError> {
    let mut conn = options.connect().await?;
    conn.ping().await?;
    Ok(conn)
}
