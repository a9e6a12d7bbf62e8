//! Whose record a resource is part of, by the Patients that it refers to.

use serde_json::Value;

/// Elements that say whose record a resource is part of, where they refer to a Patient.
const SUBJECTS: [&str; 5] = ["subject", "patient", "beneficiary", "individual", "for"];

/// Types that are nobody's record: they say who asked whom for what.
const NO_RECORDS: [&str; 3] = ["AuditEvent", "Subscription", "Task"];

/// Whether a resource is part of one patient's record and of no other's. `base` is that of the server whose Patient it
/// is: absolute references to it count.
pub(crate) fn is_of(resource: &Value, patient: &str, base: &str) -> bool {
    belongs(resource, patient, base) == Some(true)
}

/// The same of what comes along with a record: what has nothing to do with patients, such as an Organization, may.
pub(crate) fn may_come_along(resource: &Value, patient: &str, base: &str) -> bool {
    let name = resource["resourceType"].as_str().unwrap_or_default();
    !NO_RECORDS.contains(&name) && belongs(resource, patient, base) != Some(false)
}

/// Whether a resource is this patient's; none if it is nobody's.
fn belongs(resource: &Value, patient: &str, base: &str) -> Option<bool> {
    if resource["resourceType"] == "Patient" {
        return Some(resource["id"] == patient);
    }
    let mut subjects = Vec::new();
    for element in SUBJECTS {
        collect_patients(&resource[element], base, &mut subjects);
    }
    if !subjects.is_empty() {
        return Some(subjects.iter().all(|subject| *subject == patient));
    }
    let mut named = Vec::new();
    collect_patients(resource, base, &mut named);
    (!named.is_empty()).then(|| named.iter().all(|named| *named == patient))
}

/// The ids of all patients that the References in `json` lead to. The scanner has bounded the nesting.
fn collect_patients<'a>(json: &'a Value, base: &str, found: &mut Vec<&'a str>) {
    match json {
        Value::Object(members) => {
            let reference = members.get("reference").and_then(Value::as_str);
            found.extend(reference.and_then(|reference| patient_of(reference, base)));
            members.values().for_each(|member| collect_patients(member, base, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_patients(item, base, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The id of the Patient that a reference leads to, relative or absolute, of some version or none.
fn patient_of<'r>(reference: &'r str, base: &str) -> Option<&'r str> {
    let below = reference.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    let id = below.unwrap_or(reference).strip_prefix("Patient/")?;
    Some(id.split_once("/_history/").map_or(id, |(id, _)| id))
}
