//! A folder or a bucket, as a text names it, and how to get into a bucket: what the sections that keep something have
//! in common. Nothing is opened here.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Problems, Secret};

/// Where a bucket is and who we are there. Where a key is not set, the variable counts that the service's own tools
/// know it by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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

impl StoreConfig {
    pub(super) fn validate(&self, section: &str, problems: &mut Problems) {
        if let Some(endpoint) = &self.endpoint
            && !(endpoint.starts_with("https://") || endpoint.starts_with("http://"))
        {
            problems.add(&format!("{section}.endpoint"), "must start with https:// or http://");
        }
    }
}

/// A place for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
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

impl StorePlace {
    /// The place that a text names; a relative folder is one within `folder`.
    pub(super) fn parse(text: &str, folder: &Path) -> Self {
        let split = |rest: &str| {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            (bucket.to_owned(), prefix.trim_matches('/').to_owned())
        };
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = split(rest);
                Self::S3 { bucket, prefix }
            }
            Some(("az", rest)) => {
                let (container, prefix) = split(rest);
                Self::Azure { container, prefix }
            }
            _ => Self::Folder(folder.join(text.strip_prefix("file://").unwrap_or(text))),
        }
    }

    /// Notes what is wrong with the text under `key`.
    pub(super) fn validate(key: &str, text: &str, problems: &mut Problems) {
        match text.split_once("://") {
            Some(("s3" | "az", rest)) => {
                let mut parts = rest.trim_end_matches('/').split('/');
                if parts.any(|part| matches!(part, "" | "." | "..")) || rest.contains(['?', '#', '@']) {
                    problems.add(key, "must name a bucket or container, and may name a prefix");
                }
            }
            Some(("file", path)) if path.starts_with('/') => {}
            Some(("file", _)) => problems.add(key, "must be an absolute path after file://"),
            Some(_) => problems.add(key, "must be a folder or start with file://, s3:// or az://"),
            None => {}
        }
    }
}
