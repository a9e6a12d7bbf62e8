//! The published examples parse; whatever is taken away from one, doubled or changed is named.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AttachTo, Identifier, Submission, parse};
use crate::fhir::testing::published;
use crate::fhir::{Issue, IssueType, Profiles};

fn profiles() -> Profiles {
    Profiles::built_in().expect("the built-in rules")
}

/// A submission with every parameter, for a claim.
fn full() -> Value {
    let identifier = |value: &str| json!({ "system": "urn:example", "value": value });
    json!({
        "resourceType": "Parameters",
        "parameter": [
            { "name": "TrackingId", "valueIdentifier": identifier("T1") },
            { "name": "AdminRefNumber", "valueIdentifier": identifier("A1") },
            { "name": "AttachTo", "valueCode": "claim" },
            { "name": "PayerId", "valueIdentifier": identifier("P1") },
            { "name": "OrganizationId", "valueIdentifier": identifier("O1") },
            { "name": "ProviderId", "valueIdentifier": identifier("D1") },
            { "name": "MemberId", "valueIdentifier": { "value": "M1" } },
            { "name": "ServiceDate", "valueDateTime": "2025-05-05" },
            { "name": "Attachment", "part": [
                { "name": "LineItem", "valueString": "1" },
                { "name": "LineItem", "valueString": "2" },
                { "name": "Code", "valueCodeableConcept": {
                    "coding": [{ "system": "http://loinc.org", "code": "11504-8" }] } },
                { "name": "Content", "resource": { "resourceType": "Observation" } },
            ] },
            { "name": "Final", "valueBoolean": false },
        ],
    })
}

fn parameters(resource: &mut Value) -> &mut Vec<Value> {
    resource["parameter"].as_array_mut().expect("an array")
}

fn named<'v>(resource: &'v mut Value, name: &str) -> &'v mut Value {
    parameters(resource).iter_mut().find(|p| p["name"] == name).expect("a parameter of this name")
}

fn without(name: &str) -> Value {
    let mut resource = full();
    parameters(&mut resource).retain(|parameter| parameter["name"] != name);
    resource
}

fn refused(resource: &Value) -> Vec<(IssueType, String)> {
    let issues = parse(resource, &profiles()).expect_err("a refusal");
    assert!(issues.iter().any(Issue::is_error));
    let errors = issues.into_iter().filter(Issue::is_error);
    errors.map(|issue| (issue.code, issue.expression.unwrap_or_default())).collect()
}

/// Where the parameter of this name is.
fn place(resource: &Value, name: &str) -> String {
    let parameters = resource["parameter"].as_array().expect("parameters");
    let index = parameters.iter().position(|p| p["name"] == name).expect("a parameter of this name");
    format!("Parameters.parameter[{index}]")
}

fn accepted(resource: &Value) -> (Submission, Vec<Issue>) {
    parse(resource, &profiles()).unwrap_or_else(|issues| panic!("{issues:#?}"))
}

#[test]
fn every_parameter_is_read() {
    let identifier = |value: &str| Identifier { system: Some("urn:example".into()), value: value.into() };
    let resource = full();
    let (submission, warnings) = accepted(&resource);
    assert_eq!(warnings, []);
    assert_eq!(submission.tracking_id, identifier("T1"));
    assert_eq!(submission.admin_ref_number, Some(identifier("A1")));
    assert_eq!(submission.attach_to, AttachTo::Claim);
    assert_eq!(submission.payer_id, Some(identifier("P1")));
    assert_eq!(submission.organization_id, Some(identifier("O1")));
    assert_eq!(submission.provider_id, Some(identifier("D1")));
    assert_eq!(submission.member_id, Identifier { system: None, value: "M1".into() });
    assert_eq!(submission.service_date.as_deref(), Some("2025-05-05"));
    assert!(!submission.is_last_submission);
    let [attachment] = &submission.attachments[..] else { panic!("one attachment") };
    assert_eq!(attachment.line_items, ["1", "2"]);
    assert_eq!(attachment.code, Some((Some("http://loinc.org".into()), "11504-8".into())));
    assert_eq!(attachment.resource_type, "Observation");
    let content = &resource["parameter"][attachment.parameter]["part"][attachment.content_part]["resource"];
    assert_eq!(*content, json!({ "resourceType": "Observation" }));
    assert!(accepted(&without("Final")).0.is_last_submission, "Final is true when omitted");
}

