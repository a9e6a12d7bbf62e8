//! `serve`: the gateway, until it is told to stop.

use super::settings::SettingsArgs;
use super::{Outcome, block_on};
use crate::{app, telemetry};

pub(super) fn run(settings: SettingsArgs) -> Outcome {
    let config = settings.load()?;
    telemetry::install(&config.telemetry)?;
    for origin in &config.origins {
        tracing::info!(key = origin.key, by = origin.source, "set");
    }
    for (variable, reason) in &config.unused_variables {
        tracing::info!(variable, reason, "not used");
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(block_on(app::serve(config))??)
}
