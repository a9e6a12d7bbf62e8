//! What the expressions of the tables find in resources.

use serde_json::{Value, json};

use crate::fhir::search::{included_only, parameter};

fn found(code: &str, resource: &Value) -> Vec<Value> {
    let name = resource["resourceType"].as_str().expect("a resource");
    let parameter = parameter(name, code).or_else(|| included_only(name).find(|found| found.code == code));
    let mut found = Vec::new();
    parameter.expect("a parameter").each(resource, &mut |element| found.push(element.clone()));
    found
}

#[test]
fn a_path_leads_through_every_repetition() {
    let patient = json!({
        "resourceType": "Patient",
        "name": [{ "given": ["Ann", null, "Marie"] }, { "family": "X" }, { "given": ["Jo"] }],
    });
    assert_eq!(found("given", &patient), [json!("Ann"), json!("Marie"), json!("Jo")]);
    assert_eq!(found("name", &patient).len(), 3);
    assert_eq!(found("birthdate", &patient), [] as [Value; 0]);
}

#[test]
fn a_choice_is_found_by_any_of_its_types_or_by_the_one_that_is_named() {
    let observation = json!({
        "resourceType": "Observation",
        "effectivePeriod": { "start": "2020" },
        "_effectivePeriod": { "id": "x" },
        "valueCodeableConcept": { "text": "positive" },
        "valueless": "no choice",
    });
    assert_eq!(found("date", &observation), [json!({ "start": "2020" })]);
    assert_eq!(found("value-concept", &observation), [json!({ "text": "positive" })]);
    assert_eq!(found("value-string", &observation), [json!("positive")]);
    assert_eq!(found("value-quantity", &observation), [] as [Value; 0]);
}

#[test]
fn a_condition_keeps_what_fulfils_it() {
    let contact = |system: &str| json!({ "system": system, "value": "x" });
    let patient = json!({ "resourceType": "Patient", "telecom": [contact("phone"), contact("email"), {}] });
    assert_eq!(found("email", &patient), [contact("email")]);
    assert_eq!(found("telecom", &patient).len(), 3);
    for (deceased, is_found) in [
        (json!({}), false),
        (json!({ "deceasedBoolean": false }), false),
        (json!({ "deceasedBoolean": true }), true),
        (json!({ "deceasedDateTime": "2020" }), true),
    ] {
        let mut patient = deceased;
        patient["resourceType"] = "Patient".into();
        assert_eq!(found("deceased", &patient), [json!(is_found)], "{patient}");
    }
}

#[test]
fn what_a_reference_leads_to_is_told_by_its_text() {
    for (subject, is_patient) in [
        (json!({ "reference": "Patient/1" }), true),
        (json!({ "reference": "Patient/1/_history/2" }), true),
        (json!({ "reference": "https://other.test/r4/Patient/1" }), true),
        (json!({ "reference": "#p" }), true),
        (json!({ "reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", "type": "Patient" }), true),
        (json!({ "reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7" }), false),
        (json!({ "reference": "Group/1" }), false),
        (json!({ "reference": "#g" }), false),
        (json!({ "reference": "#none" }), false),
        (json!({ "display": "Patient/1" }), false),
        (json!("Patient/1"), true),
        (json!(7), false),
    ] {
        let contained =
            json!([{ "resourceType": "Patient", "id": "p" }, { "resourceType": "Group", "id": "g" }]);
        let task = json!({ "resourceType": "Task", "for": subject, "contained": contained });
        assert_eq!(found("patient", &task).len(), usize::from(is_patient), "{subject}");
        assert_eq!(found("subject", &task).len(), 1);
    }
}

#[test]
fn the_first_entry_of_a_bundle_is_found_as_it_stands_there() {
    let composition = json!({ "resourceType": "Composition", "id": "1" });
    let bundle = json!({
        "resourceType": "Bundle",
        "entry": [{ "resource": composition }, { "resource": { "resourceType": "Patient" } }],
    });
    assert_eq!(found("composition", &bundle), [composition]);
}

#[test]
fn extensions_and_outputs_are_found() {
    let race = json!({ "system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3" });
    let patient = json!({
        "resourceType": "Patient",
        "extension": [
            { "url": "http://example.org/other", "extension": [{ "url": "ombCategory", "valueCoding": {} }] },
            {
                "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
                "extension": [{ "url": "ombCategory", "valueCoding": race }, { "url": "text", "valueString": "t" }],
            },
        ],
    });
    assert_eq!(found("race", &patient), [race]);
    let bundle = json!({ "reference": "Bundle/1" });
    let task =
        json!({ "resourceType": "Task", "output": [{ "valueReference": bundle }, { "valueString": "x" }] });
    assert_eq!(found("output", &task), [bundle]);
    assert!(parameter("Task", "output").is_none(), "it is there for _include alone");
}

#[test]
fn what_is_not_shaped_as_defined_is_not_found() {
    for name in ["Patient", "Observation", "Task"] {
        for wrong in [json!([[1]]), json!({ "coding": 7 }), json!("x"), json!(null), json!([null])] {
            let resource =
                json!({ "resourceType": name, "name": wrong, "code": wrong, "value": wrong, "for": wrong });
            for code in crate::fhir::search::parameters(name) {
                found(code.code, &resource);
            }
        }
    }
}
