//! HRex `Patient/$member-match` names exactly one member, or nobody.

use serde_json::{Value, json};

use super::{calling, create, outcome, parameters, to};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;

const NPI: &str = "http://hl7.org/fhir/sid/us-npi";
const TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

fn typed(code: &str, system: &str, value: &str) -> Value {
    json!({"type": {"coding": [{"system": TYPES, "code": code}]}, "system": system, "value": value})
}

fn patient(given: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "name": [{"use": "official", "family": "Person", "given": [given, "Ann"]}],
        "gender": "female",
        "birthDate": "1974-12-25",
    })
}

fn coverage(number: &str, beneficiary: &str) -> Value {
    json!({
        "resourceType": "Coverage",
        "identifier": [typed("MB", "http://example.org/old-payer", number)],
        "status": "active",
        "relationship": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/subscriber-relationship", "code": "self"},
        ]},
        "beneficiary": to(beneficiary, "Patient"),
        "payor": [{"identifier": {"system": NPI, "value": "9876543210"}, "display": "Old Health Plan"}],
    })
}

fn consent(end: &str) -> Value {
    let organization = |value: &str| json!({"identifier": {"system": NPI, "value": value}});
    let role = |system: &str, code: &str| json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]});
    json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": role("consentscope", "patient-privacy"),
        "category": [role("v3-ActCode", "IDSCL")],
        "patient": {"reference": "Patient/1"},
        "performer": [{"reference": "Patient/1"}],
        "sourceReference": {"reference": "http://example.org/DocumentReference/someconsent"},
        "policy": [{"uri": "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition-hrex-consent.html#regular"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2022-01-01", "end": end},
            "actor": [
                {"role": role("provenance-participant-type", "performer"), "reference": organization("9876543210")},
                {"role": role("v3-ParticipationType", "IRCP"), "reference": organization("0123456789")},
            ],
            "action": [role("consentaction", "disclose")],
        },
    })
}

fn call(patient: &Value, number: &str, end: &str) -> Value {
    parameters(&json!([
        {"name": "MemberPatient", "resource": patient},
        {"name": "CoverageToMatch", "resource": coverage(number, "1")},
        {"name": "Consent", "resource": consent(end)},
    ]))
}

#[test]
fn the_one_member_with_this_coverage_is_named() {
    for_each_database(&[], |gateway| {
        let mut stored = patient("Patricia");
        stored["identifier"] = json!([
            typed("MR", "http://example.org/mrn", "7"),
            typed("MB", "http://example.org/member", "55678")
        ]);
        let id = create(&gateway, &stored);
        create(&gateway, &coverage("DH10001235", &id));
        // A twin of the same family and plan.
        let twin = create(&gateway, &patient("Paula"));
        create(&gateway, &coverage("DH10009999", &twin));
        let before = rows::count(&gateway, "audit");
        let request =
            calling("Patient/$member-match", &call(&patient("Patricia"), "DH10001235", "2100-01-01"));
        let answer = gateway.ask(&request).expect(200).json();
        let named = &answer["parameter"][0];
        assert_eq!(named["name"], "MemberIdentifier");
        let identifier = &named["valueIdentifier"];
        assert_eq!(
            (&identifier["system"], &identifier["value"]),
            (&json!("http://example.org/member"), &json!("55678"))
        );
        assert_eq!(identifier["type"]["coding"][0]["code"], "UMB");
        let url = format!("{}/fhir/Patient/{id}", gateway.url());
        assert_eq!(answer["parameter"][1], json!({"name": "MemberId", "valueReference": {"reference": url}}));
        assert_eq!(rows::count(&gateway, "audit"), before + 1, "who was named to whom is on record");
    });
}

#[test]
fn whoever_is_not_surely_meant_or_has_not_agreed_is_not_named() {
    let gateway = Gateway::start();
    let id = create(&gateway, &patient("Patricia"));
    create(&gateway, &coverage("DH1", &id));
    for (described, number, end, code) in [
        (patient("Patricia"), "DH2", "2100-01-01", "not-found"),
        (patient("Robert"), "DH1", "2100-01-01", "not-found"),
        (patient("Patricia"), "DH1", "2022-01-31", "business-rule"),
    ] {
        let before = rows::count(&gateway, "audit");
        let answer = gateway.ask(&calling("Patient/$member-match", &call(&described, number, end)));
        assert_eq!(outcome(&answer, 422)[0].0, code, "{}", answer.text());
        assert!(!answer.text().contains("Person") && !answer.text().contains(&id), "{}", answer.text());
        assert_eq!(rows::count(&gateway, "audit"), before + 1);
    }
    gateway
        .ask(&calling("Patient/$member-match", &call(&patient("Patricia"), "DH1", "2100-01-01")))
        .expect(200);
    let double = create(&gateway, &patient("Patricia"));
    create(&gateway, &coverage("DH1", &double));
    let answer =
        gateway.ask(&calling("Patient/$member-match", &call(&patient("Patricia"), "DH1", "2100-01-01")));
    assert_eq!(outcome(&answer, 422)[0].0, "multiple-matches");
}

#[test]
fn parameters_that_break_their_profile_are_refused_with_the_element() {
    let gateway = Gateway::start();
    let mut unborn = patient("Patricia");
    unborn.as_object_mut().expect("an object").remove("birthDate");
    unborn["gender"] = json!("none");
    let answer = gateway.ask(&calling("Patient/$member-match", &call(&unborn, "DH1", "2100-01-01")));
    let told = outcome(&answer, 422);
    assert!(told.iter().any(|(_, at)| at == "Parameters.parameter[0].resource.gender"), "{told:?}");
    let bare = outcome(&gateway.ask(&calling("Patient/$member-match", &parameters(&json!([])))), 422);
    assert!(!bare.is_empty());
    let alone = outcome(&gateway.ask(&calling("Patient/$member-match", &patient("Patricia"))), 400);
    assert_eq!(alone[0], ("structure".to_owned(), "resourceType".to_owned()));
    let mut unasked = call(&patient("Patricia"), "DH1", "2100-01-01");
    unasked["parameter"].as_array_mut().expect("a list").pop();
    let told = outcome(&gateway.ask(&calling("Patient/$member-match", &unasked)), 400);
    assert_eq!(told[0].0, "required");
}
