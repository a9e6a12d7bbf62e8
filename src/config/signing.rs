//! `[fhir.signing]`: with what the gateway signs as an organisation.

use std::path::PathBuf;

use serde::Deserialize;

use super::Problems;

/// Who signs, and with what. Without it nothing is signed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigningConfig {
    /// The private key in PEM; absolute once loaded.
    pub key_file: Option<PathBuf>,
    /// Its certificate in PEM and those between it and the authority; absolute once loaded.
    pub certificate_file: Option<PathBuf>,
    /// The identifier of the organisation, as `system|value`. The certificate names it too.
    pub who: Option<String>,
    /// The name of the organisation.
    pub display: Option<String>,
}

impl SigningConfig {
    /// Whether there is anything to sign with.
    pub fn is_set(&self) -> bool {
        self.key_file.is_some()
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        let parts = [self.key_file.is_some(), self.certificate_file.is_some(), self.who.is_some()];
        if parts.contains(&true) && parts.contains(&false) {
            problems.add("fhir.signing", "key_file, certificate_file and who belong together");
        }
    }

    /// Makes relative paths absolute.
    pub(super) fn resolve(&mut self) {
        for path in [&mut self.key_file, &mut self.certificate_file].into_iter().flatten() {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
    }
}
