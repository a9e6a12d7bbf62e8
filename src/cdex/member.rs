//! HRex `$member-match`: whether a consent is in force, whether a coverage that is described is one that is here, and
//! how a member who was found is named. Pure.

use serde_json::{Map, Value, json};

use super::matching::normalised;
use crate::clock::Timestamp;
use crate::fhir::datatype::{self, Identifier};
use crate::fhir::{Issue, IssueType};

/// The profile of the operation's Parameters.
pub(crate) const PARAMETERS_MEMBER_MATCH_IN: &str =
    "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-parameters-member-match-in";

/// The code system in which identifiers are said to be a member's.
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// The code system of HRex.
const HREX_TEMP: &str = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp";

/// What speaks against acting on a consent now; `at` is its path. Whole days count, in UTC: consents are given by the
/// day.
pub(crate) fn consent_issues(consent: &Value, now: Timestamp, at: &str) -> Vec<Issue> {
    let refusal =
        |element: &str, text: &str| Issue::error(IssueType::BusinessRule, format!("{at}.{element}"), text);
    let mut issues = Vec::new();
    if consent.get("status").and_then(Value::as_str) != Some("active") {
        issues.push(refusal("status", "The consent is not active"));
    }
    if consent.pointer("/provision/type").and_then(Value::as_str) != Some("permit") {
        issues.push(refusal("provision.type", "The consent permits nothing"));
    }
    let today = now.to_civil().date().to_string();
    let bound = |name: &str| {
        let text = consent.pointer("/provision/period")?.get(name)?.as_str()?;
        // Dates of any precision are compared as far as they go.
        Some(text.get(..10).unwrap_or(text))
    };
    if bound("start").is_some_and(|start| today.as_str() < start) {
        issues.push(refusal("provision.period.start", "The consent is not in force yet"));
    }
    if bound("end").is_some_and(|end| today.get(..end.len()).is_some_and(|today| today > end)) {
        issues.push(refusal("provision.period.end", "The consent is no longer in force"));
    }
    issues
}

/// The numbers of a Coverage: those that identify it, and that of the subscriber.
fn numbers(coverage: &Value) -> impl Iterator<Item = Identifier<'_>> {
    let own = coverage.get("identifier").and_then(Value::as_array).into_iter().flatten().map(Identifier::of);
    let subscriber = coverage.get("subscriberId").and_then(Value::as_str);
    own.chain(subscriber.map(|value| Identifier { system: None, value: Some(value) }))
}

/// The numbers by which members and coverages are looked for.
pub(crate) fn member_numbers(coverage: &Value) -> Vec<Identifier<'_>> {
    let mut numbers: Vec<_> = numbers(coverage).filter(|number| number.value.is_some()).collect();
    numbers.dedup();
    numbers
}

/// Whether a Coverage that is here is the one described: they share a number, and their payors are not two.
pub(crate) fn is_same_coverage(described: &Value, here: &Value) -> bool {
    let shares_number =
        numbers(described).any(|number| numbers(here).any(|own| is_same_number(&number, &own)));
    shares_number && !are_other_payors(described, here)
}

/// Whether a Patient who is here bears a number of the Coverage described.
pub(crate) fn bears_number(patient: &Value, described: &Value) -> bool {
    let mut own =
        patient.get("identifier").and_then(Value::as_array).into_iter().flatten().map(Identifier::of);
    own.any(|own| numbers(described).any(|number| is_same_number(&number, &own)))
}

/// Systems must agree only where both are given: on an insurance card there is none.
fn is_same_number(one: &Identifier<'_>, other: &Identifier<'_>) -> bool {
    let (Some(value), Some(other_value)) = (one.value.map(normalised), other.value.map(normalised)) else {
        return false;
    };
    let is_same_system = match (one.system, other.system) {
        (Some(system), Some(other_system)) => system == other_system,
        _ => true,
    };
    !value.is_empty() && value == other_value && is_same_system
}

