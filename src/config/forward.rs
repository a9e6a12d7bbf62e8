//! `[[fhir.forward]]`: which stored resources are delivered too, and to which data stream.

use serde::Deserialize;

use super::Problems;
use super::fhir_mapping::is_stream_word;

/// The types of resources that can be forwarded.
const TYPES: [&str; 5] = ["Communication", "DocumentReference", "Binary", "Bundle", "QuestionnaireResponse"];

/// One rule; the first whose conditions a resource meets takes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardConfig {
    /// The type of resource.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Only what claims this profile.
    pub profile: Option<String>,
    /// Only what has this code among its categories.
    pub category: Option<String>,
    /// Only what is of this kind: a code of `type`, or of a payload's note type.
    pub code: Option<String>,
    /// Only what this partner sends.
    pub partner: Option<String>,
    /// The data stream.
    pub data_stream_id: String,
    /// Its route.
    pub data_stream_route: String,
}

pub(super) fn validate(rules: &[ForwardConfig], problems: &mut Problems) {
    for (index, rule) in rules.iter().enumerate() {
        let place = |key: &str| format!("fhir.forward[{index}].{key}");
        if !TYPES.contains(&rule.resource_type.as_str()) {
            problems.add(&place("type"), format!("must be one of {}", TYPES.join(", ")));
        }
        for (key, word) in
            [("data_stream_id", &rule.data_stream_id), ("data_stream_route", &rule.data_stream_route)]
        {
            if !is_stream_word(word) {
                problems.add(&place(key), "must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'");
            }
        }
    }
}
