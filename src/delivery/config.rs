//! DEX's delivery file as it is written: `targets` and `routing_groups` in YAML. Each entry is read on its
//! own, so that an operator sees everything that is wrong with a file at once; `routing` checks how the
//! entries fit together. A problem never shows a value, which may be a credential.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_yaml_ng::{Mapping, Value};

use crate::config::Secret;
use crate::manifest::ConfigProblem;

/// What happens when another file already has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
        data_dir.join(&self.path)
    }
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Target {
    /// The bucket.
    pub(crate) bucket_name: String,
    /// Another S3 than Amazon's, addressed by path.
    pub(crate) endpoint: Option<String>,
    /// The region.
    pub(crate) region: Option<String>,
    /// The static key.
    pub(crate) access_key_id: Secret,
    /// Its secret.
    pub(crate) secret_access_key: Secret,
}

/// How an Azure target proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AzureCredential {
    /// The account's shared key.
    SharedKey {
        /// The storage account.
        storage_account: String,
        /// Its key.
        storage_key: Secret,
    },
    /// A service principal.
    ServicePrincipal {
        /// The tenant.
        tenant_id: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AzureBlobTarget {
    /// The account's blob service.
    pub(crate) endpoint: String,
    /// The container.
    pub(crate) container_name: String,
    /// Who we are there.
    pub(crate) credential: AzureCredential,
}

/// Where files can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetConfig {
    /// `type: file`.
    File(FileTarget),
    /// `type: s3`.
    S3(S3Target),
    /// `type: az-blob`.
    AzureBlob(AzureBlobTarget),
}

impl TargetConfig {
    /// The type as the file names it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::S3(_) => "s3",
            Self::AzureBlob(_) => "az-blob",
        }
    }

    /// Whether this version can deliver there.
    pub(crate) fn is_available(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::S3(_) | Self::AzureBlob(_) => false,
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
}

/// What could be read of a file.
#[derive(Debug, Default)]
pub(super) struct DeliveryFile {
    /// The targets that could be read.
    pub(super) targets: Vec<NamedTarget>,
    /// Whether one of them could not, so that a name without a target proves nothing.
    pub(super) lacks_a_target: bool,
    /// The routing groups, in order.
    pub(super) routing_groups: Vec<RoutingGroup>,
}

