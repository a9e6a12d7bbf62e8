//! Which stored resources are forwarded, and to which data stream. Pure.

use serde_json::Value;

use crate::cdex::communication;
use crate::config::ForwardConfig;
use crate::fhir::datatype::codings;

/// The rules, as configured.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForwardRules(Vec<ForwardConfig>);

/// Where the payloads of a resource go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way<'r> {
    /// To the data stream of submissions.
    Default,
    /// To a data stream of its own: id and route.
    Stream(&'r str, &'r str),
}

impl ForwardRules {
    /// These rules, the first that takes a resource counting.
    pub(crate) fn new(rules: Vec<ForwardConfig>) -> Self {
        Self(rules)
    }

    /// Whether a resource may be forwarded, whoever sends it.
    pub(in crate::exchange) fn concern(&self, resource_type: &str, resource: &Value) -> bool {
        let is_default = match resource_type {
            "Communication" => !communication::pushed(resource).is_empty(),
            "Task" => communication::pushed_focus(resource).is_some(),
            _ => false,
        };
        is_default || self.0.iter().any(|rule| takes(rule, resource_type, resource))
    }

    /// Where the payloads of a resource go that this partner, if any, sends.
    pub(super) fn way(
        &self,
        resource_type: &str,
        resource: &Value,
        partner: Option<&str>,
    ) -> Option<Way<'_>> {
        let is_sender = |rule: &&ForwardConfig| {
            rule.partner.as_deref().is_none_or(|wanted| partner == Some(wanted))
                && takes(rule, resource_type, resource)
        };
        match self.0.iter().find(is_sender) {
            Some(rule) => Some(Way::Stream(&rule.data_stream_id, &rule.data_stream_route)),
            None => (resource_type == "Communication").then_some(Way::Default),
        }
    }
}

fn takes(rule: &ForwardConfig, resource_type: &str, resource: &Value) -> bool {
    let list = |element: &str| resource.get(element).and_then(Value::as_array).into_iter().flatten();
    let profiles = resource.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten();
    let claims = |wanted: &str| {
        let mut claimed = profiles.clone().filter_map(Value::as_str);
        claimed.any(|url| url == wanted || url.split('|').next() == Some(wanted))
    };
    let has_category =
        |wanted: &str| list("category").flat_map(codings).any(|coding| coding.code == Some(wanted));
    let has_code = |wanted: &str| {
        let mut own = resource.get("type").into_iter().flat_map(codings);
        own.any(|coding| coding.code == Some(wanted))
            || communication::pushed(resource).iter().any(|payload| payload.note_type == Some(wanted))
    };
    // A document that should never have been is no news for anybody.
    let is_valid = resource.get("status").is_none_or(|status| status != "entered-in-error");
    is_valid
        && rule.resource_type == resource_type
        && rule.profile.as_deref().is_none_or(claims)
        && rule.category.as_deref().is_none_or(has_category)
        && rule.code.as_deref().is_none_or(has_code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(resource_type: &str, stream: &str) -> ForwardConfig {
        ForwardConfig {
            resource_type: resource_type.to_owned(),
            profile: None,
            category: None,
            code: None,
            partner: None,
            data_stream_id: stream.to_owned(),
            data_stream_route: "r".to_owned(),
        }
    }

    #[test]
    fn without_rules_only_what_a_communication_brings_is_forwarded() {
        let rules = ForwardRules::default();
        let with =
            json!({"status": "completed", "payload": [{"contentReference": {"reference": "Binary/b"}}]});
        assert!(rules.concern("Communication", &with));
        assert_eq!(rules.way("Communication", &with, None), Some(Way::Default));
        assert!(!rules.concern("Communication", &json!({"payload": [{"contentString": "x"}]})));
        for other in ["DocumentReference", "Binary", "Bundle", "QuestionnaireResponse"] {
            assert!(!rules.concern(other, &json!({})), "{other}");
            assert_eq!(rules.way(other, &json!({}), None), None, "{other}");
        }
    }

    #[test]
    fn the_first_rule_whose_conditions_are_met_takes_a_resource() {
        let rules = ForwardRules::new(vec![
            ForwardConfig { partner: Some("acme".to_owned()), ..rule("DocumentReference", "acme") },
            ForwardConfig { profile: Some("http://p".to_owned()), ..rule("DocumentReference", "profile") },
            ForwardConfig { category: Some("note".to_owned()), ..rule("DocumentReference", "category") },
            ForwardConfig { code: Some("1-8".to_owned()), ..rule("DocumentReference", "code") },
            rule("Binary", "binary"),
        ]);
        let coded = |code: &str| json!({"coding": [{"code": code}]});
        for (resource, partner, expected) in [
            (json!({}), Some("acme"), Some("acme")),
            (json!({"meta": {"profile": ["http://p|1.0"]}}), None, Some("profile")),
            (json!({"category": [coded("x"), coded("note")]}), Some("other"), Some("category")),
            (json!({"type": coded("1-8")}), None, Some("code")),
            (json!({"type": coded("1-9"), "category": [coded("x")]}), None, None),
        ] {
            let way = rules.way("DocumentReference", &resource, partner);
            assert_eq!(way, expected.map(|stream| Way::Stream(stream, "r")), "{resource}");
            assert!(rules.concern("DocumentReference", &resource), "a partner may send it");
        }
        let mistaken = json!({"type": coded("1-8"), "status": "entered-in-error"});
        assert!(!rules.concern("DocumentReference", &mistaken));
        assert_eq!(rules.way("Binary", &json!({}), None), Some(Way::Stream("binary", "r")));
        assert!(!rules.concern("Bundle", &json!({})));
    }
}
