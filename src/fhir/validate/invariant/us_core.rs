//! The invariants of US Core that its versions 3.1.1, 6.1.0 and 7.0.0 have in common, for the profiles in force.

use serde_json::Value;

use super::super::surroundings::Surroundings;
use super::{Holds, entries, exists, has_choice, has_coding};

const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
const DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// The function for a key at a path: `us-core-6` is a rule about names and another about attachments.
pub(super) fn find(key: &str, path: &str) -> Option<Holds> {
    Some(match (key, path) {
        ("us-core-1", "Observation.effective[x]") => precise_to_the_day,
        ("us-core-2", "Observation") => value_or_reason_or_parts,
        ("us-core-6", "Patient.name") => part_of_a_name,
        ("us-core-6", "DocumentReference.content.attachment") => {
            |attachment, _| exists(attachment, "url") || exists(attachment, "data")
        }
        ("us-core-7", "Procedure") => performed,
        ("us-core-13", "PractitionerRole") => |role, _| {
            ["practitioner", "organization", "healthcareService", "location"]
                .iter()
                .any(|name| exists(role, name))
        },
        ("us-core-14", "RelatedPerson") => {
            |person, _| exists(person, "name") || exists(person, "relationship")
        }
        ("us-core-15", "Coverage") => member_id,
        ("us-core-21", "MedicationRequest") => |request, _| {
            request.get("intent").is_none_or(|intent| intent != "order") || exists(request, "requester")
        },
        ("pd-1", "PractitionerRole") => |role, _| exists(role, "telecom") || exists(role, "endpoint"),
        ("provenance-1", "Provenance.agent") => on_behalf_of,
        _ => return None,
    })
}

/// `us-core-1`, which asks for eight characters; a Period or Timing has no such text.
fn precise_to_the_day(time: &Value, _: &Surroundings<'_>) -> bool {
    time.as_str().is_none_or(|time| time.len() >= 8)
}

/// `us-core-7`; 3.1.1 demands the time of every procedure.
fn performed(procedure: &Value, _: &Surroundings<'_>) -> bool {
    let was_begun =
        procedure.get("status").is_some_and(|status| status == "completed" || status == "in-progress");
    !was_begun || has_choice(procedure, "performed")
}

/// `us-core-2`: a result says something itself, by its parts, or why it does not.
fn value_or_reason_or_parts(observation: &Value, _: &Surroundings<'_>) -> bool {
    has_choice(observation, "value")
        || ["dataAbsentReason", "component", "hasMember"].iter().any(|name| exists(observation, name))
}

/// `us-core-6` of Patient (`us-core-8` in 3.1.1, which knows no reason for leaving both out).
fn part_of_a_name(name: &Value, _: &Surroundings<'_>) -> bool {
    let mut extensions = entries(name, "extension");
    exists(name, "family")
        || exists(name, "given")
        || extensions.any(|extension| extension["url"] == DATA_ABSENT_REASON)
}

/// `us-core-15`
fn member_id(coverage: &Value, _: &Surroundings<'_>) -> bool {
    let is_member_id = |identifier: &Value| has_coding(identifier.get("type"), IDENTIFIER_TYPE, "MB");
    exists(coverage, "subscriberId") || entries(coverage, "identifier").any(is_member_id)
}

/// `provenance-1`: where nothing tells what an agent is, it may be anything.
fn on_behalf_of(agent: &Value, surroundings: &Surroundings<'_>) -> bool {
    let kind = agent.get("who").and_then(|who| surroundings.target_type(who));
    !matches!(kind, Some("Practitioner" | "Device")) || exists(agent, "onBehalfOf")
}