#[test]
fn the_published_examples_parse_without_an_issue() {
    for example in ["example1", "example3", "example5"] {
        let Some(resource) = published(&format!("cdex/examples/cdex-parameters-{example}.json")) else {
            return;
        };
        let (submission, warnings) = accepted(&resource);
        assert_eq!(warnings, [], "{example}");
        assert_eq!(submission.attachments.len(), 1, "{example}");
        assert!(submission.is_last_submission, "{example}");
    }
}

#[test]
fn each_required_parameter_is_named_when_it_is_missing() {
    for name in ["TrackingId", "AttachTo", "MemberId", "ServiceDate", "Attachment"] {
        let expected = format!("Parameters.parameter.where(name='{name}')");
        assert_eq!(refused(&without(name)), [(IssueType::Required, expected)], "{name}");
    }
    for name in ["AdminRefNumber", "PayerId", "OrganizationId", "ProviderId", "Final"] {
        accepted(&without(name));
    }
}

#[test]
fn a_sender_must_be_named_by_one_parameter_or_the_other() {
    let mut resource = full();
    parameters(&mut resource).retain(|p| p["name"] != "ProviderId" && p["name"] != "OrganizationId");
    let expected = "Parameters.parameter.where(name='ProviderId' or name='OrganizationId')";
    assert_eq!(refused(&resource), [(IssueType::Required, expected.to_owned())]);
}

#[test]
fn a_parameter_beyond_its_maximum_is_told_by_its_index() {
    for name in [
        "TrackingId",
        "AdminRefNumber",
        "AttachTo",
        "PayerId",
        "OrganizationId",
        "ProviderId",
        "MemberId",
        "ServiceDate",
        "Final",
    ] {
        let mut resource = full();
        let copy = named(&mut resource, name).clone();
        parameters(&mut resource).push(copy);
        let expected = "Parameters.parameter[10]".to_owned();
        assert_eq!(refused(&resource), [(IssueType::Structure, expected)], "{name}");
    }
    for part in ["Code", "Content"] {
        let mut resource = full();
        let parts = named(&mut resource, "Attachment")["part"].as_array_mut().expect("parts");
        let copy = parts.iter().find(|p| p["name"] == part).expect("a part").clone();
        parts.push(copy);
        let expected = format!("Parameters.parameter[8].part[{}]", parts.len() - 1);
        assert_eq!(refused(&resource), [(IssueType::Structure, expected)], "{part}");
    }
    let mut resource = full();
    let copy = named(&mut resource, "Attachment").clone();
    parameters(&mut resource).push(copy);
    assert_eq!(accepted(&resource).0.attachments.len(), 2, "attachments repeat");
}

#[test]
fn a_value_of_another_type_is_named() {
    for name in [
        "TrackingId",
        "AdminRefNumber",
        "AttachTo",
        "PayerId",
        "OrganizationId",
        "ProviderId",
        "MemberId",
        "ServiceDate",
        "Final",
    ] {
        let mut resource = full();
        *named(&mut resource, name) = json!({ "name": name, "valueInteger": 1 });
        let expected = format!("{}.valueInteger", place(&resource, name));
        assert_eq!(refused(&resource), [(IssueType::Value, expected)], "{name}");
    }
    for (part, value, code, at) in [
        ("LineItem", json!({ "name": "LineItem", "valueInteger": 1 }), IssueType::Value, "valueInteger"),
        ("LineItem", json!({ "name": "LineItem", "valueString": 1 }), IssueType::Structure, "valueString"),
        ("LineItem", json!({ "name": "LineItem", "valueString": "" }), IssueType::Value, "valueString"),
        ("Code", json!({ "name": "Code", "valueCode": "c" }), IssueType::Value, "valueCode"),
        ("Content", json!({ "name": "Content", "resource": {} }), IssueType::Structure, "resource"),
        ("Content", json!({ "name": "Content", "valueString": "bytes" }), IssueType::Required, "resource"),
    ] {
        let mut resource = full();
        let parts = named(&mut resource, "Attachment")["part"].as_array_mut().expect("parts");
        let index = parts.iter().position(|p| p["name"] == part).expect("a part");
        parts[index] = value.clone();
        let expected = format!("Parameters.parameter[8].part[{index}].{at}");
        assert_eq!(refused(&resource), [(code, expected)], "{value}");
    }
}

