//! The corpus J-03 and J-06: what the shape of a resource is, and that it is told without what was sent.

use serde_json::{Value, json};

use super::{Mode, check, found_in};
use crate::fhir::IssueType;
use crate::fhir::structure::walk::MOST_ISSUES;

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_offending_element_is_named() {
    use IssueType::{Required, Structure, Value as Bad};
    let patient = |members: Value| {
        let mut all = json!({ "resourceType": "Patient" });
        all.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        all
    };
    let extension = json!({ "extension": [{ "url": "u", "valueCode": "c" }] });
    let cases = [
        (json!([]), vec![("R", Structure)]),
        (json!({}), vec![("R.resourceType", Required), ("R", Structure)]),
        (json!({ "resourceType": 1, "a": null }), vec![("R.resourceType", Bad), ("R.a", Structure)]),
        (json!({ "resourceType": "patient" }), vec![("R.resourceType", Bad)]),
        (json!({ "resourceType": ["Patient"] }), vec![("R.resourceType", Bad)]),
        (json!({ "resourceType": "DomainResource" }), vec![("R.resourceType", Bad)]),
        // Unknown elements, several at once, their names only where they could be names of elements.
        (patient(json!({ "foo": 1, "Jane Doe": 2 })), vec![("R.foo", Structure), ("R.?", Structure)]),
        (
            patient(json!({ "name": [{ "family": "x" }, { "first": "y", "use": 7 }] })),
            vec![("R.name[1].first", Structure), ("R.name[1].use", Bad)],
        ),
        (patient(json!({ "resourcetype": "x" })), vec![("R.resourcetype", Structure)]),
        // Null and empty.
        (patient(json!({ "active": null })), vec![("R.active", Structure)]),
        (patient(json!({ "name": [null] })), vec![("R.name[0]", Structure)]),
        (patient(json!({ "name": [] })), vec![("R.name", Structure)]),
        (patient(json!({ "name": [{}] })), vec![("R.name[0]", Structure)]),
        (patient(json!({ "birthDate": "" })), vec![("R.birthDate", Structure)]),
        (patient(json!({ "maritalStatus": {} })), vec![("R.maritalStatus", Structure)]),
        (patient(json!({ "maritalStatus": null })), vec![("R.maritalStatus", Structure)]),
        // Arrays where elements repeat, and only there.
        (patient(json!({ "name": { "family": "x" } })), vec![("R.name", Structure)]),
        (patient(json!({ "maritalStatus": [{ "text": "x" }] })), vec![("R.maritalStatus", Structure)]),
        (patient(json!({ "gender": ["male"] })), vec![("R.gender", Structure)]),
        (patient(json!({ "name": [{ "given": "x" }] })), vec![("R.name[0].given", Structure)]),
        // JSON types.
        (patient(json!({ "active": "true" })), vec![("R.active", Bad)]),
        (patient(json!({ "birthDate": 1970 })), vec![("R.birthDate", Bad)]),
        (patient(json!({ "birthDate": { "value": "1970" } })), vec![("R.birthDate", Structure)]),
        (patient(json!({ "maritalStatus": "x" })), vec![("R.maritalStatus", Structure)]),
        (patient(json!({ "multipleBirthInteger": "2" })), vec![("R.multipleBirthInteger", Bad)]),
        (patient(json!({ "multipleBirthInteger": 1.5 })), vec![("R.multipleBirthInteger", Bad)]),
        (
            patient(json!({ "multipleBirthInteger": 2_147_483_648_u32 })),
            vec![("R.multipleBirthInteger", Bad)],
        ),
        (patient(json!({ "telecom": [{ "rank": 0 }] })), vec![("R.telecom[0].rank", Bad)]),
        (patient(json!({ "photo": [{ "size": -1 }] })), vec![("R.photo[0].size", Bad)]),
        (
            json!({ "resourceType": "Observation", "valueQuantity": { "value": "1.0" } }),
            vec![("R.valueQuantity.value", Bad)],
        ),
        (patient(json!({ "id": 1 })), vec![("R.id", Bad)]),
        (patient(json!({ "extension": [{ "url": 1 }] })), vec![("R.extension[0].url", Bad)]),
        // The underscore.
        (patient(json!({ "birthDate": "1970", "_birthDate": extension })), vec![]),
        (patient(json!({ "_birthDate": extension })), vec![]),
        (patient(json!({ "_birthDate": { "id": "x" } })), vec![]),
        (patient(json!({ "_birthDate": {} })), vec![("R._birthDate", Structure)]),
        (patient(json!({ "_birthDate": "x" })), vec![("R._birthDate", Structure)]),
        (patient(json!({ "_birthDate": [extension] })), vec![("R._birthDate", Structure)]),
        (patient(json!({ "_birthDate": { "value": "x" } })), vec![("R._birthDate.value", Structure)]),
        (
            patient(json!({ "_birthDate": { "extension": [{ "uri": "x" }] } })),
            vec![("R._birthDate.extension[0].uri", Structure)],
        ),
        (patient(json!({ "_name": [{ "id": "x" }] })), vec![("R._name", Structure)]),
        (patient(json!({ "_foo": { "id": "x" } })), vec![("R._foo", Structure)]),
        (patient(json!({ "name": [{ "given": ["a", null], "_given": [null, extension] }] })), vec![]),
        (patient(json!({ "name": [{ "_given": [null, extension] }] })), vec![]),
        (
            patient(json!({ "name": [{ "given": ["a", "b"], "_given": [extension] }] })),
            vec![("R.name[0]._given", Structure)],
        ),
        (
            patient(json!({ "name": [{ "given": ["a", null], "_given": [extension, null] }] })),
            vec![("R.name[0].given[1]", Structure)],
        ),
        (patient(json!({ "name": [{ "given": [null] }] })), vec![("R.name[0].given[0]", Structure)]),
        (
            patient(json!({ "name": [{ "given": ["a"], "_given": [null] }] })),
            vec![("R.name[0]._given", Structure)],
        ),
        (
            patient(json!({ "name": [{ "given": ["a"], "_given": extension }] })),
            vec![("R.name[0]._given", Structure)],
        ),
        // Resources inside.
        (patient(json!({ "contained": [{ "id": "x" }] })), vec![("R.contained[0].resourceType", Required)]),
        (
            patient(json!({ "contained": [{ "id": "x", "foo": 1, "resourceType": "Task" }] })),
            vec![("R.contained[0].foo", Structure)],
        ),
        (
            json!({ "entry": [{ "resource": { "status": 1, "resourceType": "Task" } }], "resourceType": "Bundle" }),
            vec![("R.entry[0].resource.status", Bad)],
        ),
        (
            json!({ "resourceType": "Parameters", "parameter": [{ "part": [{ "part": [{ "nam": "x" }] }] }] }),
            vec![("R.parameter[0].part[0].part[0].nam", Structure)],
        ),
        // The one element that is called so without being a type of the whole.
        (
            json!({ "resourceType": "ExampleScenario", "instance": [{ "resourceType": "Foo", "x": 1 }] }),
            vec![("R.instance[0].x", Structure)],
        ),
    ];
    for (resource, wanted) in cases {
        let wanted: Vec<_> = wanted.into_iter().map(|(path, code)| (path.to_owned(), code)).collect();
        assert_eq!(found_in(&resource, Mode::Shape), wanted, "{resource}");
    }
}

#[test]
fn no_issue_repeats_what_was_sent_and_their_number_is_bounded() {
    let names: Vec<Value> = (0..500).map(|n| json!({ "family": n, "secret name": "secret" })).collect();
    let issues = check(&json!({ "resourceType": "Patient", "name": names }), "R", Mode::Strict);
    assert_eq!(issues.len(), MOST_ISSUES);
    assert!(!format!("{issues:?}").contains("secret"));
}
