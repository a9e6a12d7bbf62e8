//! Settings: plain types, one file for each section, and the only reader of the environment.
//!
//! Four layers, each over the one before: `examples/gateway.toml`, which is compiled in and is the single
//! source of defaults; the file given by `--config`; the environment; the command line ([`load`](mod@load)).
//! All problems are reported at once ([`Problems`]). Nothing here opens what the settings name.

mod auth;
mod database;
mod delivery;
mod dex_environment;
mod environment;
mod fhir;
mod fhir_mapping;
mod forward;
mod load;
mod manifest;
mod partner;
mod policy;
mod problems;
mod report;
mod retention;
mod screening;
mod secret;
mod server;
mod signing;
mod store;
mod telemetry;
mod unit;
mod upload;
mod upstream;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use auth::{AuthConfig, AuthMode, OAuthFrontConfig};
pub use database::DatabaseConfig;
pub use delivery::{DeliveryConfig, Unrouted};
pub use environment::environment;
pub use fhir::{FhirConfig, Validation};
pub use fhir_mapping::{FhirFieldsConfig, FhirMappingConfig, FhirSource, FhirStreamConfig};
pub use forward::ForwardConfig;
pub use load::{Flag, LoadOptions, Origin};
pub use manifest::ManifestConfig;
pub use partner::{CredentialsConfig, PartnerConfig, PartnerConfigs};
pub use policy::{
    Authorization, NoMatch, PartnerPolicyConfig, PolicyConfig, PollingConfig, PurposeOfUse, SignaturePolicy,
    TaskOutput, TaskPolicy, TrustConfig,
};
pub use problems::{Problem, Problems};
pub use report::{ReportConfig, SinkConfig, SinkPlace, SinkType};
pub use retention::{RetentionConfig, StreamRetentionConfig};
pub use screening::{Reaction, ScannerAddress, ScreeningConfig};
pub use secret::Secret;
pub use server::ServerConfig;
pub use signing::SigningConfig;
pub use store::{StoreConfig, StorePlace};
pub use telemetry::{LogFormat, TelemetryConfig};
pub use upload::UploadConfig;
pub use upstream::UpstreamConfig;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of everything the gateway keeps; absolute once loaded.
    pub data_dir: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Addresses, limits, stop time.
    pub server: ServerConfig,
    /// Where the rows are.
    pub database: DatabaseConfig,
    /// Where the bytes are.
    pub upload: UploadConfig,
    /// Limits of the FHIR door.
    pub fhir: FhirConfig,
    /// DEX data streams.
    pub manifest: ManifestConfig,
    /// From a finished upload to its targets.
    pub delivery: DeliveryConfig,
    /// What is looked at before that.
    pub screening: ScreeningConfig,
    /// Where reports are sent.
    pub report: ReportConfig,
    /// How long what is done with is kept.
    pub retention: RetentionConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// What is agreed with everybody.
    pub policy: PolicyConfig,
    /// Whom we exchange with.
    #[serde(default)]
    pub partner: PartnerConfigs,
    /// What the operator sees.
    pub telemetry: TelemetryConfig,
    /// Where each key comes from that is not at its default.
    #[serde(skip)]
    pub origins: Vec<Origin>,
    /// Variables of DEX that are set and mean nothing here, each with the reason.
    #[serde(skip)]
    pub unused_variables: Vec<(&'static str, &'static str)>,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// What was acknowledged survives a loss of power.
    Full,
    /// What was acknowledged survives the end of the process.
    Process,
}

impl Config {
    /// Reads all layers and checks the outcome.
    ///
    /// # Errors
    /// Every problem of every layer, each with the path of its key.
    pub fn load(options: &LoadOptions) -> Result<Self, Problems> {
        load::load(options, &environment::settings())
    }

    /// The same for whoever can tell more of what is not sound: a value that does not fit is its default, and there is
    /// nothing at all only where even that cannot be had.
    pub fn examine(options: &LoadOptions) -> (Option<Self>, Problems) {
        load::examine(options, &environment::settings())
    }

