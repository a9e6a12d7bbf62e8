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

    /// The disk failed under something that the database answers for.
    pub(crate) fn disk(error: std::io::Error) -> Self {
        let is_full = error.kind() == std::io::ErrorKind::StorageFull;
        let error = SharedError::new(sqlx::Error::Io(error));
        if is_full { Self::Full(error) } else { Self::Unavailable(error) }
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
                _ => class_of_code(database.code().as_deref().unwrap_or_default()),
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

/// The class of a database's own code: five characters from PostgreSQL, an extended result code in decimal
/// from SQLite, whose low byte is the primary one.
fn class_of_code(code: &str) -> fn(SharedError) -> DbError {
    if code.len() == 5 {
        return match code {
            "53100" => DbError::Full,
            // Connection, resources, operator, system, serialisation, a lock or an idle transaction timed out.
            _ if ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class)) => {
                DbError::Unavailable
            }
            "55P03" | "25P03" | "25006" => DbError::Unavailable,
            _ => DbError::Statement,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        // SQLITE_FULL
        Ok(13) => DbError::Full,
        // SQLITE_BUSY, _LOCKED, _READONLY, _IOERR, _CANTOPEN
        Ok(5 | 6 | 8 | 10 | 14) => DbError::Unavailable,
        _ => DbError::Statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_have_their_class() {
        let name = |code| match class_of_code(code)(SharedError::new(sqlx::Error::PoolClosed)) {
            DbError::Full(_) => "full",
            DbError::Unavailable(_) => "unavailable",
            _ => "statement",
        };
        let cases = [
            ("13", "full"),
            ("53100", "full"),
            ("778", "unavailable"),
            ("1034", "unavailable"),
            ("517", "unavailable"),
            ("57014", "unavailable"),
            ("57P01", "unavailable"),
            ("08006", "unavailable"),
            ("40001", "unavailable"),
            ("55P03", "unavailable"),
            ("1", "statement"),
            ("42804", "statement"),
            ("42P01", "statement"),
            ("", "statement"),
        ];
        for (code, class) in cases {
            assert_eq!(name(code), class, "{code}");
        }
    }
}
