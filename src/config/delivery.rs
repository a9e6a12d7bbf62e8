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
    /// Deliveries at once, beside the first of each target.
    pub concurrency: usize,
    /// Deliveries at once for each target, where the delivery file says nothing else.
    pub concurrency_per_target: usize,
    /// How long a delivery may move nothing before it is cut off.
    #[serde(rename = "stall_timeout_secs", deserialize_with = "unit::seconds")]
    pub stall_timeout: Duration,
    /// Failures in a row after which a target is left alone.
    pub breaker_failures: u32,
    /// How long the first time; twice as long each time it fails again.
    #[serde(rename = "breaker_pause_secs", deserialize_with = "unit::seconds")]
    pub breaker_pause: Duration,
    /// How long at most.
    #[serde(rename = "breaker_longest_pause_secs", deserialize_with = "unit::seconds")]
    pub breaker_longest_pause: Duration,
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
        problems.refuse_zero("delivery.stall_timeout_secs", self.stall_timeout.as_secs());
        problems.refuse_zero("delivery.breaker_failures", self.breaker_failures.into());
        problems.refuse_zero("delivery.breaker_pause_secs", self.breaker_pause.as_secs());
        if self.breaker_longest_pause < self.breaker_pause {
            problems.add("delivery.breaker_longest_pause_secs", "is shorter than breaker_pause_secs");
        }
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
