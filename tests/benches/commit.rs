//! The limit that writing is held against: a connection of sqlx with nothing in between, one statement and one
//! commit at a time, durable as the gateway's own. It also puts the rows in place that a delivery bench needs.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

/// The row that `internals::Database::write_row` writes.
const ROW: &str = "INSERT INTO audit (id, tenant, owner, at, action, outcome, entity, detail, request_id) \
    VALUES ($1, 'default', 'anonymous', 0, 'bench', 'success', NULL, NULL, NULL)";
const MANIFEST: &str =
    r#"{"sender_id":"bench","jurisdiction":"null","dex_ingest_datetime":"2026-03-14T09:26:53Z"}"#;

/// A connection.
pub(crate) enum BareDatabase {
    /// To a file, write-ahead log, `synchronous=FULL`.
    Sqlite(SqliteConnection),
    /// To a server.
    Postgres(PgConnection),
}

impl BareDatabase {
    /// A fresh SQLite file with the gateway's tables.
    pub(crate) async fn sqlite(path: &Path) -> sqlx::Result<Self> {
        let mut database = Self::open_sqlite(path).await?;
        database.script(include_str!("../../migrations/sqlite/0001_gateway.sql").to_owned()).await?;
        Ok(database)
    }

    /// A fresh PostgreSQL database with the gateway's tables.
    #[allow(dead_code, reason = "not every bench asks for PostgreSQL")]
    pub(crate) async fn postgres(url: &str) -> sqlx::Result<Self> {
        let mut database = Self::open_postgres(url).await?;
        database.script(include_str!("../../migrations/postgres/0001_gateway.sql").to_owned()).await?;
        Ok(database)
    }

    /// A SQLite file as it is.
    pub(crate) async fn open_sqlite(path: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        Ok(Self::Sqlite(options.connect().await?))
    }

    /// A PostgreSQL database as it is.
    #[allow(dead_code, reason = "not every bench asks for PostgreSQL")]
    pub(crate) async fn open_postgres(url: &str) -> sqlx::Result<Self> {
        Ok(Self::Postgres(PgConnection::connect(url).await?))
    }

    /// Commits one row.
    pub(crate) async fn commit_row(&mut self) -> sqlx::Result<()> {
        let id = uuid::Uuid::now_v7().to_string();
        match self {
            Self::Sqlite(connection) => sqlx::query(ROW).bind(id).execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::query(ROW).bind(id).execute(connection).await.map(drop),
        }
    }

    /// Puts `count` complete uploads in place, each with one delivery that is due, in turn to each of `targets`.
    /// Every `round` needs another number.
    #[allow(dead_code, reason = "not every bench delivers")]
    pub(crate) async fn enqueue(&mut self, round: usize, targets: &[&str], count: usize) -> sqlx::Result<()> {
        let blob = if matches!(self, Self::Sqlite(_)) { "BLOB" } else { "BYTEA" };
        let cases = targets.iter().enumerate().map(|(n, name)| format!(" WHEN {n} THEN '{name}'"));
        let target = cases.collect::<Vec<_>>().concat();
        let uploads = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             INSERT INTO upload (id, tenant, owner, door, state, upload_offset, manifest, data_stream_id, \
             data_stream_route, storage_key, lock_epoch, created_at, changed_at) \
             SELECT '{round:08x}-0000-4000-8000-' || CAST(100000000000 + i AS TEXT), 'default', 'anonymous', \
             'tus', 'complete', 0, CAST('{MANIFEST}' AS {blob}), 'cdex', 'attachment', 'k', 0, 0, 0 FROM n"
        );
        let deliveries = format!(
            "INSERT INTO delivery (id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, \
             lease_epoch, created_at) SELECT id, tenant, owner, id, \
             CASE CAST(substr(id, 25) AS BIGINT) % {}{target} END, 'a/note.txt', 'pending', 'route', CAST(substr(id, 25) AS BIGINT), 0, 0, 0 \
             FROM upload WHERE id LIKE '{round:08x}-%'",
            targets.len()
        );
        self.script(uploads).await?;
        self.script(deliveries).await
    }

    /// Puts `count` copies of a resource in place beside it, each one millisecond older than the one after it and the
    /// last as old as the resource itself. All have its values: whatever finds one finds all of them.
    #[allow(dead_code, reason = "not every bench searches")]
    pub(crate) async fn multiply(&mut self, id: &str, count: usize) -> sqlx::Result<()> {
        let resources = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             INSERT INTO resource (kind, tenant, owner, type, id, version, last_updated, change, bytes, content) \
             SELECT kind, tenant, owner, type, 'copy-' || i, version, \
             (last_updated / 1000000 - {count} + i) * 1000000, change, bytes, \
             CAST(replace(CAST(content AS TEXT), '{id}', 'copy-' || i) AS BLOB) \
             FROM resource, n WHERE id = '{id}'"
        );
        let entries = format!(
            "INSERT INTO search_entry (space, value, resource, extra) \
             SELECT e.space, e.value, c.key, e.extra FROM resource r CROSS JOIN search_entry e CROSS JOIN resource c \
             WHERE r.id = '{id}' AND e.resource = r.key AND c.key > r.key ORDER BY e.space, e.value, c.key"
        );
        self.script(resources).await?;
        self.script(entries).await
    }

    async fn script(&mut self, sql: String) -> sqlx::Result<()> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Sqlite(connection) => script.execute(connection).await.map(drop),
            Self::Postgres(connection) => script.execute(connection).await.map(drop),
        }
    }
}
