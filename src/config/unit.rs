//! Numbers whose key names their unit (`…_secs`, `…_ms`) become durations when they are read, so that no
//! other code ever holds a bare number of seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A year is for ever here; adding it to a moment cannot overflow.
const LONGEST: Duration = Duration::from_hours(8784);

fn bounded<E: Error>(duration: Duration) -> Result<Duration, E> {
    if duration <= LONGEST { Ok(duration) } else { Err(E::custom("must be at most a year")) }
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(Duration::from_secs(u64::deserialize(deserializer)?))
}

pub(super) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(Duration::from_millis(u64::deserialize(deserializer)?))
}

pub(super) fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(Duration::from_secs(u64::from(u32::deserialize(deserializer)?) * 3600))
}

/// A hundred years; nothing that is kept is older, and subtracting it from a moment cannot overflow.
const MOST_DAYS: u32 = 36_525;

fn of_days<E: Error>(days: u32) -> Result<Duration, E> {
    let time = Duration::from_secs(u64::from(days) * 24 * 3600);
    if days <= MOST_DAYS { Ok(time) } else { Err(E::custom("must be at most a hundred years")) }
}

pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    of_days(u32::deserialize(deserializer)?)
}

pub(super) fn some_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Option::<u32>::deserialize(deserializer)?.map(of_days).transpose()
}

pub(super) fn list_of_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let seconds = Vec::<u64>::deserialize(deserializer)?;
    seconds.into_iter().map(|seconds| bounded(Duration::from_secs(seconds))).collect()
}

pub(super) fn map_of_hours<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Duration>, D::Error> {
    let hours = BTreeMap::<String, u32>::deserialize(deserializer)?;
    let time = |hours: u32| bounded(Duration::from_secs(u64::from(hours) * 3600));
    hours.into_iter().map(|(name, hours)| Ok((name, time(hours)?))).collect()
}
