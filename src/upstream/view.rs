//! What a caller may see of what comes from upstream. The gateway calls with rights of its own, which are wider than
//! any caller's: whatever a query left in, this takes out.

use serde_json::Value;

use crate::auth::Access;
use crate::fhir::record;
use crate::outbound::Base;

/// Who looks, and at what part of the data.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// What the caller may see of the gateway's own: whose cursors are good.
    pub(crate) access: &'a Access,
    /// The FHIR base URL under which the caller sees the gateway, without a slash at its end.
    pub(crate) base: &'a str,
    /// The only patient whose data are shown, by id.
    pub(crate) patient: Option<&'a str>,
    /// Asked about each resource; all pass if there is nobody to ask.
    pub(crate) may_see: Option<&'a (dyn Fn(&Value) -> bool + Send + Sync)>,
}

/// How a resource came into an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is what was asked for.
    Match,
    /// It came along with that.
    Include,
}

impl View<'_> {
    /// Whether anything is kept from the caller. What upstream counts is not told then.
    pub(super) fn is_confined(&self) -> bool {
        self.patient.is_some() || self.may_see.is_some()
    }

    /// Whether a resource is shown.
    pub(super) fn shows(&self, resource: &Value, role: Role, upstream: &Base) -> bool {
        self.patient.is_none_or(|patient| match role {
            Role::Match => record::is_of(resource, patient, upstream.as_str()),
            Role::Include => record::may_come_along(resource, patient, upstream.as_str()),
        }) && self.may_see.is_none_or(|may_see| may_see(resource))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_confined_view_shows_one_patients_record() {
        use Role::{Include, Match};
        let upstream = Base::parse("https://ehr.example.org/fhir").expect("a base");
        let access = Access::of_worker("default");
        let view =
            View { access: &access, base: "http://gateway.test/fhir", patient: Some("1"), may_see: None };
        let cases = [
            (json!({ "resourceType": "Patient", "id": "1" }), Match, true),
            (json!({ "resourceType": "Patient", "id": "2" }), Match, false),
            (json!({ "resourceType": "Patient", "id": "2" }), Include, false),
            (
                json!({ "resourceType": "Patient", "id": "2", "link": [{ "other": { "reference": "Patient/1" } }] }),
                Match,
                false,
            ),
            (json!({ "resourceType": "Condition", "subject": { "reference": "Patient/1" } }), Match, true),
            (
                json!({ "resourceType": "Condition", "subject": { "reference": "Patient/1/_history/4" } }),
                Match,
                true,
            ),
            (
                json!({ "resourceType": "Condition", "subject": { "reference": "https://ehr.example.org/fhir/Patient/1" } }),
                Match,
                true,
            ),
            (
                json!({ "resourceType": "Condition", "subject": { "reference": "https://else.example/Patient/1" } }),
                Match,
                false,
            ),
            (json!({ "resourceType": "Condition", "subject": { "reference": "Patient/11" } }), Match, false),
            (
                json!({ "resourceType": "Condition", "subject": { "reference": "Patient/2" }, "asserter": { "reference": "Patient/1" } }),
                Match,
                false,
            ),
            (json!({ "resourceType": "Condition", "subject": { "display": "somebody" } }), Match, false),
            (
                json!({ "resourceType": "Coverage", "beneficiary": { "reference": "Patient/1" }, "subscriber": { "reference": "Patient/2" } }),
                Match,
                true,
            ),
            (
                json!({ "resourceType": "Appointment", "participant": [{ "actor": { "reference": "Practitioner/9" } }, { "actor": { "reference": "Patient/1" } }] }),
                Match,
                true,
            ),
            (
                json!({ "resourceType": "Appointment", "participant": [{ "actor": { "reference": "Patient/2" } }] }),
                Include,
                false,
            ),
            (json!({ "resourceType": "Organization", "id": "1" }), Include, true),
            (json!({ "resourceType": "Organization", "id": "1" }), Match, false),
        ];
        for (resource, role, shown) in cases {
            assert_eq!(view.shows(&resource, role, &upstream), shown, "{resource}");
        }
    }
}
