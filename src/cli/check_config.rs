//! `check-config`: says whether the gateway would start with this configuration, without starting it.

use super::settings::SettingsArgs;
use super::{Outcome, print};
use crate::{app, telemetry};

pub(super) fn run(settings: SettingsArgs) -> Outcome {
    let config = settings.load()?;
    telemetry::check(&config.telemetry)?;
    let of_files = app::check_files(&config)?;
    for warning in config.warnings().into_iter().chain(of_files) {
        print(&format!("warning: {warning}"))?;
    }
    print(&format!("data folder: {}", config.data_dir.display()))?;
    print(&format!("listening on: {}", config.server.listen))?;
    print("the configuration is sound")?;
    Ok(())
}
