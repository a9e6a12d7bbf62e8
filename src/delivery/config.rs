//! DEX's delivery file as it is written: `targets` and `routing_groups` in YAML. Each entry is read on its
//! own, so that an operator sees everything that is wrong with a file at once; `routing` checks how the
//! entries fit together. A problem never shows a value, which may be a credential.

use std::path::{Path, PathBuf};

use serde_yaml_ng::{Mapping, Value};

use super::destination::{Holder, MetadataPlace};
use super::dex_target::{DexCredential, DexTarget, dex_target};
use super::ordering::OrderBy;
use crate::config::Secret;
use crate::manifest::ConfigProblem;
use crate::outbound::bucket::{AzureCredential, AzureSettings, BucketSettings, S3Settings};
use crate::outbound::names_loopback;

/// What happens when another file already has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ClashPolicy {
    /// The new file takes its place.
    Overwrite,
    /// The delivery fails for good.
    Fail,
    /// The new file gets its upload id into its name.
    #[default]
    SuffixUploadId,
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileTarget {
    /// The folder as configured.
    pub(crate) path: PathBuf,
    /// What happens when another file already has the name.
    pub(crate) clash_policy: ClashPolicy,
    /// Whether the manifest is written beside each file, as `{name}.meta.json`.
    pub(crate) metadata_sidecar: bool,
}

impl FileTarget {
    /// The folder that files go to: a relative path is one within the data folder.
    pub(crate) fn root(&self, data_dir: &Path) -> PathBuf {
        // Without the `./` of DEX's examples, so that locations read well.
        data_dir.join(&self.path).components().collect()
    }
}

/// A bucket of S3 or a container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectTarget {
    /// Which.
    pub(crate) bucket: BucketSettings,
    /// What happens when another object already has the name.
    pub(crate) clash_policy: ClashPolicy,
    /// Where the manifest goes.
    pub(crate) metadata: MetadataPlace,
    /// Whether what was written is read again and hashed.
    pub(crate) read_back: bool,
    /// Whether the service copies what lies at it.
    pub(crate) copy: bool,
}

impl ObjectTarget {
    /// Who holds the metadata of its objects.
    pub(super) fn holder(&self) -> Holder {
        match self.bucket {
            BucketSettings::S3(_) => Holder::S3,
            BucketSettings::Azure(_) => Holder::Azure,
        }
    }
}

/// Where files can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetConfig {
    /// `type: file`.
    File(FileTarget),
    /// `type: s3` or `type: az-blob`.
    Object(ObjectTarget),
    /// `type: dex`.
    Dex(DexTarget),
}

impl TargetConfig {
    /// How DEX's health body calls a target of this kind, and what it says of one that works (dex-upload 1.3).
    pub(crate) fn dex_name(&self, name: &str) -> (String, &'static str) {
        match self {
            Self::File(_) => (format!("File Delivery Target {name}"), "None reported"),
            Self::Object(target) => match target.bucket {
                BucketSettings::S3(_) => (format!("S3 deliver target {name}"), ""),
                BucketSettings::Azure(_) => (format!("Azure deliver target {name}"), ""),
            },
            Self::Dex(_) => (format!("DEX deliver target {name}"), "None reported"),
        }
    }

    /// Whether its credentials can be read by others on the way: by plain HTTP, to a host that is not this one.
    pub(crate) fn is_exposed(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Object(object) => object.bucket.is_exposed(),
            Self::Dex(dex) => {
                dex.login != DexCredential::None
                    && dex.url.starts_with("http://")
                    && !names_loopback(&dex.url)
            }
        }
    }
}

/// One entry of `targets`.
#[derive(Debug)]
pub(super) struct NamedTarget {
    /// Where it stands.
    pub(super) place: String,
    /// `name`; the key in the map means nothing.
    pub(super) name: String,
    /// The target.
    pub(super) target: TargetConfig,
    /// Deliveries at once, where the target has a bound of its own.
    pub(super) concurrency: Option<usize>,
}

/// One entry of `routing_groups`, as written.
#[derive(Debug)]
pub(super) struct RoutingGroup {
    /// Where it stands.
    pub(super) place: String,
    /// The data stream.
    pub(super) data_stream_id: String,
    /// Its route.
    pub(super) data_stream_route: String,
    /// Name and path template of each target.
    pub(super) delivery_targets: Vec<(String, String)>,
    /// In which order uploads go out, if in any.
    pub(super) ordering: Option<OrderBy>,
}

/// What could be read of a file.
#[derive(Debug, Default)]
pub(super) struct DeliveryFile {
    /// The targets that could be read.
    pub(super) targets: Vec<NamedTarget>,
    /// The names of those that could not, where even that could be.
    pub(super) unread: Vec<Option<String>>,
    /// The routing groups, in order.
    pub(super) routing_groups: Vec<RoutingGroup>,
}

