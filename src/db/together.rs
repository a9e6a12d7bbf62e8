//! Statements that SQLite runs together. Its connection lives on a thread of its own, and a statement is a hop there
//! and a hop back, which costs more than most statements do. So those whose outcome nobody looks at are put off, and
//! run as one before the next that somebody looks at, or with the commit.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

/// Bytes of text after which what was put off is run.
const LONG: usize = 64 * 1024;

/// Statements that wait to be run, with bare placeholders (`$1` would be the first value of them all), and without
/// rows to return. Dropping them forgets them.
pub(crate) struct Later {
    waiting: Option<QueryBuilder<Sqlite>>,
    has_run: bool,
    has_failed: bool,
}

/// The row that says that a commit was made.
const COMMITTED: &str = "committed";

impl Later {
    /// The begin of a transaction, which is put off too.
    pub(super) fn begin() -> Self {
        Self { waiting: Some(QueryBuilder::new("BEGIN IMMEDIATE")), has_run: false, has_failed: false }
    }

    /// Where the next one is written.
    fn next(&mut self) -> &mut QueryBuilder<Sqlite> {
        if let Some(waiting) = &mut self.waiting {
            waiting.push("; ");
        }
        self.waiting.get_or_insert_with(|| QueryBuilder::new(""))
    }

    fn is_long(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.sql().as_str().len() > LONG)
    }

    /// Runs them all.
    pub(super) async fn run(&mut self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match self.waiting.take() {
            Some(mut waiting) => {
                self.has_run = true;
                let run = waiting.build().execute(conn).await.map(drop);
                self.has_failed |= run.is_err();
                run
            }
            None => Ok(()),
        }
    }

    /// Takes back what was run, and forgets the rest.
    pub(super) async fn rollback(self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if !self.has_run {
            return Ok(());
        }
        sqlx::query("ROLLBACK").execute(conn).await.map(drop)
    }

    /// Runs them all and commits. After an error other than that of a constraint nobody knows how the connection
    /// stands.
    pub(super) async fn commit(&mut self, conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if self.has_failed {
            return Err(sqlx::Error::Configuration("a statement that was put off has failed".into()));
        }
        // A connection whose thread has died answers a statement as if it returned nothing. The row says that this one
        // was run, and all before it.
        self.next().push("COMMIT; SELECT '").push(COMMITTED).push("'");
        let Some(mut waiting) = self.waiting.take() else { return Ok(()) };
        self.has_run = true;
        let said: Option<String> = waiting.build_query_scalar().fetch_optional(conn).await?;
        if said.as_deref() == Some(COMMITTED) { Ok(()) } else { Err(sqlx::Error::WorkerCrashed) }
    }
}

/// A connection to SQLite, and what waits to be run on it; nothing can wait outside a transaction.
pub(crate) struct SqliteTx<'c> {
    pub(super) conn: &'c mut SqliteConnection,
    pub(super) later: Option<&'c mut Later>,
}

impl SqliteTx<'_> {
    /// Where a statement is written that may be run later, at the latest with the commit. It may fail as late as that,
    /// and the unit with it.
    ///
    /// # Errors
    /// Those of statements before it; the connection is a reader's.
    pub(crate) async fn later(&mut self) -> Result<&mut QueryBuilder<Sqlite>, sqlx::Error> {
        let Some(later) = &mut self.later else {
            return Err(sqlx::Error::Configuration("a reader does not write".into()));
        };
        if later.is_long() {
            later.run(self.conn).await?;
        }
        Ok(later.next())
    }

    /// The connection, with nothing put off any more.
    ///
    /// # Errors
    /// Those of statements that were put off.
    pub(crate) async fn conn(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if let Some(later) = &mut self.later {
            later.run(self.conn).await?;
        }
        Ok(self.conn)
    }
}
