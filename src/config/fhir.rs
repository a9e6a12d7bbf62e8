//! `[fhir]`: limits of the FHIR door; what lies behind it elsewhere is in `[fhir.upstream]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ForwardConfig, Problems, SigningConfig, UpstreamConfig, unit};

/// How large FHIR bodies and their parts may be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FhirConfig {
    /// The whole body of one `$submit-attachment`.
    pub payload_limit_bytes: u64,
    /// The body of any other request.
    pub body_limit_bytes: u64,
    /// A longer string is streamed to the upload store.
    pub inline_data_bytes: usize,
    /// A longer attachment of a stored resource is kept and shown as a Binary of its own.
    pub inline_attachment_bytes: usize,
    /// What is left of a `$submit-attachment` then, and is held in memory.
    pub skeleton_limit_bytes: usize,
    /// How long an `Idempotency-Key` is remembered.
    #[serde(rename = "idempotency_hours", deserialize_with = "unit::hours")]
    pub idempotency: Duration,
    /// Whether an update creates a resource under an id that nothing has.
    pub update_creates: bool,
    /// Whether a change of a resource that is there must say by `If-Match` which version it means.
    pub require_if_match: bool,
    /// How strictly resources are held to the rules where no partner entry says otherwise.
    pub validation: Validation,
    /// A folder of further rule files: StructureDefinitions and ValueSets.
    pub profiles_dir: Option<PathBuf>,
    /// Entries of a page of a search or history where the client does not say.
    pub page_size: u32,
    /// Entries of a page at most.
    pub max_page_size: u32,
    /// Entries of a batch or transaction at most.
    pub bundle_entries: usize,
    /// Bulk exports of one owner that are made or wait at the same time.
    pub export_jobs: u32,
    /// Resources of a file of a bulk export at most.
    pub export_file_resources: u32,
    /// How long the files of a bulk export are kept.
    #[serde(rename = "export_retention_hours", deserialize_with = "unit::hours")]
    pub export_retention: Duration,
    /// The business identifier of the organisation that the gateway stands for, as `system|value`.
    pub identifier: Option<String>,
    /// With what is signed.
    pub signing: SigningConfig,
    /// Resources that live on another server.
    pub upstream: UpstreamConfig,
    /// Which stored resources are delivered too.
    #[serde(default)]
    pub forward: Vec<ForwardConfig>,
}

/// How strictly resources are held to the rules before they are kept. What breaks the JSON form or the elements of its
/// type is refused always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Everything else is a warning.
    Lenient,
    /// The rules of R4 refuse, and those of the profiles that a CDex Task claims; other profiles warn.
    Structure,
    /// The rules of all profiles that a resource claims refuse too.
    Profiles,
}

impl FhirConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.refuse_zero("fhir.payload_limit_bytes", self.payload_limit_bytes);
        problems.refuse_zero("fhir.body_limit_bytes", self.body_limit_bytes);
        problems.refuse_zero("fhir.inline_data_bytes", self.inline_data_bytes as u64);
        problems.refuse_outside("fhir.inline_attachment_bytes", self.inline_attachment_bytes, 16 << 20);
        problems.refuse_zero("fhir.idempotency_hours", self.idempotency.as_secs());
        let most = usize::try_from(self.max_page_size).unwrap_or(usize::MAX);
        problems.refuse_outside("fhir.max_page_size", most, 10_000);
        if !(1..=self.max_page_size).contains(&self.page_size) {
            problems.add("fhir.page_size", "must be 1 to fhir.max_page_size");
        }
        problems.refuse_outside("fhir.bundle_entries", self.bundle_entries, 100_000);
        problems.refuse_zero("fhir.export_jobs", u64::from(self.export_jobs));
        problems.refuse_zero("fhir.export_file_resources", u64::from(self.export_file_resources));
        problems.refuse_zero("fhir.export_retention_hours", self.export_retention.as_secs());
        let is_identifier = |text: &String| text.split_once('|').is_some_and(|(_, value)| !value.is_empty());
        if !self.identifier.as_ref().is_none_or(is_identifier) {
            problems.add("fhir.identifier", "must be system|value");
        }
        if self.skeleton_limit_bytes < self.inline_data_bytes {
            problems.add("fhir.skeleton_limit_bytes", "must not be smaller than fhir.inline_data_bytes");
        }
        self.signing.validate(problems);
        self.upstream.validate(problems);
    }
}
