//! `[[fhir.forward]]`: which stored resources are delivered too, and to which data stream.

use serde::Deserialize;

use super::fhir_mapping::is_stream_word;
use super::{PartnerConfigs, Problems};

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

pub(super) fn validate(rules: &[ForwardConfig], partners: &PartnerConfigs, problems: &mut Problems) {
    for (index, rule) in rules.iter().enumerate() {
        let place = |key: &str| format!("fhir.forward[{index}].{key}");
        if !TYPES.contains(&rule.resource_type.as_str()) {
            problems.add(&place("type"), format!("must be one of {}", TYPES.join(", ")));
        }
        if rule.partner.as_ref().is_some_and(|partner| !partners.contains_key(partner)) {
            problems.add(&place("partner"), "names no [partner.NAME]");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_a_type_that_can_go_on_a_partner_that_there_is_and_a_stream() {
        let rules: Vec<ForwardConfig> = serde_json::from_value(serde_json::json!([
            {"type": "Binary", "data_stream_id": "a", "data_stream_route": "b"},
            {"type": "Patient", "partner": "nobody", "data_stream_id": "a b", "data_stream_route": ""},
        ]))
        .expect("two rules");
        let mut problems = Problems::default();
        validate(&rules, &PartnerConfigs::new(), &mut problems);
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        let second = ["type", "partner", "data_stream_id", "data_stream_route"];
        assert_eq!(paths, second.map(|key| format!("fhir.forward[1].{key}")));
    }
}
