//! What a database can refuse, classified once.

use std::fmt::Display;

/// A statement or a connection failed, or a row does not say what its column promises.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DbError {
    /// The database cannot be reached, is shutting down, or is too busy; trying later may help.
    #[error("the database is not available")]
    Unavailable(#[source] SharedError),
    /// No space is left where the database lives.
    #[error("no space is left for the database")]
    Full(#[source] SharedError),
    /// A unique or foreign key constraint refused a row.
    #[error("a constraint of the database refused the change")]
    Constraint(#[source] SharedError),
    /// The statement is wrong, or the schema is not the one it was written for.
    #[error("the database refused a statement")]
    Statement(#[source] SharedError),
    /// A stored value is not what its column promises.
    #[error("{table}.{column} of row {row} holds a value that cannot be read")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's identifier; one of ours.
        row: String,
    },
    /// The schema is older or newer than this program.
    #[error("the database schema is not the one of this version: {0}")]
    Schema(String),
    /// The database URL cannot be used.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// A unit of writing panicked; it left no trace.
    #[error("a unit of writing panicked")]
    UnitPanicked,
    /// The gateway is stopping and takes no more writes.
    #[error("the database is closed")]
    Closed,
}

/// An [`sqlx::Error`] that several callers can be told of.
pub(crate) type SharedError = std::sync::Arc<sqlx::Error>;

impl DbError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_) | Self::Closed)
    }

    /// Whether a write that ended so may have been committed all the same: the answer to the commit was lost.
    pub(crate) fn leaves_commit_unknown(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Closed)
    }

    /// A stored value that cannot be read.
    pub(crate) fn inconsistent(table: &'static str, column: &'static str, row: impl Display) -> Self {
        Self::Inconsistent { table, column, row: row.to_string() }
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let class: fn(SharedError) -> Self = match &error {
            sqlx::Error::Database(database) => match database.kind() {
                sqlx::error::ErrorKind::UniqueViolation | sqlx::error::ErrorKind::ForeignKeyViolation => {
                    Self::Constraint
                }
                _ => match database.code().as_deref() {
                    // SQLITE_FULL and its I/O relatives; PostgreSQL class 53 `disk_full`.
                    Some("13" | "53100") => Self::Full,
                    // SQLITE_BUSY, _LOCKED, _IOERR; PostgreSQL resources, shutdown, serialisation, lock.
                    Some(
                        "5" | "6" | "10" | "57P01" | "57P02" | "57P03" | "53300" | "40001" | "40P01"
                        | "55P03",
                    ) => Self::Unavailable,
                    _ => Self::Statement,
                },
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            _ => Self::Statement,
        };
        class(std::sync::Arc::new(error))
    }
}
