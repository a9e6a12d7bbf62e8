//! `[database]`: URL, pool, busy timeout.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, Secret, unit};

/// Where the rows are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:FILE` or `postgres://…`; [`Config::database_url`](super::Config::database_url) fills it in.
    pub url: Option<Secret>,
    /// With SQLite connections for reading, with PostgreSQL all of them.
    pub connections: u32,
    /// Time to wait for a connection or a lock.
    #[serde(rename = "busy_timeout_secs", deserialize_with = "unit::seconds")]
    pub busy_timeout: Duration,
    /// Whether the schema is brought up to date when the gateway starts.
    pub migrate_on_start: bool,
}

impl DatabaseConfig {
    pub(super) fn url_in(&self, data_dir: &Path) -> Secret {
        let path = match &self.url {
            None => Path::new("gateway.db"),
            Some(url) => match sqlite_path(url.reveal()) {
                Some(path) => Path::new(path),
                None => return url.clone(),
            },
        };
        Secret::new(format!("sqlite:{}", data_dir.join(path).display()))
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        if let Some(url) = &self.url {
            let url = url.reveal();
            if let Some(path) = sqlite_path(url) {
                if path.is_empty() || path.starts_with(':') || path.contains('?') {
                    problems.add("database.url", "must name a file after sqlite:, without parameters");
                }
            } else if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                problems.add("database.url", "must start with sqlite: or postgres://");
            }
        }
        problems.refuse_outside("database.connections", self.connections as usize, 1000);
        problems.refuse_zero("database.busy_timeout_secs", self.busy_timeout.as_secs());
    }
}

/// The file of an SQLite URL: `sqlite:FILE` or `sqlite://FILE`.
fn sqlite_path(url: &str) -> Option<&str> {
    url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path))
}
