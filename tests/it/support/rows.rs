//! Rows of the gateway's database, counted from outside: what a refusal must not leave.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use super::gateway::Gateway;

/// How many rows a table of the gateway holds.
pub(crate) fn count(gateway: &Gateway, table: &str) -> i64 {
    let statement = format!("SELECT COUNT(*) FROM {table}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if let Some(url) = gateway.postgres_url() {
            let mut connection = PgConnection::connect(url).await.expect("the test database answers");
            let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut connection).await;
            row.expect("the table is there").get(0)
        } else {
            let url = format!("sqlite://{}?mode=ro", gateway.data_dir().join("gateway.db").display());
            let mut connection = SqliteConnection::connect(&url).await.expect("the database file opens");
            let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut connection).await;
            row.expect("the table is there").get(0)
        }
    })
}
