//! `[delivery]`: targets, retry schedule, lease, concurrency.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, unit};

/// From a finished upload to its targets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// The DEX file of targets and routing groups; absolute once loaded.
    pub config_file: Option<PathBuf>,
    /// What becomes of an upload whose data stream has no target.
    pub unrouted: Unrouted,
    /// How long one claim holds without being renewed.
    #[serde(rename = "lease_secs", deserialize_with = "unit::seconds")]
    pub lease: Duration,
    /// Deliveries at once.
    pub concurrency: usize,
    /// Deliveries at once for each target.
    pub concurrency_per_target: usize,
    /// The wait before each attempt, the first of which is made at once whatever its entry says; after as many
    /// attempts the delivery is dead.
    #[serde(rename = "retry_schedule_secs", deserialize_with = "unit::list_of_seconds")]
    pub retry_schedule: Vec<Duration>,
    /// How often due deliveries are looked for that nobody announced.
    #[serde(rename = "poll_interval_ms", deserialize_with = "unit::milliseconds")]
    pub poll_interval: Duration,
}

/// What becomes of an upload whose data stream has no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unrouted {
    /// It is kept, and its status reads `FAILED`.
    Accept,
    /// It is turned away before its first byte.
    Refuse,
}

impl DeliveryConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.refuse_zero("delivery.lease_secs", self.lease.as_secs());
        problems.refuse_outside("delivery.concurrency", self.concurrency, 10_000);
        problems.refuse_outside("delivery.concurrency_per_target", self.concurrency_per_target, 10_000);
        let millis = u64::try_from(self.poll_interval.as_millis()).unwrap_or(u64::MAX);
        problems.refuse_zero("delivery.poll_interval_ms", millis);
        if self.retry_schedule.len() > 100 {
            problems.add("delivery.retry_schedule_secs", "has more than 100 entries");
        }
    }

    pub(super) fn warn(&self, warnings: &mut Vec<String>) {
        // A renewal comes after a third of the lease; below that a slow commit loses it.
        if self.lease < Duration::from_secs(6) {
            warnings.push(
                "delivery.lease_secs: so short that a busy database lets leases run out during deliveries"
                    .to_owned(),
            );
        }
        if self.lease < self.poll_interval {
            warnings.push("delivery.lease_secs: shorter than poll_interval_ms".to_owned());
        }
        if self.retry_schedule.is_empty() {
            warnings.push("delivery.retry_schedule_secs: empty, so nothing is tried twice".to_owned());
        }
    }
}
