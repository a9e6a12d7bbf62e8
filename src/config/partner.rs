//! `[partner.NAME]`: what is special about one organisation that calls.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Problems, Validation};

/// All partners, by a name of the operator's choice.
pub type PartnerConfigs = BTreeMap<String, PartnerConfig>;

/// One partner.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerConfig {
    /// The client that its tokens name.
    pub client_id: String,
    /// How strictly its resources are held to the rules; as `fhir.validation` says without it.
    pub validation: Option<Validation>,
}

pub(super) fn validate(partners: &PartnerConfigs, problems: &mut Problems) {
    let mut known = BTreeMap::new();
    for (name, partner) in partners {
        let path = format!("partner.{name}.client_id");
        if partner.client_id.is_empty() {
            problems.add(&path, "is empty");
        } else if let Some(other) = known.insert(&partner.client_id, name) {
            problems.add(&path, format!("is that of partner.{other} too"));
        }
    }
}
