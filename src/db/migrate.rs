//! Both migration sets. They only go forward and are never edited.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgPool, SqliteConnection};

use super::DbError;

pub(super) static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
pub(super) static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Brings the schema up to date, or, with `apply` off, refuses one that is not.
pub(super) async fn sqlite(conn: &mut SqliteConnection, apply: bool) -> Result<(), DbError> {
    use sqlx::migrate::Migrate;
    if apply {
        return SQLITE.run(conn).await.map_err(describe);
    }
    conn.ensure_migrations_table(&SQLITE.table_name).await.map_err(describe)?;
    let applied = conn.list_applied_migrations(&SQLITE.table_name).await.map_err(describe)?;
    refuse_unless_current(&SQLITE, applied.iter().map(|m| m.version))
}

/// The same for PostgreSQL; one advisory lock keeps two gateways from migrating at once.
pub(super) async fn postgres(pool: &PgPool, apply: bool) -> Result<(), DbError> {
    use sqlx::migrate::Migrate;
    if apply {
        return POSTGRES.run(pool).await.map_err(describe);
    }
    let mut conn = pool.acquire().await?;
    conn.ensure_migrations_table(&POSTGRES.table_name).await.map_err(describe)?;
    let applied = conn.list_applied_migrations(&POSTGRES.table_name).await.map_err(describe)?;
    refuse_unless_current(&POSTGRES, applied.iter().map(|m| m.version))
}

fn refuse_unless_current(set: &Migrator, applied: impl Iterator<Item = i64>) -> Result<(), DbError> {
    let applied: Vec<i64> = applied.collect();
    let missing: Vec<i64> = set.iter().map(|m| m.version).filter(|v| !applied.contains(v)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(DbError::Schema(format!("migrations {missing:?} are pending; run `cdex-gateway migrate`")))
}

fn describe(error: MigrateError) -> DbError {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        other => DbError::Schema(other.to_string()),
    }
}
