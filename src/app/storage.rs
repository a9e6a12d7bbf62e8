//! From settings to the places where bytes are: the store of uploads, and the targets that are folders or buckets.

use std::collections::HashMap;
use std::sync::Arc;

use super::wiring::is_durable;
use crate::clock::{SharedClock, Timestamp};
use crate::config::{Config, Secret, StoreConfig, UploadStore, environment};
use crate::delivery::{
    ClashPolicy, FileDestination, FileSettings, ObjectDestination, ObjectSettings, Routing, TargetConfig,
};
use crate::manifest::ConfigProblem;
use crate::outbound::Reach;
use crate::outbound::bucket::{AzureCredential, AzureSettings, Bucket, BucketSettings, Place, S3Settings};
use crate::upload::{BlobStore, FileBlobs, ObjectBlobs, UploadError};

/// A day in nanoseconds. No request takes longer to come in: what is older and known to nobody was left by a crash.
const LONGEST_REQUEST: i64 = 24 * 60 * 60 * 1_000_000_000;

/// Targets that are folders, by name. They alone need tending at start, so they come as what they are.
pub(super) fn file_targets(config: &Config, routing: &Routing) -> HashMap<String, FileDestination> {
    let file = |target: &TargetConfig| match target {
        TargetConfig::File(file) => Some(FileDestination::new(FileSettings {
            root: file.root(&config.data_dir),
            clash_policy: file.clash_policy,
            metadata_sidecar: file.metadata_sidecar,
            durable: is_durable(config),
        })),
        TargetConfig::Object(_) => None,
    };
    routing.targets().iter().filter_map(|(name, target)| Some((name.clone(), file(target)?))).collect()
}

/// Targets that are buckets, by name.
pub(super) fn bucket_targets(
    routing: &Routing,
    problems: &mut Vec<ConfigProblem>,
) -> HashMap<String, ObjectDestination> {
    let mut targets = HashMap::new();
    for (name, target) in routing.targets() {
        let TargetConfig::Object(target) = target else { continue };
        let completes = match target.clash_policy {
            ClashPolicy::Overwrite => Place::Over,
            ClashPolicy::Fail | ClashPolicy::SuffixUploadId => Place::New,
        };
        // The operator named the service, and knows where it is.
        match Bucket::open(target.bucket.clone(), Reach::Everywhere, completes) {
            Ok(bucket) => {
                let settings = ObjectSettings {
                    bucket,
                    clash_policy: target.clash_policy,
                    metadata: target.metadata,
                    read_back: target.read_back,
                };
                targets.insert(name.clone(), ObjectDestination::new(settings));
            }
            Err(error) => problems.push(ConfigProblem::new(format!("target {name}"), error.to_string())),
        }
    }
    targets
}

/// The store of the bytes of uploads. `is_shared` says that other gateways may have the same database, and so the same
/// store.
pub(super) fn blob_store(
    config: &Config,
    clock: &SharedClock,
    is_shared: bool,
) -> Result<Arc<dyn BlobStore>, String> {
    let (bucket, prefix) = match config.upload_store() {
        UploadStore::Folder(folder) => {
            let files = FileBlobs::open(folder, is_durable(config)).map_err(UploadError::from);
            return Ok(Arc::new(files.map_err(|error| error.to_string())?));
        }
        UploadStore::S3 { bucket, prefix } => (s3_store(&config.upload.store, bucket)?, prefix),
        UploadStore::Azure { container, prefix } => (azure_store(&config.upload.store, container)?, prefix),
    };
    let bucket = Bucket::open(bucket, Reach::Everywhere, Place::Over).map_err(|error| error.to_string())?;
    let others_since =
        is_shared.then(|| Timestamp::from_nanos(clock.now().as_nanos().saturating_sub(LONGEST_REQUEST)));
    Ok(Arc::new(ObjectBlobs::new(bucket, &prefix, others_since)))
}

fn s3_store(section: &StoreConfig, bucket: String) -> Result<BucketSettings, String> {
    let secret = |set: &Option<Secret>, name| set.clone().or_else(|| environment(name).map(Secret::new));
    let text = |set: &Option<String>, name| set.clone().or_else(|| environment(name));
    let missing = |key: &str| format!("upload.store.{key} is missing");
    Ok(BucketSettings::S3(S3Settings {
        bucket,
        endpoint: text(&section.endpoint, "AWS_ENDPOINT_URL"),
        region: text(&section.region, "AWS_REGION"),
        access_key_id: text(&section.access_key_id, "AWS_ACCESS_KEY_ID")
            .map(Secret::new)
            .ok_or_else(|| missing("access_key_id"))?,
        secret_access_key: secret(&section.secret_access_key, "AWS_SECRET_ACCESS_KEY")
            .ok_or_else(|| missing("secret_access_key"))?,
        session_token: secret(&section.session_token, "AWS_SESSION_TOKEN"),
    }))
}

fn azure_store(section: &StoreConfig, container: String) -> Result<BucketSettings, String> {
    let account = section.storage_account.clone().or_else(|| environment("AZURE_STORAGE_ACCOUNT"));
    let key = section.storage_key.clone().or_else(|| environment("AZURE_STORAGE_KEY").map(Secret::new));
    let storage_account = account.ok_or("upload.store.storage_account is missing")?;
    let endpoint = section.endpoint.clone();
    Ok(BucketSettings::Azure(AzureSettings {
        endpoint: endpoint.unwrap_or_else(|| format!("https://{storage_account}.blob.core.windows.net")),
        container,
        credential: AzureCredential::SharedKey {
            storage_account,
            storage_key: key.ok_or("upload.store.storage_key is missing")?,
        },
    }))
}
