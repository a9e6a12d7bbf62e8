//! `[upload]`: where the bytes of uploads are kept, and how much of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, StoreConfig, StorePlace, unit};

/// Where the bytes are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadConfig {
    /// A folder, as a path or `file://` URL, `s3://bucket/prefix` or `az://container/prefix`;
    /// [`Config::upload_store`](super::Config::upload_store) reads it.
    pub store_url: Option<String>,
    /// How to get into a bucket.
    pub store: StoreConfig,
    /// The largest upload, which is what `Tus-Max-Size` announces.
    pub max_size_bytes: u64,
    /// While an append runs, its bytes count after so many of them …
    pub checkpoint_bytes: u64,
    /// … or after this time, whichever comes first.
    #[serde(rename = "checkpoint_interval_ms", deserialize_with = "unit::milliseconds")]
    pub checkpoint_interval: Duration,
    /// Whether small uploads are acknowledged from a journal, before they have rows; only where one gateway has a
    /// database and a folder for itself.
    pub journal: bool,
    /// How long an upload that is not complete is kept after its last byte; zero is for ever.
    #[serde(rename = "expiry_hours", deserialize_with = "unit::hours")]
    pub expiry: Duration,
    /// The same for single data streams, by the names of their files without `.json`.
    #[serde(rename = "stream_expiry_hours", deserialize_with = "unit::map_of_hours")]
    pub stream_expiry: BTreeMap<String, Duration>,
    /// Whether the removal of an upload calls its deliveries off, instead of being refused while they are under way.
    pub terminate_during_delivery: bool,
}

impl UploadConfig {
    pub(super) fn store_in(&self, data_dir: &Path) -> StorePlace {
        StorePlace::parse(self.store_url.as_deref().unwrap_or("uploads"), data_dir)
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        if let Some(url) = &self.store_url {
            StorePlace::validate("upload.store_url", url, problems);
        }
        self.store.validate("upload.store", problems);
        problems.refuse_zero("upload.max_size_bytes", self.max_size_bytes);
        problems.refuse_zero("upload.checkpoint_bytes", self.checkpoint_bytes);
        let millis = u64::try_from(self.checkpoint_interval.as_millis()).unwrap_or(u64::MAX);
        problems.refuse_zero("upload.checkpoint_interval_ms", millis);
    }
}
