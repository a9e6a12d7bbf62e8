//! What a caller may see of what comes from upstream. The gateway calls with rights of its own, which are wider than
//! any caller's: whatever a query left in, this takes out.

use serde_json::Value;

use crate::auth::Access;
use crate::outbound::Base;

/// Elements that say whose record a resource is part of, where they refer to a Patient.
const SUBJECTS: [&str; 5] = ["subject", "patient", "beneficiary", "individual", "for"];

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
        self.patient.is_none_or(|patient| is_of(resource, patient, role, upstream))
            && self.may_see.is_none_or(|may_see| may_see(resource))
    }
}

/// Whether a resource is part of one patient's record and of no other's. What has nothing to do with patients, such as
/// an Organization, may come along but is no answer to a question about one.
fn is_of(resource: &Value, patient: &str, role: Role, upstream: &Base) -> bool {
    if resource["resourceType"] == "Patient" {
        return resource["id"] == patient;
    }
    let mut subjects = Vec::new();
    for element in SUBJECTS {
        collect_patients(&resource[element], upstream, &mut subjects);
    }
    if !subjects.is_empty() {
        return subjects.iter().all(|subject| subject == patient);
    }
    let mut named = Vec::new();
    collect_patients(resource, upstream, &mut named);
    named.iter().any(|named| named == patient) || (named.is_empty() && role == Role::Include)
}

/// The ids of all patients that the References in `json` lead to. The scanner has bounded the nesting.
fn collect_patients(json: &Value, upstream: &Base, found: &mut Vec<String>) {
    match json {
        Value::Object(members) => {
            if let Some(reference) = members.get("reference").and_then(Value::as_str)
                && let Some(patient) = patient_of(reference, upstream)
            {
                found.push(patient.to_owned());
            }
            members.values().for_each(|member| collect_patients(member, upstream, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_patients(item, upstream, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The id of the Patient that a reference leads to, relative or absolute, of some version or none.
fn patient_of<'r>(reference: &'r str, upstream: &Base) -> Option<&'r str> {
    let below = reference.strip_prefix(upstream.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let id = below.unwrap_or(reference).strip_prefix("Patient/")?;
    Some(id.split_once("/_history/").map_or(id, |(id, _)| id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_confined_view_shows_one_patients_record() {
        use Role::{Include, Match};
        let upstream = Base::parse("https://ehr.example.org/fhir").expect("a base");
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
            assert_eq!(is_of(&resource, "1", role, &upstream), shown, "{resource}");
        }
    }
}
