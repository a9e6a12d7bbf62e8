//! `migrate`: brings the schema of the database up to date, for operators who do not let the gateway do it
//! when it starts.

use super::settings::SettingsArgs;
use super::{Outcome, block_on, print};
use crate::{app, telemetry};

pub(super) fn run(settings: SettingsArgs) -> Outcome {
    let config = settings.load()?;
    telemetry::install(&config.telemetry)?;
    block_on(app::migrate(config))??;
    print("the schema is up to date")?;
    Ok(())
}