#[test]
fn rules_of_the_parameters_are_named_where_they_are_broken() {
    use IssueType::{CodeInvalid, Invariant, Required, Structure, Value as Wrong};
    let identifier = json!({ "value": "x" });
    let cases = [
        ("AttachTo", json!({ "valueCode": "predetermination" }), CodeInvalid, ".valueCode"),
        ("ServiceDate", json!({ "valueDateTime": "2025" }), Wrong, ".valueDateTime"),
        ("ServiceDate", json!({ "valueDateTime": "2025-05" }), Wrong, ".valueDateTime"),
        ("ServiceDate", json!({ "valueDateTime": "yesterday" }), Wrong, ".valueDateTime"),
        ("ServiceDate", json!({ "_valueDateTime": {} }), Required, ""),
        ("MemberId", json!({ "valueIdentifier": { "system": "urn:s" } }), Required, ".valueIdentifier.value"),
        ("PayerId", json!({ "valueIdentifier": { "system": "urn:s" } }), Required, ".valueIdentifier.value"),
        ("MemberId", json!({ "valueIdentifier": { "value": " " } }), Wrong, ".valueIdentifier.value"),
        ("MemberId", json!({ "valueIdentifier": { "value": 7 } }), Structure, ".valueIdentifier.value"),
        ("MemberId", json!({ "valueIdentifier": "x" }), Structure, ".valueIdentifier"),
        (
            "MemberId",
            json!({ "valueIdentifier": identifier, "resource": { "resourceType": "Basic" } }),
            Invariant,
            "",
        ),
        ("MemberId", json!({ "valueIdentifier": identifier, "part": [] }), Invariant, ""),
        ("Final", json!({ "valueBoolean": "true" }), Structure, ".valueBoolean"),
    ];
    for (name, value, code, at) in cases {
        let mut resource = full();
        let mut parameter = json!({ "name": name });
        parameter.as_object_mut().expect("an object").extend(value.as_object().expect("an object").clone());
        *named(&mut resource, name) = parameter;
        let expected = format!("{}{at}", place(&resource, name));
        assert_eq!(refused(&resource), [(code, expected)], "{name} {value}");
    }
}

#[test]
fn a_parameter_without_anything_in_it_is_named() {
    let mut resource = full();
    *named(&mut resource, "MemberId") = json!({ "name": "MemberId" });
    let (found, at) = (refused(&resource), place(&resource, "MemberId"));
    assert!(found.iter().all(|(_, expression)| expression.starts_with(&at)), "{found:?}");
}

#[test]
fn names_that_the_profile_does_not_know_are_refused_by_index() {
    let cases = [
        (json!({ "name": "memberId", "valueString": "x" }), "[10].name"),
        (json!({ "name": "Secret Name", "valueString": "x" }), "[10].name"),
        (json!({ "valueString": "x" }), "[10].name"),
        (json!({ "name": 7, "valueString": "x" }), "[10].name"),
        (json!("text"), "[10]"),
        (Value::Null, "[10]"),
    ];
    for (entry, at) in cases {
        let mut resource = full();
        parameters(&mut resource).push(entry.clone());
        let found: Vec<String> = refused(&resource).into_iter().map(|(_, at)| at).collect();
        assert_eq!(found, [format!("Parameters.parameter{at}")], "{entry}");
    }
    let mut resource = full();
    let parts = named(&mut resource, "Attachment")["part"].as_array_mut().expect("parts");
    parts.push(json!({ "name": "Note", "valueString": "x" }));
    assert_eq!(refused(&resource), [(IssueType::Value, "Parameters.parameter[8].part[4].name".to_owned())]);
}

#[test]
fn what_is_not_parameters_is_a_structure_error() {
    for (resource, at) in [
        (json!({ "resourceType": "Bundle" }), "Parameters"),
        (json!({}), "Parameters"),
        (json!([]), "Parameters"),
        (json!("text"), "Parameters"),
        (json!({ "resourceType": "Parameters", "parameter": {} }), "Parameters.parameter"),
    ] {
        let found = refused(&resource);
        assert!(found.contains(&(IssueType::Structure, at.to_owned())), "{resource} {found:?}");
    }
}

#[test]
fn prior_authorizations_need_no_service_date_and_take_an_imprecise_one() {
    let mut resource = without("ServiceDate");
    named(&mut resource, "AttachTo")["valueCode"] = "preauthorization".into();
    assert_eq!(accepted(&resource).0.service_date, None);
    parameters(&mut resource).push(json!({ "name": "ServiceDate", "valueDateTime": "2025" }));
    assert_eq!(accepted(&resource).0.service_date.as_deref(), Some("2025"));
}

#[test]
fn a_claims_service_date_may_have_a_time() {
    let mut resource = full();
    named(&mut resource, "ServiceDate")["valueDateTime"] = "2025-05-05T10:30:00-05:00".into();
    accepted(&resource);
}