    /// The defaults, with another data folder and a free loopback port: for gateways that are started
    /// inside another program.
    ///
    /// # Errors
    /// None while the compiled-in defaults are sound, which `the_defaults_are_sound` proves.
    pub fn defaults_in(data_dir: &Path) -> Result<Self, Problems> {
        let flags = vec![
            Flag { name: "data-dir", key: "data_dir", value: data_dir.display().to_string() },
            Flag { name: "listen", key: "server.listen", value: "127.0.0.1:0".to_owned() },
        ];
        load::load(&LoadOptions { file: None, flags }, &[])
    }

    /// The database to open: the one set, or the file `gateway.db` in the data folder.
    pub fn database_url(&self) -> Secret {
        self.database.url_in(&self.data_dir)
    }

    /// The place that keeps the bytes of uploads.
    pub fn upload_store(&self) -> StorePlace {
        self.upload.store_in(&self.data_dir)
    }

    /// The place of the per-stream DEX configurations, if there are any.
    pub fn stream_files(&self) -> Option<StorePlace> {
        self.manifest.files()
    }

    /// How to get into the bucket of the per-stream configurations, and the section that says it.
    pub fn stream_store(&self) -> (&StoreConfig, &'static str) {
        if self.manifest.store == StoreConfig::default() {
            (&self.upload.store, "upload.store")
        } else {
            (&self.manifest.store, "manifest.store")
        }
    }

    /// Settings that are legal but risky, in words for the operator.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.durability == Durability::Process {
            warnings.push("durability: acknowledged data may be lost when the power fails".to_owned());
        }
        self.delivery.warn(&mut warnings);
        self.report.warn(&mut warnings);
        self.retention.warn(&mut warnings);
        self.fhir.upstream.warn(self.server.handler_timeout, &mut warnings);
        self.auth.warn(&mut warnings);
        warnings
    }

    fn validate(&self, problems: &mut Problems) {
        if self.data_dir.as_os_str().is_empty() {
            problems.add("data_dir", "is empty");
        }
        self.server.validate(problems);
        self.database.validate(problems);
        self.upload.validate(problems);
        self.fhir.validate(problems);
        self.policy.trust.validate("policy.trust", problems);
        self.policy.polling.validate("policy.polling", problems);
        if !self.fhir.signing.is_set() {
            let signs = |own: &PartnerConfig| own.policy.sign == Some(true);
            let partners = self.partner.iter().filter(|(_, own)| signs(own));
            let partners = partners.map(|(name, _)| format!("partner.{name}.policy.sign"));
            for path in self.policy.sign.then(|| "policy.sign".to_owned()).into_iter().chain(partners) {
                problems.add(&path, "needs fhir.signing");
            }
        }
        partner::validate(&self.partner, problems);
        forward::validate(&self.fhir.forward, &self.partner, problems);
        self.manifest.validate(problems);
        for (path, text) in self.manifest.fhir.problems() {
            problems.add(&format!("manifest.fhir.{path}"), text);
        }
        self.delivery.validate(problems);
        self.screening.validate(problems);
        self.report.validate(problems);
        self.retention.validate(problems);
        self.auth.validate(problems);
        self.telemetry.validate(problems);
        if self.auth.mode == AuthMode::None && !self.server.listen.ip().to_canonical().is_loopback() {
            problems.add(
                "server.listen",
                "is not a loopback address, which auth.mode = \"none\" demands: anybody could call",
            );
        }
    }

    /// Makes relative paths absolute, as a shell would: from the working directory.
    fn resolve(&mut self, problems: &mut Problems) {
        match std::path::absolute(&self.data_dir) {
            Ok(absolute) => self.data_dir = absolute,
            // Validation names an empty path.
            Err(_) if self.data_dir.as_os_str().is_empty() => {}
            Err(_) => {
                problems.add("data_dir", "cannot be made absolute: the working directory is not readable");
            }
        }
        self.manifest.resolve();
        for path in [&mut self.delivery.config_file, &mut self.fhir.upstream.key_file].into_iter().flatten() {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        self.report.resolve(&self.data_dir);
        self.policy.trust.resolve();
        self.fhir.signing.resolve();
        for partner in self.partner.values_mut() {
            partner.resolve();
        }
    }
}

#[cfg(test)]
mod tests;