/// Reads a file whose variables have been expanded. What could be read is returned along with the
/// problems, so that the caller can go on looking for more.
pub(super) fn parse(file: &str, yaml: &str) -> (DeliveryFile, Vec<ConfigProblem>) {
    let mut parsed = DeliveryFile::default();
    let mut problems = Vec::new();
    match serde_yaml_ng::from_str(yaml) {
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
                    match read_target(&place, target) {
                        Ok(target) => parsed.targets.push(target),
                        Err(more) => {
                            parsed.lacks_a_target = true;
                            problems.extend(more);
                        }
                    }
                }
            }
            ("routing_groups", Value::Sequence(groups)) => {
                for (index, group) in groups.into_iter().enumerate() {
                    match read_group(format!("{place}[{index}]"), group) {
                        Ok(group) => parsed.routing_groups.push(group),
                        Err(problem) => problems.push(problem),
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

fn read<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, ConfigProblem> {
    serde_yaml_ng::from_value(value).map_err(|error| ConfigProblem::new(place, error.to_string()))
}

fn read_target(place: &str, mut value: Value) -> Result<NamedTarget, Vec<ConfigProblem>> {
    let problem = |rule: String| ConfigProblem::new(place, rule);
    let Value::Mapping(entries) = &mut value else { return Err(vec![problem("must be a map".to_owned())]) };
    let kind = match entries.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => return Err(vec![problem("type is missing".to_owned())]),
    };
    let name = entries.remove("name");
    // Declared on targets too, and never used there.
    entries.remove("path_template");
    let mut missing = Missing::default();
    let name = missing.unless(name.as_ref().and_then(Value::as_str).map(str::to_owned), "name");
    let target = match kind.as_str() {
        "file" => read::<FileTargetWire>(place, value).map(|wire| wire.into_target(&mut missing)),
        "s3" => read::<S3TargetWire>(place, value).map(|wire| wire.into_target(&mut missing)),
        "az-blob" => read::<AzureBlobTargetWire>(place, value).map(|wire| wire.into_target(&mut missing)),
        other => Err(problem(format!("Unknown destination type: {other} (known are file, s3 and az-blob)"))),
    };
    let mut problems: Vec<_> =
        missing.0.into_iter().map(|key| problem(format!("{key} is missing"))).collect();
    match target {
        Ok(target) if problems.is_empty() => Ok(NamedTarget { place: place.to_owned(), name, target }),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.push(error);
            Err(problems)
        }
    }
}

/// The keys that a target needs and does not have. An empty text is none: DEX reads unset variables so.
#[derive(Default)]
struct Missing(Vec<&'static str>);

impl Missing {
    fn unless(&mut self, text: Option<String>, key: &'static str) -> String {
        let text = text.unwrap_or_default();
        if text.is_empty() {
            self.0.push(key);
        }
        text
    }

    fn text(&mut self, text: Option<Text>, key: &'static str) -> String {
        self.unless(text.map(|text| text.0), key)
    }

    fn secret(&mut self, text: Option<Text>, key: &'static str) -> Secret {
        Secret::new(self.text(text, key))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTargetWire {
    path: Option<Text>,
    clash_policy: Option<ClashPolicy>,
    metadata_sidecar: Option<bool>,
}

impl FileTargetWire {
    fn into_target(self, missing: &mut Missing) -> TargetConfig {
        TargetConfig::File(FileTarget {
            path: missing.text(self.path, "path").into(),
            clash_policy: self.clash_policy.unwrap_or_default(),
            metadata_sidecar: self.metadata_sidecar.unwrap_or(false),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3TargetWire {
    bucket_name: Option<Text>,
    endpoint: Option<Text>,
    region: Option<Text>,
    access_key_id: Option<Text>,
    secret_access_key: Option<Text>,
}

impl S3TargetWire {
    fn into_target(self, missing: &mut Missing) -> TargetConfig {
        TargetConfig::S3(S3Target {
            bucket_name: missing.text(self.bucket_name, "bucket_name"),
            endpoint: self.endpoint.map(|text| text.0).filter(|text| !text.is_empty()),
            region: self.region.map(|text| text.0).filter(|text| !text.is_empty()),
            access_key_id: missing.secret(self.access_key_id, "access_key_id"),
            secret_access_key: missing.secret(self.secret_access_key, "secret_access_key"),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AzureBlobTargetWire {
    endpoint: Option<Text>,
    container_name: Option<Text>,
    storage_account: Option<Text>,
    storage_key: Option<Text>,
    tenant_id: Option<Text>,
    client_id: Option<Text>,
    client_secret: Option<Text>,
}

impl AzureBlobTargetWire {
    fn into_target(self, missing: &mut Missing) -> TargetConfig {
        let is_principal =
            self.tenant_id.is_some() || self.client_id.is_some() || self.client_secret.is_some();
        TargetConfig::AzureBlob(AzureBlobTarget {
            endpoint: missing.text(self.endpoint, "endpoint"),
            container_name: missing.text(self.container_name, "container_name"),
            credential: if is_principal && self.storage_key.is_none() {
                AzureCredential::ServicePrincipal {
                    tenant_id: missing.text(self.tenant_id, "tenant_id"),
                    client_id: missing.text(self.client_id, "client_id"),
                    client_secret: missing.secret(self.client_secret, "client_secret"),
                }
            } else {
                AzureCredential::SharedKey {
                    storage_account: missing.text(self.storage_account, "storage_account"),
                    storage_key: missing.secret(self.storage_key, "storage_key"),
                }
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutingGroupWire {
    data_stream_id: Text,
    data_stream_route: Text,
    delivery_targets: Option<Vec<DeliveryTargetWire>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryTargetWire {
    name: Text,
    path_template: Option<Text>,
}

fn read_group(place: String, value: Value) -> Result<RoutingGroup, ConfigProblem> {
    let wire: RoutingGroupWire = read(&place, value)?;
    let target = |target: DeliveryTargetWire| {
        (target.name.0, target.path_template.map(|template| template.0).unwrap_or_default())
    };
    Ok(RoutingGroup {
        place,
        data_stream_id: wire.data_stream_id.0,
        data_stream_route: wire.data_stream_route.0,
        delivery_targets: wire.delivery_targets.unwrap_or_default().into_iter().map(target).collect(),
    })
}

/// A text. Whole numbers are taken as they are; anything else must be quoted, because YAML would change how
/// it is written. Its errors never show the value, unlike those of `String`.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Text, E> {
                Err(E::custom("a number with a fraction must be put in quotes where a text is expected"))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Text, E> {
                Err(E::custom("true and false must be put in quotes where a text is expected"))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}
