//! From settings to the places where bytes are: the store of uploads, that of the stream configurations, and the
//! targets that are folders or buckets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::AppError;
use super::wiring::is_durable;
use crate::clock::{SharedClock, Timestamp};
use crate::config::{Config, Secret, StoreConfig, StorePlace, environment};
use crate::db::Db;
use crate::delivery::{
    ClashPolicy, FileDestination, FileSettings, ObjectDestination, ObjectSettings, Routing, TargetConfig,
};
use crate::id::UploadId;
use crate::manifest::ConfigProblem;
use crate::outbound::Reach;
use crate::outbound::bucket::{
    AzureCredential, AzureSettings, Bucket, BucketProblem, BucketSettings, Place, S3Settings,
};
use crate::upload::{BlobStore, FileBlobs, Journal, ObjectBlobs, UploadError, Uploads};

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
        TargetConfig::Object(_) | TargetConfig::Dex(_) => None,
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
                    copy: target.copy,
                };
                targets.insert(name.clone(), ObjectDestination::new(settings));
            }
            Err(error) => problems.push(ConfigProblem::new(format!("target {name}"), error.to_string())),
        }
    }
    targets
}

/// Where files are, ready to be used.
pub(super) enum Store {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket, below a prefix.
    Bucket(Bucket, String),
}

/// Where the settings say that the bytes of uploads are; nothing is called yet.
pub(super) fn upload_store(config: &Config) -> Result<Store, Vec<ConfigProblem>> {
    open(config.upload_store(), (&config.upload.store, "upload.store"))
}

/// A place that the settings name; nothing is called yet. `section` says how to get into a bucket, and its name.
pub(super) fn open(
    place: StorePlace,
    section: (&StoreConfig, &'static str),
) -> Result<Store, Vec<ConfigProblem>> {
    let (settings, prefix) = match place {
        StorePlace::Folder(folder) => return Ok(Store::Folder(folder)),
        StorePlace::S3 { bucket, prefix } => (s3_store(section, bucket)?, prefix),
        StorePlace::Azure { container, prefix } => (azure_store(section, container)?, prefix),
    };
    let problems: Vec<ConfigProblem> = settings.problems().into_iter().map(store_problem).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    match Bucket::open(settings, Reach::Everywhere, Place::Over) {
        Ok(bucket) => Ok(Store::Bucket(bucket, prefix)),
        Err(error) => Err(vec![ConfigProblem::new(section.1, error.to_string())]),
    }
}

/// The store of the bytes of uploads. `is_shared` says that other gateways may have the same database, and so the same
/// bucket.
pub(super) fn blob_store(
    config: &Config,
    store: Store,
    clock: &SharedClock,
    is_shared: bool,
) -> Result<Arc<dyn BlobStore>, UploadError> {
    match store {
        Store::Folder(folder) => Ok(Arc::new(FileBlobs::open(folder, is_durable(config))?)),
        Store::Bucket(bucket, prefix) => {
            let a_day_ago = Timestamp::from_nanos(clock.now().as_nanos().saturating_sub(LONGEST_REQUEST));
            Ok(Arc::new(ObjectBlobs::new(bucket, &prefix, is_shared.then_some(a_day_ago))))
        }
    }
}

/// The gateway's journal of small uploads. One that takes no new entries is only there if an earlier gateway left one.
pub(super) async fn journal(
    config: &Config,
    db: &Db,
    takes_entries: bool,
) -> Result<Option<Journal>, AppError> {
    let root = config.data_dir.join("journal");
    let known = Uploads::journals(&mut db.reader().await?.tx()).await?;
    let found = known.into_iter().find(|(id, _)| root.join(id).is_dir());
    for other in std::fs::read_dir(&root).into_iter().flatten().flatten() {
        if found.as_ref().is_none_or(|(id, _)| other.file_name() != **id) {
            // Whatever it holds was acknowledged for another database, or for this one as it was before a restore.
            tracing::warn!(journal = ?other.file_name(), "a journal that this database does not know is left alone");
        }
    }
    let (id, redeemed) = match found {
        Some(found) => found,
        None if takes_entries => {
            let id = UploadId::new().to_string();
            db.write(id.clone(), |id, tx| Box::pin(Uploads::insert_journal(tx, id))).await?;
            (id, 0)
        }
        None => return Ok(None),
    };
    let journal = Journal::open(root.join(&id), &id, is_durable(config), redeemed);
    let journal = journal.map_err(AppError::Journal)?;
    if !takes_entries {
        journal.close();
    }
    Ok(Some(journal))
}

fn s3_store(
    (section, name): (&StoreConfig, &str),
    bucket: String,
) -> Result<BucketSettings, Vec<ConfigProblem>> {
    let (key, secret) = (section.access_key_id.clone(), section.secret_access_key.clone());
    // Temporary keys come as three: a token of the environment belongs to a key of the environment.
    let token = || key.is_none().then(|| variable("AWS_SESSION_TOKEN")).flatten().map(Secret::new);
    let session_token = section.session_token.clone().or_else(token);
    let key = key.or_else(|| variable("AWS_ACCESS_KEY_ID"));
    let secret = secret.or_else(|| variable("AWS_SECRET_ACCESS_KEY").map(Secret::new));
    let (Some(key), Some(secret_access_key)) = (&key, &secret) else {
        return Err(missing(
            name,
            &[("access_key_id", key.is_some()), ("secret_access_key", secret.is_some())],
        ));
    };
    Ok(BucketSettings::S3(S3Settings {
        bucket,
        endpoint: section.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL")),
        region: section.region.clone().or_else(|| variable("AWS_REGION")),
        access_key_id: Secret::new(key.as_str()),
        secret_access_key: secret_access_key.clone(),
        session_token,
    }))
}

fn azure_store(
    (section, name): (&StoreConfig, &str),
    container: String,
) -> Result<BucketSettings, Vec<ConfigProblem>> {
    let account = section.storage_account.clone().or_else(|| variable("AZURE_STORAGE_ACCOUNT"));
    let key = section.storage_key.clone().or_else(|| variable("AZURE_STORAGE_KEY").map(Secret::new));
    let (Some(storage_account), Some(storage_key)) = (&account, &key) else {
        return Err(missing(name, &[("storage_account", account.is_some()), ("storage_key", key.is_some())]));
    };
    let endpoint = section.endpoint.clone();
    Ok(BucketSettings::Azure(AzureSettings {
        endpoint: endpoint.unwrap_or_else(|| format!("https://{storage_account}.blob.core.windows.net")),
        container,
        credential: AzureCredential::SharedKey {
            storage_account: storage_account.clone(),
            storage_key: storage_key.clone(),
        },
    }))
}

/// What is wrong with the store's bucket, where its settings name that.
fn store_problem((key, rule): BucketProblem) -> ConfigProblem {
    let place = match key {
        "bucket_name" | "container_name" => "upload.store_url".to_owned(),
        key => format!("upload.store.{key}"),
    };
    ConfigProblem::new(place, rule)
}

/// A variable that the service's own tools know; empty is not set.
fn variable(name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

fn missing(section: &str, keys: &[(&str, bool)]) -> Vec<ConfigProblem> {
    let missing = keys.iter().filter(|(_, is_there)| !is_there);
    missing.map(|(key, _)| ConfigProblem::new(format!("{section}.{key}"), "is missing")).collect()
}
