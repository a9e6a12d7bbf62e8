//! `[manifest]`: where the per-stream DEX configurations are.

use std::path::PathBuf;

use serde::Deserialize;

use super::FhirMappingConfig;

/// DEX data streams.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestConfig {
    /// The folder of the per-stream JSON files; absolute once loaded.
    pub config_dir: Option<PathBuf>,
    /// Whether malformed entries of `Upload-Metadata` are dropped, as tusd does, instead of refused.
    pub lenient_metadata: bool,
    /// How a FHIR submission becomes a manifest.
    #[serde(default)]
    pub fhir: FhirMappingConfig,
}
