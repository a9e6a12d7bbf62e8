//! Makes SQLite's write-ahead log as long as it will become, before it is. A commit that only overwrites what the file
//! has needs no new block, no new length and so no commit of the file system's own journal: it takes half the time.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

/// Bytes written at a time.
const PIECE: usize = 1024 * 1024;
/// Space that stays free, whatever it would be good for: a disk that is nearly full is not filled by us.
const LEFT_FREE: u64 = 1024 * 1024 * 1024;

/// The log that belongs to a database.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Lengthens a log that is there to `length` bytes. SQLite may write to it at the same time: what is appended here only
/// ever comes behind what it wrote, and as no frame of its own it reads it as the end of the log.
///
/// # Errors
/// What the system said. The log is as good as it was.
pub(super) fn lengthen(log: &Path, length: u64) -> std::io::Result<()> {
    let space = statvfs(log)?;
    if space.f_bavail.saturating_mul(space.f_frsize) < LEFT_FREE + length {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).open(log)?;
    let piece = vec![0; PIECE];
    while file.metadata()?.len() < length {
        file.write_all(&piece)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    use sqlx::{ConnectOptions, Connection};

    use super::*;

    #[tokio::test]
    async fn a_log_that_was_lengthened_loses_nothing_and_is_read_after_a_crash() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("test.db");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .create_if_missing(true);
        let mut open = options.connect().await.expect("it opens");
        let insert = "INSERT INTO number VALUES (1), (2), (3)";
        sqlx::query("CREATE TABLE number (number INTEGER)").execute(&mut open).await.expect("it is made");
        for _ in 0..3 {
            sqlx::query(insert).execute(&mut open).await.expect("it is written");
            lengthen(&log_of(&path), 3 * PIECE as u64).expect("there is space");
        }
        // The files as a crash leaves them.
        let crashed = folder.path().join("crashed.db");
        for (from, to) in [(path.clone(), crashed.clone()), (log_of(&path), log_of(&crashed))] {
            std::fs::copy(from, to).expect("there is space");
        }
        open.close().await.expect("it closes");
        for path in [path, crashed] {
            let mut open = SqliteConnectOptions::new().filename(&path).connect().await.expect("it opens");
            let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM number")
                .fetch_one(&mut open)
                .await
                .expect("it is read");
            assert_eq!(count, 9);
            let sound: String =
                sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut open).await.expect("it is read");
            assert_eq!(sound, "ok");
        }
    }

    #[test]
    fn a_log_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = log_of(&folder.path().join("test.db"));
        assert!(lengthen(&log, 1).is_err() && !log.exists());
    }
}