/// Reads a file whose variables have been expanded. What could be read is returned along with the
/// problems, so that the caller can go on looking for more.
pub(super) fn parse(file: &str, yaml: &str) -> (DeliveryFile, Vec<ConfigProblem>) {
    let mut parsed = DeliveryFile::default();
    let mut problems = Vec::new();
    let read = serde_yaml_ng::from_str(yaml).and_then(|mut value: Value| {
        // `<<` puts the keys of another map in, as with the reader of DEX.
        value.apply_merge()?;
        Ok(value)
    });
    match read {
        Ok(Value::Mapping(top)) => read_top(file, top, &mut parsed, &mut problems),
        // An empty file has neither targets nor groups.
        Ok(Value::Null) => {}
        Ok(_) => problems.push(ConfigProblem::new(file, "must be a map with targets and routing_groups")),
        Err(error) => {
            let rule = match error.location() {
                Some(at) => format!("is not YAML, see line {} column {}", at.line(), at.column()),
                None => "is not YAML".to_owned(),
            };
            problems.push(ConfigProblem::new(file, rule));
        }
    }
    (parsed, problems)
}

fn read_top(file: &str, top: Mapping, parsed: &mut DeliveryFile, problems: &mut Vec<ConfigProblem>) {
    for (key, value) in top {
        let key = key_text(&key);
        let place = format!("{file}: {key}");
        match (key.as_str(), value) {
            // DEX writes a version and has never read it.
            ("version", _) | ("targets" | "routing_groups", Value::Null) => {}
            ("targets", Value::Mapping(targets)) => {
                for (key, target) in targets {
                    let place = format!("{place}.{}", key_text(&key));
                    let name = target.get("name").and_then(Value::as_str).map(str::to_owned);
                    match read_target(place, target) {
                        Ok(target) => parsed.targets.push(target),
                        Err(more) => {
                            parsed.unread.push(name);
                            problems.extend(more);
                        }
                    }
                }
            }
            ("routing_groups", Value::Sequence(groups)) => {
                for (index, group) in groups.into_iter().enumerate() {
                    match read_group(format!("{place}[{index}]"), group) {
                        Ok(group) => parsed.routing_groups.push(group),
                        Err(more) => problems.extend(more),
                    }
                }
            }
            ("targets", _) => problems.push(ConfigProblem::new(place, "must be a map")),
            ("routing_groups", _) => problems.push(ConfigProblem::new(place, "must be a list")),
            _ => problems.push(ConfigProblem::new(place, "is not a key of a delivery file")),
        }
    }
}

fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => "?".to_owned(),
    }
}

fn read_target(place: String, value: Value) -> Result<NamedTarget, Vec<ConfigProblem>> {
    let mut entry = Entry::open(place, value)?;
    let name = entry.text("name");
    // Declared on targets too, and never used there.
    entry.map.remove("path_template");
    let concurrency = concurrency(&mut entry);
    let kind = entry.text("type");
    let target = match kind.as_str() {
        "file" => file_target(&mut entry),
        "s3" => s3_target(&mut entry),
        "az-blob" => azure_blob_target(&mut entry),
        "dex" => dex_target(&mut entry),
        other => {
            if !other.is_empty() {
                entry.problem(
                    "type",
                    &format!("Unknown destination type: {other} (known are file, s3, az-blob and dex)"),
                );
            }
            return Err(entry.problems);
        }
    };
    let place = entry.close()?;
    Ok(NamedTarget { place, name, target, concurrency })
}

fn concurrency(entry: &mut Entry) -> Option<usize> {
    let text = entry.optional_text("concurrency")?;
    let bound = text.parse().ok().filter(|bound| (1..=10_000).contains(bound));
    if bound.is_none() {
        entry.problem("concurrency", "must be a number from 1 to 10000");
    }
    bound
}

fn file_target(entry: &mut Entry) -> TargetConfig {
    TargetConfig::File(FileTarget {
        path: entry.text("path").into(),
        clash_policy: clash_policy(entry),
        metadata_sidecar: entry.flag("metadata_sidecar").unwrap_or(false),
    })
}

fn clash_policy(entry: &mut Entry) -> ClashPolicy {
    match entry.optional_text("clash_policy").as_deref() {
        None | Some("suffix-upload-id") => ClashPolicy::SuffixUploadId,
        Some("overwrite") => ClashPolicy::Overwrite,
        Some("fail") => ClashPolicy::Fail,
        Some(_) => {
            entry.problem("clash_policy", "must be overwrite, fail or suffix-upload-id");
            ClashPolicy::default()
        }
    }
}

fn s3_target(entry: &mut Entry) -> TargetConfig {
    let bucket = BucketSettings::S3(S3Settings {
        bucket: entry.text("bucket_name"),
        endpoint: entry.optional_text("endpoint"),
        region: entry.optional_text("region"),
        access_key_id: Secret::new(entry.text("access_key_id")),
        secret_access_key: Secret::new(entry.text("secret_access_key")),
        session_token: entry.optional_text("session_token").map(Secret::new),
    });
    // Each call is signed with the SHA-256 of what it carries, and S3 compares.
    object_target(entry, bucket, false)
}