/// Whether two Coverages name payors by identifiers of one system, and different ones.
fn are_other_payors(described: &Value, here: &Value) -> bool {
    let (described, here) = (payors(described), payors(here));
    let comparable: Vec<bool> = described
        .iter()
        .flat_map(|one| here.iter().map(move |other| (one, other)))
        .filter(|(one, other)| one.system.is_some() && one.system == other.system)
        .map(|(one, other)| one.value == other.value)
        .collect();
    !comparable.is_empty() && !comparable.contains(&true)
}

fn payors(coverage: &Value) -> Vec<Identifier<'_>> {
    let payors = coverage.get("payor").and_then(Value::as_array).into_iter().flatten();
    payors.filter_map(|payor| payor.get("identifier")).map(Identifier::of).collect()
}

/// The answer: how the member is called here. That is the Patient's member identifier, else the number of the coverage
/// that was matched, else the id of the resource. `patient_url` is the absolute URL of the Patient.
pub(crate) fn answer(patient: &Value, coverage: Option<&Value>, patient_url: &str) -> Value {
    let mut identifier = member_identifier(patient)
        .or_else(|| coverage.and_then(coverage_identifier))
        .unwrap_or_else(|| by_resource(patient_url));
    let unique = json!({"coding": [{"system": HREX_TEMP, "code": "UMB"}]});
    identifier.insert("type".to_owned(), unique);
    json!({
        "resourceType": "Parameters",
        "parameter": [
            {"name": "MemberIdentifier", "valueIdentifier": identifier},
            {"name": "MemberId", "valueReference": {"reference": patient_url}},
        ],
    })
}

fn member_identifier(patient: &Value) -> Option<Map<String, Value>> {
    let identifiers = || patient.get("identifier").and_then(Value::as_array).into_iter().flatten();
    let is_typed = |identifier: &Value, system: &str, code: &str| {
        let concept = identifier.get("type");
        concept
            .into_iter()
            .flat_map(datatype::codings)
            .any(|coding| coding.system == Some(system) && coding.code == Some(code))
    };
    [(HREX_TEMP, "UMB"), (IDENTIFIER_TYPES, "MB")]
        .iter()
        .find_map(|(system, code)| identifiers().find(|identifier| is_typed(identifier, system, code)))
        .and_then(named)
}

fn coverage_identifier(coverage: &Value) -> Option<Map<String, Value>> {
    let own = coverage.get("identifier").and_then(Value::as_array).into_iter().flatten().find_map(named);
    own.or_else(|| {
        let subscriber = coverage.get("subscriberId")?.clone();
        Some(Map::from_iter([("value".to_owned(), subscriber)]))
    })
}

/// System, value and assigner of an identifier that has a value.
fn named(identifier: &Value) -> Option<Map<String, Value>> {
    identifier.get("value")?.as_str()?;
    let members = ["system", "value", "assigner"].into_iter();
    Some(members.filter_map(|name| Some((name.to_owned(), identifier.get(name)?.clone()))).collect())
}

