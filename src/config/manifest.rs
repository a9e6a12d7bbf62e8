//! `[manifest]`: where the per-stream DEX configurations are, and how long what was read of them counts.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{FhirMappingConfig, Problems, StoreConfig, StorePlace, unit};

/// DEX data streams.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestConfig {
    /// Where the per-stream JSON files are: a folder, as a path or `file://` URL, `s3://bucket/prefix` or
    /// `az://container/prefix`; [`Config::stream_files`](super::Config::stream_files) reads it.
    pub config_dir: Option<String>,
    /// How to get into a bucket of them; where nothing is set here, `[upload.store]` counts.
    pub store: StoreConfig,
    /// How often the files, and the delivery file, are looked at for changes; zero is only when asked (SIGHUP).
    #[serde(rename = "reload_secs", deserialize_with = "unit::seconds")]
    pub reload: Duration,
    /// Whether manifests of version 1.0 are taken and made manifests of today.
    pub accept_v1: bool,
    /// Whether malformed entries of `Upload-Metadata` are dropped, as tusd does, instead of refused.
    pub lenient_metadata: bool,
    /// How a FHIR submission becomes a manifest.
    #[serde(default)]
    pub fhir: FhirMappingConfig,
}

impl ManifestConfig {
    /// The place of the files, if they are anywhere.
    pub(super) fn files(&self) -> Option<StorePlace> {
        Some(StorePlace::parse(self.config_dir.as_deref()?, Path::new("")))
    }

    /// Makes a relative folder absolute, as a shell would: from the working directory.
    pub(super) fn resolve(&mut self) {
        let Some(place) = &mut self.config_dir else { return };
        let folder = place.strip_prefix("file://").unwrap_or(place);
        if !folder.contains("://")
            && let Ok(absolute) = std::path::absolute(folder)
            && let Some(absolute) = absolute.to_str()
        {
            absolute.clone_into(place);
        }
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        if let Some(place) = &self.config_dir {
            StorePlace::validate("manifest.config_dir", place, problems);
        }
        self.store.validate("manifest.store", problems);
    }
}
