//! `[fhir]`: limits of the FHIR door; what lies behind it elsewhere is in `[fhir.upstream]`.

use std::time::Duration;

use serde::Deserialize;

use super::{Problems, UpstreamConfig, unit};

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
    /// What is left of a body then, and is held in memory.
    pub skeleton_limit_bytes: usize,
    /// How long an `Idempotency-Key` is remembered.
    #[serde(rename = "idempotency_hours", deserialize_with = "unit::hours")]
    pub idempotency: Duration,
    /// Resources that live on another server.
    pub upstream: UpstreamConfig,
}

impl FhirConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.refuse_zero("fhir.payload_limit_bytes", self.payload_limit_bytes);
        problems.refuse_zero("fhir.body_limit_bytes", self.body_limit_bytes);
        problems.refuse_zero("fhir.inline_data_bytes", self.inline_data_bytes as u64);
        problems.refuse_zero("fhir.idempotency_hours", self.idempotency.as_secs());
        if self.skeleton_limit_bytes < self.inline_data_bytes {
            problems.add("fhir.skeleton_limit_bytes", "must not be smaller than fhir.inline_data_bytes");
        }
        self.upstream.validate(problems);
    }
}
