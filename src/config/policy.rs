//! `[policy]`: what we agree with those we exchange with. The section holds for everybody; `[partner.NAME.policy]` lays
//! its keys over it for one partner.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, unit};

macro_rules! policy {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// What is agreed.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct PolicyConfig {
            $($(#[$meta])* pub $name: $type,)*
        }

        /// What is agreed with one partner, where it is something else.
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct PartnerPolicyConfig {
            $(
                #[doc = concat!("Instead of `policy.", stringify!($name), "`.")]
                pub $name: Option<$type>,
            )*
        }

        impl PolicyConfig {
            /// This policy with what a partner's own says laid over it.
            #[must_use]
            pub fn with(&self, own: &PartnerPolicyConfig) -> Self {
                Self { $($name: own.$name.clone().unwrap_or_else(|| self.$name.clone()),)* }
            }
        }
    };
}

policy! {
    /// Who answers their Tasks.
    tasks: TaskPolicy,
    /// How the answer to a data request is given.
    task_output: TaskOutput,
    /// What becomes of a data request that nothing matches.
    no_match: NoMatch,
    /// Whether a data request must say what the data are for (CONF-018).
    purpose_of_use: PurposeOfUse,
    /// What is done with the authorization that a Task rests on.
    authorization: Authorization,
    /// Whether identifiers are the same only with the same system, where a submission is associated with a Task or
    /// Claim.
    strict_identifiers: bool,
    /// What they must sign.
    signatures: SignaturePolicy,
    /// Whether what we answer to them is signed.
    sign: bool,
    /// Whether signatures of the published 2.1.0 are taken: without `srCms`, `sigT`, `targetFormat`, `sigFormat`.
    legacy_signatures: bool,
    /// Whether Subscriptions whose endpoint is theirs are taken.
    subscriptions: bool,
    /// Whose signatures are believed.
    trust: TrustConfig,
    /// How often the Tasks that they work on for us are looked at.
    polling: PollingConfig,
}

/// Who answers Tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskPolicy {
    /// The gateway, where it can.
    Automatic,
    /// The gateway, once a person has accepted the Task.
    Review,
}

/// How the answer to a data request is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskOutput {
    /// As a Bundle of its own, which the output refers to.
    Bundle,
    /// As a Bundle in the Task.
    Contained,
    /// As references to what was found.
    References,
}

/// What becomes of a data request that nothing matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoMatch {
    /// It fails, as CDex shows it.
    Failed,
    /// It is completed with an empty Bundle, as HRex says of queries.
    Completed,
}

/// Whether a data request must say what the data are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurposeOfUse {
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// What is done with the authorization that a Task rests on (`basedOn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authorization {
    /// Nothing.
    Ignore,
    /// It is fetched and kept, if it can be had.
    Keep,
    /// A Task whose authorization cannot be had is rejected.
    Require,
}

/// What must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignaturePolicy {
    /// Nothing; a signature that does not hold is told.
    None,
    /// What was asked for with a signature flag.
    Flagged,
    /// All FHIR resources that are submitted.
    All,
}

/// How often a Task at a partner is looked at (CONF-062).
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollingConfig {
    /// How long after it was sent first.
    #[serde(rename = "first_secs", deserialize_with = "unit::seconds")]
    pub first: Duration,
    /// How long after that again, and again.
    #[serde(rename = "every_secs", deserialize_with = "unit::seconds")]
    pub every: Duration,
    /// How long after it was sent less often.
    #[serde(rename = "slow_after_secs", deserialize_with = "unit::seconds")]
    pub slow_after: Duration,
    /// How often then.
    #[serde(rename = "slow_every_secs", deserialize_with = "unit::seconds")]
    pub slow_every: Duration,
}

impl PollingConfig {
    /// The problems of this part, at `path`.
    pub(super) fn validate(&self, path: &str, problems: &mut Problems) {
        problems.refuse_zero(&format!("{path}.every_secs"), self.every.as_secs());
        problems.refuse_zero(&format!("{path}.slow_every_secs"), self.slow_every.as_secs());
    }
}

/// Whose signatures are believed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// PEM files with the certificates of authorities; absolute once loaded.
    #[serde(default)]
    pub anchors: Vec<PathBuf>,
    /// SHA-256 of certificates that are believed themselves, in hexadecimal.
    #[serde(default)]
    pub pinned: Vec<String>,
    /// Files with what those authorities have revoked; absolute once loaded.
    #[serde(default)]
    pub revocation_lists: Vec<PathBuf>,
    /// Whether a certificate must say that its key is for signatures (CONF-051).
    #[serde(default)]
    pub require_key_usage: bool,
}

impl TrustConfig {
    /// The problems of this part, at `path`.
    pub(super) fn validate(&self, path: &str, problems: &mut Problems) {
        for (index, pinned) in self.pinned.iter().enumerate() {
            if pinned.len() != 64 || !pinned.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                problems.add(&format!("{path}.pinned[{index}]"), "must be 64 hexadecimal digits");
            }
        }
    }

    /// Makes relative paths absolute.
    pub(super) fn resolve(&mut self) {
        for path in self.anchors.iter_mut().chain(&mut self.revocation_lists) {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
    }
}
