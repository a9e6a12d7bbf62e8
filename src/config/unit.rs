//! Numbers whose key names their unit (`…_secs`, `…_ms`) become durations when they are read, so that no
//! other code ever holds a bare number of seconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

pub(super) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

pub(super) fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u32::deserialize(deserializer).map(|hours| Duration::from_secs(u64::from(hours) * 3600))
}

pub(super) fn list_of_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    Ok(Vec::<u64>::deserialize(deserializer)?.into_iter().map(Duration::from_secs).collect())
}