fn by_resource(patient_url: &str) -> Map<String, Value> {
    let (system, id) = patient_url.rsplit_once('/').unwrap_or(("", patient_url));
    Map::from_iter([("system".to_owned(), json!(system)), ("value".to_owned(), json!(id))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{Profiles, validate};

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-03-14T12:00:00Z").expect("an instant")
    }

    #[test]
    fn a_consent_counts_while_it_is_active_permits_and_is_in_force() {
        let consent = |status: &str, kind: &str, start: &str, end: &str| json!({"status": status, "provision": {"type": kind, "period": {"start": start, "end": end}}});
        let (start, end) = ("Consent.provision.period.start", "Consent.provision.period.end");
        for (consent, expected) in [
            (consent("active", "permit", "2026-01-01", "2026-12-31"), vec![]),
            (consent("active", "permit", "2026-03-14", "2026-03-14"), vec![]),
            (consent("active", "permit", "2026-03-14T23:59:59Z", "2026-03-14T00:00:00Z"), vec![]),
            (consent("active", "permit", "2026", "2026"), vec![]),
            (consent("active", "permit", "2026-03", "2026-03"), vec![]),
            (consent("active", "permit", "2022-01-01", "2022-01-31"), vec![end]),
            (consent("active", "permit", "2025", "2025"), vec![end]),
            (consent("active", "permit", "2026-03-15", "2027-01-01"), vec![start]),
            (consent("active", "permit", "2027", "2028"), vec![start]),
            (consent("inactive", "permit", "2026", "2026"), vec!["Consent.status"]),
            (consent("active", "deny", "2026", "2026"), vec!["Consent.provision.type"]),
            (json!({}), vec!["Consent.status", "Consent.provision.type"]),
        ] {
            let issues = consent_issues(&consent, now(), "Consent");
            let found: Vec<_> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
            assert_eq!(found, expected, "{consent}");
        }
    }

    #[test]
    fn coverages_are_the_same_if_they_share_a_number_and_no_payor_differs() {
        let npi = "http://hl7.org/fhir/sid/us-npi";
        let payor = |value: &str| json!([{"identifier": {"system": npi, "value": value}}]);
        let described = json!({"identifier": [{"system": "a", "value": "DH-1000"}], "payor": payor("1")});
        for (here, expected) in [
            (json!({"identifier": [{"system": "a", "value": "dh1000"}]}), true),
            (json!({"identifier": [{"system": "b", "value": "DH-1000"}]}), false),
            (json!({"identifier": [{"value": "DH-1000"}], "payor": payor("1")}), true),
            (json!({"identifier": [{"value": "DH-1000"}], "payor": payor("2")}), false),
            (json!({"subscriberId": "DH1000"}), true),
            (json!({"subscriberId": "DH1001"}), false),
            (json!({"payor": payor("1")}), false),
            (json!({}), false),
        ] {
            assert_eq!(is_same_coverage(&described, &here), expected, "{here}");
        }
        assert!(bears_number(&json!({"identifier": [{"value": "DH 1000"}]}), &described));
        assert!(!bears_number(&json!({"identifier": [{"system": "b", "value": "DH-1000"}]}), &described));
    }

    #[test]
    fn a_member_is_named_by_the_best_number_there_is_and_the_answer_keeps_its_profile() {
        let profiles = Profiles::built_in().expect("the built-in rules");
        let typed = |system: &str, code: &str, value: &str| {
            let concept = json!({"coding": [{"system": system, "code": code}]});
            json!({"use": "usual", "type": concept, "system": "s", "value": value})
        };
        let member = typed(IDENTIFIER_TYPES, "MB", "m");
        let unique = typed(HREX_TEMP, "UMB", "u");
        let other = typed(IDENTIFIER_TYPES, "MR", "r");
        let covered = json!({"identifier": [{"system": "c", "value": "c"}], "subscriberId": "x"});
        let url = "http://h/fhir/Patient/p";
        for (identifiers, coverage, system, value) in [
            (json!([other, member, unique]), Some(&covered), "s", "u"),
            (json!([other, member]), Some(&covered), "s", "m"),
            (json!([other]), Some(&covered), "c", "c"),
            (json!([other]), None, "http://h/fhir/Patient", "p"),
            (json!(null), None, "http://h/fhir/Patient", "p"),
        ] {
            let answer = answer(&json!({"identifier": identifiers}), coverage, url);
            let identifier = &answer["parameter"][0]["valueIdentifier"];
            assert_eq!((&identifier["system"], &identifier["value"]), (&json!(system), &json!(value)));
            assert_eq!(answer["parameter"][1]["valueReference"]["reference"], url);
            let profile =
                "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-parameters-member-match-out";
            assert_eq!(validate(&answer, profile, &profiles), []);
        }
    }
}
