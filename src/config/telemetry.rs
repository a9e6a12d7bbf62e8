//! `[telemetry]`: what the operator sees.

use serde::Deserialize;

use super::Problems;

/// What the operator sees.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub log_format: LogFormat,
    /// A level, or levels by module, as `tracing` filters are written.
    pub log_filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl TelemetryConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        // The subscriber of rank 1 parses it whole; an empty filter would be legal there and log nothing.
        if self.log_filter.trim().is_empty() {
            problems.add("telemetry.log_filter", "is empty; \"off\" logs nothing");
        }
    }
}
