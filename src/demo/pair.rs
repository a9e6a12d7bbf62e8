//! Two gateways that know each other: a payer's and a provider's, each in a folder of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::DemoError;
use super::ask::{PAYER, PROVIDER};
use super::gateway::Gateway;
use crate::app::{App, Signals};
use crate::config::{Config, PartnerConfig, PartnerPolicyConfig, PollingConfig};
use crate::telemetry;

/// Both of them.
pub(super) struct Pair {
    /// The payer's, as its clients see it.
    pub(super) payer: Gateway,
    /// The provider's.
    pub(super) provider: Gateway,
    apps: [App; 2],
}

impl Pair {
    /// Starts both; when this returns they answer.
    pub(super) async fn start(folder: &Path) -> Result<Self, DemoError> {
        let [payer, provider] = free_addresses()?;
        let folders = [PAYER, PROVIDER].map(|name| folder.join(name));
        let payer = config(&folders[0], payer, (PROVIDER, provider))?;
        let provider = config(&folders[1], provider, (PAYER, payer.server.listen))?;
        telemetry::install(&payer.telemetry)?;
        let apps = [App::start(payer).await?, App::start(provider).await?];
        Ok(Self {
            payer: Gateway::at(apps[0].address(), &folders[0])?,
            provider: Gateway::at(apps[1].address(), &folders[1])?,
            apps,
        })
    }

    /// Lets both run until a signal comes.
    pub(super) async fn run(self, signals: Signals) -> Result<(), DemoError> {
        let [payer, provider] = self.apps;
        payer.run(signals).await?;
        Ok(provider.stop().await?)
    }

    /// Stops both.
    pub(super) async fn stop(self) -> Result<(), DemoError> {
        for app in self.apps {
            app.stop().await?;
        }
        Ok(())
    }
}

/// Two addresses that nobody listens on: each gateway has to know the other's before it starts.
fn free_addresses() -> Result<[SocketAddr; 2], DemoError> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

/// The defaults, and one partner.
fn config(
    folder: &Path,
    listen: SocketAddr,
    (partner, address): (&str, SocketAddr),
) -> Result<Config, DemoError> {
    std::fs::create_dir_all(folder)?;
    let mut config = Config::defaults_in(folder)?;
    config.server.listen = listen;
    // The story is on standard output; only what the gateway itself calls an error may interrupt it.
    "error".clone_into(&mut config.telemetry.log_filter);
    // Nobody watches a screen for the minute that the guide lets a client wait before it looks the first time.
    let second = Duration::from_secs(1);
    let polling =
        PollingConfig { first: Duration::ZERO, every: second, slow_after: second, slow_every: second };
    let partner_config = PartnerConfig {
        fhir_base: Some(format!("http://{address}/fhir")),
        private_addresses: true,
        identifiers: vec!["http://hl7.org/fhir/sid/us-npi|1407071236".to_owned()],
        policy: PartnerPolicyConfig { polling: Some(polling), ..PartnerPolicyConfig::default() },
        ..PartnerConfig::default()
    };
    config.partner.insert(partner.to_owned(), partner_config);
    config.fhir.identifier = Some("http://example.org/cdex/payer-ids|payer123".to_owned());
    Ok(config)
}