fn object_target(entry: &mut Entry, bucket: BucketSettings, read_back: bool) -> TargetConfig {
    for (key, rule) in bucket.problems() {
        entry.problem(key, rule);
    }
    let metadata = match entry.optional_text("metadata").as_deref() {
        None | Some("auto") => MetadataPlace::Auto,
        Some("object") => MetadataPlace::Object,
        Some("sidecar") => MetadataPlace::Sidecar,
        Some(_) => {
            entry.problem("metadata", "must be auto, object or sidecar");
            MetadataPlace::default()
        }
    };
    TargetConfig::Object(ObjectTarget {
        bucket,
        clash_policy: clash_policy(entry),
        metadata,
        read_back: entry.flag("read_back").unwrap_or(read_back),
        copy: entry.flag("copy").unwrap_or(true),
    })
}

fn azure_blob_target(entry: &mut Entry) -> TargetConfig {
    // A file may leave the keys of the other way in place, with or without something in them.
    let is_principal = match (entry.says("storage_key"), entry.says("client_id")) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => !entry.map.contains_key("storage_key") && entry.map.contains_key("client_id"),
    };
    let credential = if is_principal {
        for key in ["storage_account", "storage_key"] {
            entry.map.remove(key);
        }
        AzureCredential::ServicePrincipal {
            tenant_id: entry.text("tenant_id"),
            client_id: entry.text("client_id"),
            client_secret: Secret::new(entry.text("client_secret")),
        }
    } else {
        for key in ["tenant_id", "client_id", "client_secret"] {
            entry.map.remove(key);
        }
        AzureCredential::SharedKey {
            storage_account: entry.text("storage_account"),
            storage_key: Secret::new(entry.text("storage_key")),
        }
    };
    let bucket = BucketSettings::Azure(AzureSettings {
        endpoint: entry.text("endpoint"),
        container: entry.text("container_name"),
        credential,
    });
    object_target(entry, bucket, true)
}

fn read_group(place: String, value: Value) -> Result<RoutingGroup, Vec<ConfigProblem>> {
    let mut entry = Entry::open(place, value)?;
    let data_stream_id = entry.text("data_stream_id");
    let data_stream_route = entry.text("data_stream_route");
    let mut delivery_targets = Vec::new();
    match entry.map.remove("delivery_targets") {
        None | Some(Value::Null) => {}
        Some(Value::Sequence(targets)) => {
            for (index, target) in targets.into_iter().enumerate() {
                match read_delivery_target(format!("{}.delivery_targets[{index}]", entry.place), target) {
                    Ok(target) => delivery_targets.push(target),
                    Err(more) => entry.problems.extend(more),
                }
            }
        }
        Some(_) => entry.problem("delivery_targets", "must be a list"),
    }
    let ordering = entry.optional_text("ordering").map(|text| OrderBy::parse(&text));
    let place = entry.close()?;
    Ok(RoutingGroup { place, data_stream_id, data_stream_route, delivery_targets, ordering })
}

fn read_delivery_target(place: String, value: Value) -> Result<(String, String), Vec<ConfigProblem>> {
    let mut entry = Entry::open(place, value)?;
    let target = (entry.text("name"), entry.optional_text("path_template").unwrap_or_default());
    entry.close()?;
    Ok(target)
}

/// One map of the file while its keys are taken out of it; whatever is left at the end was not expected.
pub(super) struct Entry {
    place: String,
    /// The keys that nobody has asked for yet.
    pub(super) map: Mapping,
    problems: Vec<ConfigProblem>,
}

impl Entry {
    fn open(place: String, value: Value) -> Result<Self, Vec<ConfigProblem>> {
        match value {
            Value::Mapping(map) => Ok(Self { place, map, problems: Vec::new() }),
            _ => Err(vec![ConfigProblem::new(place, "must be a map")]),
        }
    }

    /// Notes what is wrong with a key.
    pub(super) fn problem(&mut self, key: &str, rule: &str) {
        self.problems.push(ConfigProblem::new(format!("{}.{key}", self.place), rule));
    }

    /// A text that must be there. The empty one is not: DEX reads unset variables so.
    pub(super) fn text(&mut self, key: &str) -> String {
        let problems = self.problems.len();
        let text = self.optional_text(key);
        if text.is_none() && self.problems.len() == problems {
            self.problem(key, "is missing");
        }
        text.unwrap_or_default()
    }

    /// Whether there is anything under a key; the empty text is nothing.
    fn says(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// A text that may be absent or empty. Whole numbers are taken as they are; anything else must be
    /// quoted, because YAML would change how it is written.
    pub(super) fn optional_text(&mut self, key: &str) -> Option<String> {
        match self.map.remove(key)? {
            Value::Null => None,
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => {
                self.problem(key, "must be a text: put it in quotes");
                None
            }
        }
    }

    /// A yes or no that may be absent.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.map.remove(key)? {
            Value::Null => None,
            Value::Bool(is_on) => Some(is_on),
            _ => {
                self.problem(key, "must be true or false");
                None
            }
        }
    }

    /// The place, if nothing is wrong with the entry.
    fn close(mut self) -> Result<String, Vec<ConfigProblem>> {
        for key in std::mem::take(&mut self.map).keys() {
            self.problem(&key_text(key), "is not a key that is known here");
        }
        if self.problems.is_empty() { Ok(self.place) } else { Err(self.problems) }
    }
}
