//! What the operator sees: log lines on standard error ([`install`]), metrics for Prometheus ([`Metrics`]).
//! Logs and metrics carry names of ours, sizes, statuses and durations; never what a client sent.

pub(crate) mod metrics;
mod process;
mod recorder;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

pub(crate) use recorder::Metrics;

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The filter is not one.
    #[error("telemetry.log_filter: is not a level or a list of levels by module")]
    Filter,
    /// The process logs already.
    #[error("logging is already set up in this process")]
    Installed,
}

/// Sets logging up for the whole process, panics included. Once per process, from the command line only.
pub(crate) fn install(settings: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = filter(settings)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    }
    .map_err(|_| TelemetryError::Installed)?;
    log_panics();
    Ok(())
}

/// Whether the filter can be used, for `check-config`.
pub(crate) fn check(settings: &TelemetryConfig) -> Result<(), TelemetryError> {
    filter(settings).map(drop)
}

fn filter(settings: &TelemetryConfig) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder().parse(&settings.log_filter).map_err(|_| TelemetryError::Filter)
}

/// Logs where a panic happened, and not its message, which may hold what a client sent.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