#[test]
fn extensions_are_tolerated_everywhere() {
    let extension = json!([{ "url": "urn:unknown", "valueString": "x" }]);
    let mut resource = full();
    resource["extension"] = extension.clone();
    for parameter in parameters(&mut resource) {
        parameter["extension"] = extension.clone();
        for part in parameter.get_mut("part").and_then(Value::as_array_mut).into_iter().flatten() {
            part["extension"] = extension.clone();
        }
    }
    named(&mut resource, "MemberId")["valueIdentifier"]["extension"] = extension.clone();
    named(&mut resource, "Final")["_valueBoolean"] = json!({ "extension": extension });
    accepted(&resource);
}

#[test]
fn conf_002_a_missing_or_unknown_attachment_code_is_a_warning() {
    let with_code = |code: Option<Value>, resource_type: &str| {
        let mut resource = full();
        let parts = named(&mut resource, "Attachment")["part"].as_array_mut().expect("parts");
        parts.retain(|part| part["name"] != "Code");
        parts
            .extend(code.map(|code| json!({ "name": "Code", "valueCodeableConcept": { "coding": [code] } })));
        let content = parts.iter_mut().find(|part| part["name"] == "Content").expect("Content");
        content["resource"]["resourceType"] = resource_type.into();
        let (_, warnings) = accepted(&resource);
        assert!(!warnings.iter().any(Issue::is_error));
        warnings.into_iter().map(|warning| warning.code).collect::<Vec<_>>()
    };
    let cases = [
        (None, "DocumentReference", vec![IssueType::BusinessRule]),
        (None, "QuestionnaireResponse", vec![]),
        (Some(json!({ "system": "http://loinc.org", "code": "1-8" })), "Basic", vec![IssueType::CodeInvalid]),
        (Some(json!({ "system": "https://codesystem.x12.org/005010/755", "code": "03" })), "Basic", vec![]),
    ];
    for (code, resource_type, expected) in cases {
        assert_eq!(with_code(code.clone(), resource_type), expected, "{code:?} {resource_type}");
    }
}

#[test]
fn no_text_repeats_what_was_sent() {
    let mut resource = full();
    for (index, parameter) in parameters(&mut resource).iter_mut().enumerate() {
        *parameter = json!({ "name": format!("MARKER{index}"), "valueMARKER": "MARKER", "MARKER": 1 });
    }
    parameters(&mut resource).push(json!({ "name": "AttachTo", "valueCode": "MARKER" }));
    parameters(&mut resource).push(json!({ "name": "ServiceDate", "valueDateTime": "MARKER" }));
    let issues = parse(&resource, &profiles()).expect_err("a refusal");
    assert!(issues.len() > 10);
    assert!(!format!("{issues:?}").contains("MARKER"));
}

const REQUIRED: [&str; 5] = ["TrackingId", "AttachTo", "MemberId", "ServiceDate", "Attachment"];

proptest! {
    #[test]
    fn exactly_the_required_parameters_that_are_missing_are_required(
        removed in proptest::collection::btree_set(0..REQUIRED.len(), 1..=REQUIRED.len()),
        rotation in 0_usize..10,
    ) {
        let mut resource = full();
        parameters(&mut resource).rotate_left(rotation);
        let removed: BTreeSet<&str> = removed.into_iter().map(|index| REQUIRED[index]).collect();
        parameters(&mut resource).retain(|p| !removed.iter().any(|name| p["name"] == *name));
        let expected: BTreeSet<_> = removed
            .iter()
            // Whether a service date is required is known only as long as AttachTo is.
            .filter(|name| **name != "ServiceDate" || !removed.contains("AttachTo"))
            .map(|name| (format!("Parameters.parameter.where(name='{name}')"), true))
            .collect();
        let found: BTreeSet<_> =
            match parse(&resource, &profiles()) {
                Ok(_) => BTreeSet::new(),
                Err(issues) => issues
                    .into_iter()
                    .map(|issue| (issue.expression.unwrap_or_default(), issue.code == IssueType::Required))
                    .collect(),
            };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_json_makes_it_panic_or_accept_without_the_essentials(
        index in 0_usize..10,
        value in prop_oneof![
            Just(Value::Null), Just(json!([])), Just(json!({})), Just(json!(1.5)), Just(json!([null])),
            Just(json!({ "name": null })), Just(json!({ "name": "Attachment", "part": [[], 1, null] })),
            Just(json!({ "name": "AttachTo", "valueCode": ["claim"] })),
            Just(json!({ "name": "MemberId", "valueIdentifier": [{ "value": "x" }] })),
        ],
    ) {
        let mut resource = full();
        parameters(&mut resource)[index] = value;
        prop_assert!(parse(&resource, &profiles()).is_err());
    }
}
