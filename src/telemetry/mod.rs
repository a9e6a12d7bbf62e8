//! Logs and metrics.
pub(crate) mod metrics;
