//! `[upload]`: where the bytes of uploads are kept, and how much of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, Secret, unit};

/// What a database still holds as gladly as a file system does.
const MOST_SMALL_BYTES: u64 = 1024 * 1024;

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
    /// Uploads of up to so many bytes that come in one request lie in the database, beside their rows; 0: none does.
    pub small_bytes: u64,
    /// How long an upload that is not complete is kept after its last byte; zero is for ever.
    #[serde(rename = "expiry_hours", deserialize_with = "unit::hours")]
    pub expiry: Duration,
    /// The same for single data streams, by the names of their files without `.json`.
    #[serde(rename = "stream_expiry_hours", deserialize_with = "unit::map_of_hours")]
    pub stream_expiry: BTreeMap<String, Duration>,
    /// Whether the removal of an upload calls its deliveries off, instead of being refused while they are under way.
    pub terminate_during_delivery: bool,
}

/// Where a bucket is and who we are there. Where a key is not set, the variable counts that the service's own tools
/// know it by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Another S3 than Amazon's, addressed by path (`AWS_ENDPOINT_URL`), or the blob service of an Azure account.
    pub endpoint: Option<String>,
    /// The region of an S3 bucket (`AWS_REGION`).
    pub region: Option<String>,
    /// The key of an S3 account (`AWS_ACCESS_KEY_ID`).
    pub access_key_id: Option<String>,
    /// Its secret (`AWS_SECRET_ACCESS_KEY`).
    pub secret_access_key: Option<Secret>,
    /// What temporary keys come with (`AWS_SESSION_TOKEN`).
    pub session_token: Option<Secret>,
    /// The Azure storage account (`AZURE_STORAGE_ACCOUNT`).
    pub storage_account: Option<String>,
    /// Its key (`AZURE_STORAGE_KEY`).
    pub storage_key: Option<Secret>,
}

/// A place for the bytes of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadStore {
    /// A folder.
    Folder(PathBuf),
    /// A prefix in a bucket of S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix, which may be empty.
        prefix: String,
    },
    /// A prefix in a container of Azure Blob Storage.
    Azure {
        /// The container.
        container: String,
        /// The prefix, which may be empty.
        prefix: String,
    },
}

impl UploadConfig {
    pub(super) fn store_in(&self, data_dir: &Path) -> UploadStore {
        let url = self.store_url.as_deref().unwrap_or("uploads");
        let split = |rest: &str| {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            (bucket.to_owned(), prefix.trim_matches('/').to_owned())
        };
        match url.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = split(rest);
                UploadStore::S3 { bucket, prefix }
            }
            Some(("az", rest)) => {
                let (container, prefix) = split(rest);
                UploadStore::Azure { container, prefix }
            }
            _ => UploadStore::Folder(data_dir.join(url.strip_prefix("file://").unwrap_or(url))),
        }
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        if let Some(url) = &self.store_url {
            match url.split_once("://") {
                Some(("s3" | "az", rest)) => {
                    let mut parts = rest.trim_end_matches('/').split('/');
                    if parts.any(|part| matches!(part, "" | "." | "..")) || rest.contains(['?', '#', '@']) {
                        problems.add(
                            "upload.store_url",
                            "must name a bucket or container, and may name a prefix",
                        );
                    }
                }
                Some(("file", path)) if path.starts_with('/') => {}
                Some(("file", _)) => {
                    problems.add("upload.store_url", "must be an absolute path after file://");
                }
                Some(_) => {
                    let rule = "must be a folder or start with file://, s3:// or az://";
                    problems.add("upload.store_url", rule);
                }
                None => {}
            }
        }
        if let Some(endpoint) = &self.store.endpoint
            && !(endpoint.starts_with("https://") || endpoint.starts_with("http://"))
        {
            problems.add("upload.store.endpoint", "must start with https:// or http://");
        }
        problems.refuse_zero("upload.max_size_bytes", self.max_size_bytes);
        problems.refuse_zero("upload.checkpoint_bytes", self.checkpoint_bytes);
        if self.small_bytes > MOST_SMALL_BYTES {
            problems.add("upload.small_bytes", format!("must be at most {MOST_SMALL_BYTES}"));
        }
        let millis = u64::try_from(self.checkpoint_interval.as_millis()).unwrap_or(u64::MAX);
        problems.refuse_zero("upload.checkpoint_interval_ms", millis);
    }
}
