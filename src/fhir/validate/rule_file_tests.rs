//! The rule files of which no definition is published here: what they take, and what they refuse.

use serde_json::{Value, json};

use super::validate;
use crate::fhir::{Issue, Profiles};

fn broken(url: &str, resource: &Value) -> Vec<String> {
    let profiles = Profiles::built_in().expect("the built-in rules");
    let at = |issue: Issue| issue.expression.unwrap_or_default();
    validate(resource, url, &profiles).into_iter().map(at).collect()
}

fn coded(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

fn member_match() -> Value {
    json!({
        "resourceType": "Parameters",
        "parameter": [
            { "name": "MemberPatient", "resource": {
                "resourceType": "Patient",
                "name": [{ "family": "Shaw", "given": ["Amy"] }],
                "gender": "female",
                "birthDate": "1987-02-20",
            } },
            { "name": "CoverageToMatch", "resource": {
                "resourceType": "Coverage",
                "status": "active",
                "subscriberId": "1",
                "beneficiary": { "reference": "Patient/1" },
                "relationship": { "text": "self" },
                "payor": [{ "reference": "Organization/1" }],
            } },
        ],
    })
}

#[test]
fn a_member_is_matched_by_demographics_and_coverage() {
    let url = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-parameters-member-match-in";
    assert_eq!(broken(url, &member_match()), [""; 0]);
    let cases = [
        ("/parameter/0/resource/birthDate", "Parameters.parameter[0].resource.birthDate"),
        ("/parameter/0/resource/gender", "Parameters.parameter[0].resource"),
        ("/parameter/0/resource/name/0/given", "Parameters.parameter[0].resource.name[0].given"),
        ("/parameter/1/resource/subscriberId", "Parameters.parameter[1].resource"),
        ("/parameter/1/resource/payor", "Parameters.parameter[1].resource.payor"),
    ];
    for (pointer, expected) in cases {
        let mut resource = member_match();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        resource.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(name);
        assert_eq!(broken(url, &resource), [expected]);
    }
    let mut without_patient = member_match();
    without_patient["parameter"].as_array_mut().expect("parameters").remove(0);
    assert_eq!(broken(url, &without_patient), ["Parameters.parameter.where(name='MemberPatient')"]);
    let mut other = member_match();
    other["parameter"][0]["resource"] = json!({ "resourceType": "Basic" });
    assert_eq!(broken(url, &other), ["Parameters.parameter[0].resource"]);
}

#[test]
fn a_matched_member_has_a_unique_identifier() {
    let url = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-parameters-member-match-out";
    let umb = coded("http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "UMB");
    let answer = |identifier: Value| {
        json!({
            "resourceType": "Parameters",
            "parameter": [{ "name": "MemberIdentifier", "valueIdentifier": identifier }],
        })
    };
    assert_eq!(broken(url, &answer(json!({ "type": umb, "value": "1" }))), [""; 0]);
    let at = "Parameters.parameter[0].valueIdentifier";
    assert_eq!(broken(url, &answer(json!({ "type": umb }))), [format!("{at}.value")]);
    assert_eq!(broken(url, &answer(json!({ "type": {}, "value": "1" }))), [format!("{at}.type")]);
}

#[test]
fn a_subscription_says_how_much_its_notifications_carry() {
    let url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription";
    let content =
        "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content";
    let subscription = |payload: Value| {
        json!({
            "resourceType": "Subscription",
            "channel": { "type": "rest-hook", "payload": "application/fhir+json", "_payload": payload },
        })
    };
    let extension = |value: Value| json!({ "extension": [{ "url": content, "valueCode": value }] });
    assert_eq!(broken(url, &subscription(extension(json!("id-only")))), [""; 0]);
    let at = "Subscription.channel._payload.extension";
    assert_eq!(broken(url, &subscription(json!({ "id": "a" }))), [at]);
    assert_eq!(broken(url, &subscription(extension(json!("all")))), [format!("{at}[0].valueCode")]);
    let mut plain = subscription(Value::Null);
    plain["channel"].as_object_mut().expect("an object").remove("_payload");
    assert_eq!(broken(url, &plain), ["Subscription.channel.payload.extension"]);
}

#[test]
fn what_us_core_demands_of_the_types_of_cdex_is_told_where_it_is_missing() {
    let core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-";
    let hrex = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-";
    let empty = |resource_type: &str| json!({ "resourceType": resource_type });
    let cases: [(&str, &str, Value, &[&str]); 9] = [
        (core, "patient", empty("Patient"), &["Patient.identifier", "Patient.name", "Patient.gender"]),
        (
            core,
            "patient",
            json!({
                "resourceType": "Patient",
                "identifier": [{ "value": "1" }],
                "name": [{ "text": "a" }],
                "gender": "other",
            }),
            &["Patient.identifier[0].system", "Patient.name[0]"],
        ),
        (
            core,
            "documentreference",
            json!({
                "resourceType": "DocumentReference",
                "type": coded("urn:other", "x"),
                "category": [{}],
                "subject": { "reference": "Group/1" },
                "content": [{ "attachment": {} }],
            }),
            &[
                "DocumentReference.type",
                "DocumentReference.subject",
                "DocumentReference.content[0].attachment",
            ],
        ),
        (core, "practitioner", empty("Practitioner"), &["Practitioner.identifier", "Practitioner.name"]),
        (core, "organization", empty("Organization"), &["Organization.active", "Organization.name"]),
        (
            hrex,
            "organization",
            json!({ "resourceType": "Organization", "active": true, "name": "a" }),
            &["Organization.identifier"],
        ),
        (
            hrex,
            "practitionerrole",
            json!({ "resourceType": "PractitionerRole", "endpoint": [], "location": [] }),
            &["PractitionerRole.practitioner", "PractitionerRole.organization"],
        ),
        (
            hrex,
            "provenance",
            json!({
                "resourceType": "Provenance",
                "target": [{ "display": "a" }],
                "agent": [{ "who": { "reference": "Device/1" } }],
            }),
            &["Provenance.agent[0]", "Provenance.target[0].reference"],
        ),
        (core, "coverage", empty("Coverage"), &["Coverage", "Coverage.relationship"]),
    ];
    for (base, name, resource, expected) in cases {
        assert_eq!(broken(&format!("{base}{name}"), &resource), expected, "{name}");
    }
}
