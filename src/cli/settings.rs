//! The arguments that say which configuration a command works with.

use std::path::PathBuf;

use clap::Args;

use crate::app;
use crate::config::{Config, Flag, LoadOptions, Problems};

/// Where the settings come from; flags are over the environment, which is over the file.
#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    /// Configuration file (TOML), over the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on, instead of `server.listen`.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Folder of everything the gateway keeps, instead of `data_dir`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl SettingsArgs {
    /// Reads and checks the configuration. Where settings are wrong, what is wrong with the files that they name is
    /// told too.
    pub(super) fn load(self) -> Result<Config, Problems> {
        let listen = self.listen.map(|value| Flag { name: "listen", key: "server.listen", value });
        let data_dir = self.data_dir.map(|value| Flag { name: "data-dir", key: "data_dir", value });
        let flags = listen.into_iter().chain(data_dir).collect();
        match Config::examine(&LoadOptions { file: self.config, flags }) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (Some(config), mut problems) => {
                app::check_beside(&config, &mut problems);
                Err(problems)
            }
            (None, problems) => Err(problems),
        }
    }
}
