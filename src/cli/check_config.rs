//! `check-config`: says whether the gateway would start with this configuration, without starting it.

use super::settings::SettingsArgs;
use super::{Outcome, print};
use crate::app;

pub(super) fn run(settings: SettingsArgs) -> Outcome {
    let config = settings.load()?;
    let of_stages = app::check(&config)?;
    for warning in config.warnings().into_iter().chain(of_stages) {
        print(&format!("warning: {warning}"))?;
    }
    // Names alone: a value may be a secret.
    for origin in &config.origins {
        print(&format!("{}: set by {}", origin.key, origin.source))?;
    }
    for (variable, reason) in &config.unused_variables {
        print(&format!("{variable}: not used, {reason}"))?;
    }
    print(&format!("data folder: {}", config.data_dir.display()))?;
    print(&format!("listening on: {}", config.server.listen))?;
    print("the configuration is sound")?;
    Ok(())
}
