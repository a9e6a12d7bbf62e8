//! Rows of the gateway's database, seen from outside: what a refusal must not leave, what a trail must not tell.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use super::gateway::Gateway;
use super::http::Request;

/// How many rows a table of the gateway holds.
pub(crate) fn count(gateway: &Gateway, table: &str) -> i64 {
    let statement = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}");
    texts(gateway, &statement)[0].parse().expect("a count is a number")
}

/// All that the audit trail says in words, a text for each row.
pub(crate) fn audit_trail(gateway: &Gateway) -> Vec<String> {
    let columns = ["id", "tenant", "owner", "action", "outcome", "entity", "detail", "request_id"];
    let columns = columns.map(|column| format!("COALESCE({column}, '')")).join(" || ' ' || ");
    texts(gateway, &format!("SELECT {columns} FROM audit"))
}

/// Changes rows of a gateway that is stopped.
pub(crate) fn execute(gateway: &Gateway, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if let Some(url) = gateway.postgres_url() {
            let mut connection = PgConnection::connect(url).await.expect("the test database answers");
            sqlx::query(statement).execute(&mut connection).await.expect("the table is there");
        } else {
            let url = format!("sqlite://{}", gateway.data_dir().join("gateway.db").display());
            let mut connection = SqliteConnection::connect(&url).await.expect("the database file opens");
            sqlx::query(statement).execute(&mut connection).await.expect("the table is there");
        }
    });
}

/// The first column of what a statement finds.
pub(crate) fn texts(gateway: &Gateway, statement: &str) -> Vec<String> {
    // Who lists deliveries waits until all that was acknowledged has its rows. A gateway that is stopped cannot be
    // asked.
    let _ = gateway.try_ask(&Request::new("GET", "/deliveries"));
    let statement = AssertSqlSafe(statement.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if let Some(url) = gateway.postgres_url() {
            let mut connection = PgConnection::connect(url).await.expect("the test database answers");
            let rows = sqlx::query(statement).fetch_all(&mut connection).await.expect("the table is there");
            rows.iter().map(|row| row.get(0)).collect()
        } else {
            let url = format!("sqlite://{}?mode=ro", gateway.data_dir().join("gateway.db").display());
            let mut connection = SqliteConnection::connect(&url).await.expect("the database file opens");
            let rows = sqlx::query(statement).fetch_all(&mut connection).await.expect("the table is there");
            rows.iter().map(|row| row.get(0)).collect()
        }
    })
}
