//! The operations of FHIRPath Patch on each kind of element: plain, of a datatype, of a type without a name, lists of
//! each, choices and extensions.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn operation(parts: &[(&str, Value)]) -> Value {
    let part = |(name, value): &(&str, Value)| {
        let mut part = json!({ "name": name });
        part.as_object_mut().expect("an object").append(&mut value.as_object().expect("a value").clone());
        part
    };
    json!({ "name": "operation", "part": parts.iter().map(part).collect::<Vec<_>>() })
}

fn kind(kind: &str, path: &str) -> [(&'static str, Value); 2] {
    [("type", json!({ "valueCode": kind })), ("path", json!({ "valueString": path }))]
}

fn add(path: &str, name: &str, value: Value) -> Value {
    let [kind, path] = kind("add", path);
    operation(&[kind, path, ("name", json!({ "valueString": name })), ("value", value)])
}

fn insert(path: &str, index: u8, value: Value) -> Value {
    let [kind, path] = kind("insert", path);
    operation(&[kind, path, ("index", json!({ "valueInteger": index })), ("value", value)])
}

fn delete(path: &str) -> Value {
    operation(&kind("delete", path))
}

fn replace(path: &str, value: Value) -> Value {
    let [kind, path] = kind("replace", path);
    operation(&[kind, path, ("value", value)])
}

fn reorder(path: &str, source: u8, destination: u8) -> Value {
    let [kind, path] = kind("move", path);
    let positions =
        [("source", source), ("destination", destination)].map(|(n, at)| (n, json!({ "valueInteger": at })));
    let [source, destination] = positions;
    operation(&[kind, path, source, destination])
}

/// What becomes of a resource, or the text of the first issue.
fn patched(resource: &Value, operations: &[Value]) -> Result<Value, String> {
    let first = |issues: &[Issue]| issues[0].text.clone();
    let parameters = json!({ "resourceType": "Parameters", "parameter": operations });
    let patch = FhirPathPatch::parse(&parameters).map_err(|issues| first(&issues))?;
    patch.apply(resource).map_err(|error| first(error.issues()))
}

fn check(type_name: &str, cases: &[(Value, Value, Value)]) {
    for (before, operation, after) in cases {
        let typed = |members: &Value| {
            let mut resource = json!({ "resourceType": type_name });
            resource
                .as_object_mut()
                .expect("an object")
                .append(&mut members.as_object().expect("members").clone());
            resource
        };
        let found = patched(&typed(before), std::slice::from_ref(operation));
        assert_eq!(found, Ok(typed(after)), "{before} {operation}");
    }
}

#[test]
fn single_elements_are_added_replaced_and_deleted() {
    let contact = json!({ "name": { "text": "n" }, "gender": "male" });
    check(
        "Patient",
        &[
            (
                json!({}),
                add("Patient", "birthDate", json!({ "valueDate": "1930-01-01" })),
                json!({ "birthDate": "1930-01-01" }),
            ),
            (
                json!({ "birthDate": "1920-01-01", "_birthDate": { "id": "b" } }),
                replace("Patient.birthDate", json!({ "valueDate": "1930-01-01" })),
                json!({ "birthDate": "1930-01-01" }),
            ),
            (
                json!({ "birthDate": "1920-01-01", "_birthDate": { "id": "b" } }),
                delete("Patient.birthDate"),
                json!({}),
            ),
            (json!({}), delete("Patient.birthDate"), json!({})),
            (
                json!({ "contact": [contact] }),
                replace("Patient.contact[0].gender", json!({ "valueCode": "female" })),
                json!({ "contact": [{ "name": { "text": "n" }, "gender": "female" }] }),
            ),
            (
                json!({ "contact": [contact] }),
                replace("Patient.contact.name.text", json!({ "valueString": "m" })),
                json!({ "contact": [{ "name": { "text": "m" }, "gender": "male" }] }),
            ),
            (
                json!({ "contact": [contact] }),
                delete("Patient.contact[0].name.text"),
                json!({ "contact": [{ "gender": "male" }] }),
            ),
            (
                json!({ "contact": [{ "name": { "text": "n" } }] }),
                delete("Patient.contact[0].name.text"),
                json!({}),
            ),
            (json!({ "contact": [contact] }), delete("Patient.contact[0]"), json!({})),
            (
                json!({ "contact": [{ "name": { "text": "n" } }] }),
                add("Patient.contact[0]", "gender", json!({ "valueCode": "male" })),
                json!({ "contact": [contact] }),
            ),
            (
                json!({}),
                add("Patient", "maritalStatus", json!({ "valueCodeableConcept": { "text": "married" } })),
                json!({ "maritalStatus": { "text": "married" } }),
            ),
            (
                json!({ "maritalStatus": { "id": "1", "text": "married" } }),
                replace(
                    "Patient.maritalStatus",
                    json!({ "valueCodeableConcept": { "id": "2", "text": "not" } }),
                ),
                json!({ "maritalStatus": { "id": "2", "text": "not" } }),
            ),
            (json!({ "maritalStatus": { "text": "married" } }), delete("maritalStatus"), json!({})),
        ],
    );
}

#[test]
fn lists_grow_shrink_and_change_their_order() {
    let list = |values: &[u8]| json!({ "identifier": values.iter().map(|v| json!({ "value": v.to_string() })).collect::<Vec<_>>() });
    let new = || json!({ "valueIdentifier": { "value": "9" } });
    let path = "Patient.identifier";
    check(
        "Patient",
        &[
            (json!({}), add("Patient", "identifier", new()), list(&[9])),
            (list(&[1]), add("Patient", "identifier", new()), list(&[1, 9])),
            (json!({}), insert(path, 0, new()), list(&[9])),
            (list(&[1, 2]), insert(path, 2, new()), list(&[1, 2, 9])),
            (list(&[1, 2]), insert(path, 1, new()), list(&[1, 9, 2])),
            (list(&[1, 2]), insert(path, 0, new()), list(&[9, 1, 2])),
            (list(&[1, 2, 3]), delete("Patient.identifier[0]"), list(&[2, 3])),
            (list(&[1, 2, 3]), delete("Patient.identifier.last()"), list(&[1, 2])),
            (list(&[1]), delete("Patient.identifier"), json!({})),
            (list(&[1, 2, 3]), delete("Patient.identifier.where(value = '2')"), list(&[1, 3])),
            (list(&[1, 2]), replace("Patient.identifier.first()", new()), list(&[9, 2])),
            (list(&[1, 2, 3, 4]), reorder(path, 3, 1), list(&[1, 4, 2, 3])),
            (list(&[1, 2, 3, 4]), reorder(path, 0, 3), list(&[2, 3, 4, 1])),
            (list(&[1, 2, 3, 4]), reorder(path, 2, 2), list(&[1, 2, 3, 4])),
        ],
    );
}

#[test]
fn plain_values_keep_their_extensions_beside_them() {
    let given = |values: Value, twins: Value| json!({ "name": [{ "given": values, "_given": twins }] });
    let text = |text: &str| json!({ "valueString": text });
    let path = "Patient.name[0].given";
    check(
        "Patient",
        &[
            (
                given(json!(["a", "b"]), json!([null, { "id": "i" }])),
                insert(path, 1, text("x")),
                given(json!(["a", "x", "b"]), json!([null, null, { "id": "i" }])),
            ),
            (
                given(json!(["a", "b"]), json!([null, { "id": "i" }])),
                reorder(path, 1, 0),
                given(json!(["b", "a"]), json!([{ "id": "i" }, null])),
            ),
            (
                given(json!(["a", "b"]), json!([null, { "id": "i" }])),
                delete("Patient.name[0].given[1]"),
                json!({ "name": [{ "given": ["a"] }] }),
            ),
            (
                json!({ "name": [{ "given": ["a"] }] }),
                add("Patient.name", "given", json!({ "valueString": "b", "_valueString": { "id": "i" } })),
                given(json!(["a", "b"]), json!([null, { "id": "i" }])),
            ),
            (
                json!({ "name": [{ "given": ["a", "b"] }] }),
                add(
                    "Patient.name.given[1]",
                    "extension",
                    json!({ "valueExtension": { "url": "u", "valueCode": "c" } }),
                ),
                given(json!(["a", "b"]), json!([null, { "extension": [{ "url": "u", "valueCode": "c" }] }])),
            ),
            (
                json!({ "birthDate": "1920-01-01" }),
                add(
                    "Patient.birthDate",
                    "extension",
                    json!({ "valueExtension": { "url": "u", "valueCode": "c" } }),
                ),
                json!({ "birthDate": "1920-01-01", "_birthDate": { "extension": [{ "url": "u", "valueCode": "c" }] } }),
            ),
            (
                json!({ "birthDate": "1920-01-01", "_birthDate": { "extension": [{ "url": "u" }, { "url": "v" }] } }),
                delete("Patient.birthDate.extension('u')"),
                json!({ "birthDate": "1920-01-01", "_birthDate": { "extension": [{ "url": "v" }] } }),
            ),
            (
                json!({ "birthDate": "1920-01-01", "_birthDate": { "extension": [{ "url": "u" }] } }),
                delete("Patient.birthDate.extension('u')"),
                json!({ "birthDate": "1920-01-01" }),
            ),
            (
                json!({ "_birthDate": { "extension": [{ "url": "u" }] } }),
                delete("Patient.birthDate.extension('u')"),
                json!({}),
            ),
            (
                given(json!(["a", null]), json!([null, { "extension": [{ "url": "u" }] }])),
                delete("Patient.name.given.extension('u')"),
                json!({ "name": [{ "given": ["a"] }] }),
            ),
            (
                json!({ "extension": [{ "url": "u", "valueCode": "c" }] }),
                replace("Patient.extension('u').value", json!({ "valueString": "s" })),
                json!({ "extension": [{ "url": "u", "valueString": "s" }] }),
            ),
        ],
    );
}

#[test]
fn choices_are_written_by_their_type() {
    let quantity = || json!({ "valueQuantity": { "value": 1 } });
    check(
        "Observation",
        &[
            (json!({}), add("Observation", "value", quantity()), quantity()),
            (json!({}), add("Observation", "value[x]", quantity()), quantity()),
            (json!({}), add("Observation", "valueQuantity", quantity()), quantity()),
            (
                json!({ "valueString": "s", "_valueString": { "id": "i" } }),
                replace("Observation.value", quantity()),
                quantity(),
            ),
            (
                json!({ "valueString": "s" }),
                replace("Observation.value.ofType(string)", json!({ "valueString": "t" })),
                json!({ "valueString": "t" }),
            ),
            (json!({ "valueString": "s" }), delete("Observation.value"), json!({})),
            (
                json!({ "valueString": "s" }),
                delete("Observation.value.ofType(Quantity)"),
                json!({ "valueString": "s" }),
            ),
            (
                json!({ "valueQuantity": { "unit": "m" } }),
                add("Observation.value.as(Quantity)", "value", json!({ "valueDecimal": 2 })),
                json!({ "valueQuantity": { "unit": "m", "value": 2 } }),
            ),
        ],
    );
}

#[test]
fn types_without_a_name_are_given_by_their_elements() {
    let contact = json!({ "part": [
        { "name": "name", "valueHumanName": { "text": "n" } },
        { "name": "telecom", "valueContactPoint": { "value": "1" } },
        { "name": "telecom", "valueContactPoint": { "value": "2" } },
        { "name": "gender", "valueCode": "male", "_valueCode": { "id": "g" } },
    ] });
    let after = json!({
        "name": { "text": "n" }, "telecom": [{ "value": "1" }, { "value": "2" }],
        "gender": "male", "_gender": { "id": "g" },
    });
    check("Patient", &[(json!({}), add("Patient", "contact", contact), json!({ "contact": [after] }))]);

    let component = json!({ "part": [
        { "name": "code", "valueCodeableConcept": { "text": "c" } }, { "name": "value", "valueString": "v" },
    ] });
    check(
        "Observation",
        &[(
            json!({}),
            insert("Observation.component", 0, component),
            json!({ "component": [{ "code": { "text": "c" }, "valueString": "v" }] }),
        )],
    );
    let resource = json!({ "resource": { "resourceType": "Basic", "id": "b" } });
    check(
        "Task",
        &[(
            json!({}),
            add("Task", "contained", resource),
            json!({ "contained": [{ "resourceType": "Basic", "id": "b" }] }),
        )],
    );
    let nested = json!({ "part": [
        { "name": "linkId", "valueString": "1" },
        { "name": "item", "part": [{ "name": "linkId", "valueString": "1.1" }] },
    ] });
    check(
        "Questionnaire",
        &[(
            json!({}),
            add("Questionnaire", "item", nested),
            json!({ "item": [{ "linkId": "1", "item": [{ "linkId": "1.1" }] }] }),
        )],
    );
    check(
        "Task",
        &[(
            json!({ "contained": [{ "resourceType": "Patient" }] }),
            add("Task.contained[0]", "name", json!({ "valueHumanName": { "text": "n" } })),
            json!({ "contained": [{ "resourceType": "Patient", "name": [{ "text": "n" }] }] }),
        )],
    );
}

#[test]
fn an_operation_that_cannot_be_done_says_why() {
    let patient = json!({
        "resourceType": "Patient", "active": true, "deceasedBoolean": false,
        "name": [{ "family": "a" }, { "family": "b" }],
    });
    let text = || json!({ "valueString": "x" });
    for (operation, expected) in [
        (add("Patient", "active", json!({ "valueBoolean": true })), Problem::Exists),
        (add("Patient", "deceased", json!({ "valueDateTime": "2020" })), Problem::Exists),
        (add("Patient", "colour", text()), Problem::Unknown),
        (add("Patient.contact", "gender", text()), Problem::NoElement),
        (add("Patient.name", "text", text()), Problem::ManyElements),
        (add("Person", "active", text()), Problem::NoElement),
        (delete("Patient.name"), Problem::ManyElements),
        (delete("Patient"), Problem::Resource),
        (replace("Patient", text()), Problem::Resource),
        (replace("Patient.birthDate", text()), Problem::NoElement),
        (replace("Patient.name.where(family='c').family", text()), Problem::NoElement),
        (insert("Patient.name", 3, json!({ "valueHumanName": {} })), Problem::BadIndex),
        (insert("Patient.gender", 0, text()), Problem::NotAList),
        (insert("Patient.name[0]", 0, text()), Problem::NotAList),
        (insert("Patient.colour", 0, text()), Problem::Unknown),
        (reorder("Patient.name", 0, 2), Problem::BadIndex),
        (reorder("Patient.telecom", 0, 0), Problem::BadIndex),
    ] {
        let expected = expected.issue(0).text;
        assert_eq!(patched(&patient, std::slice::from_ref(&operation)), Err(expected), "{operation}");
    }
}

#[test]
fn all_that_is_wrong_with_the_operations_is_told_at_once_and_nothing_is_quoted() {
    let [kind, path] = kind("replace", "Patient.marker(");
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "marker" },
        operation(&[]),
        operation(&[kind, path]),
        operation(&self::kind("marker", "Patient")),
        add("Patient", "birthDate", json!({ "valueDate": "2020" })),
        operation(&[self::kind("move", "Patient.name").to_vec(), vec![("source", json!({ "valueInteger": -1 }))]].concat()),
    ] });
    let issues = FhirPathPatch::parse(&parameters).expect_err("all wrong");
    let places: Vec<&str> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
    assert_eq!(
        places,
        [
            "Parameters.parameter[0].name",
            "Parameters.parameter[1].part.where(name='type')",
            "Parameters.parameter[1].part.where(name='path')",
            "Parameters.parameter[2].part.where(name='path')",
            "Parameters.parameter[2].part.where(name='value')",
            "Parameters.parameter[3].part.where(name='type')",
            "Parameters.parameter[5].part.where(name='source')",
            "Parameters.parameter[5].part.where(name='destination')",
        ]
    );
    assert!(!format!("{issues:?}").contains("marker"), "{issues:?}");
}

proptest! {
    #[test]
    fn a_list_is_as_long_as_its_twin_whatever_is_done(
        moves in proptest::collection::vec((0..4_u8, 0..4_u8, 0..4_u8), 1..12),
    ) {
        let mut resource = json!({ "resourceType": "Patient", "name": [{ "family": "f", "given": ["0"] }] });
        // What the list should be, kept the simple way.
        let mut list = vec![(Some("0".to_owned()), None)];
        for (at, (what, source, destination)) in moves.into_iter().enumerate() {
            let (source_at, destination_at) = (usize::from(source), usize::from(destination));
            let (operation, is_possible) = match what {
                0 => (insert("Patient.name.given", source, json!({ "valueString": at.to_string() })), source_at <= list.len()),
                1 => {
                    let value = json!({ "valueString": at.to_string(), "_valueString": { "id": at.to_string() } });
                    (insert("Patient.name.given", source, value), source_at <= list.len())
                }
                2 => (reorder("Patient.name.given", source, destination), source_at.max(destination_at) < list.len()),
                _ => (delete(&format!("Patient.name.given[{source}]")), source_at < list.len()),
            };
            let after = patched(&resource, &[operation]);
            prop_assert!(after.is_ok() == (is_possible || what == 3));
            if !is_possible {
                continue;
            }
            match what {
                0 => list.insert(source_at, (Some(at.to_string()), None)),
                1 => list.insert(source_at, (Some(at.to_string()), Some(json!({ "id": at.to_string() })))),
                2 => {
                    let entry = list.remove(source_at);
                    list.insert(destination_at, entry);
                }
                _ => drop(list.remove(source_at)),
            }
            resource = after.expect("it was possible");
            let mut name = json!({ "family": "f" });
            if !list.is_empty() {
                name["given"] = list.iter().map(|(value, _)| json!(value)).collect();
            }
            if list.iter().any(|(_, twin)| twin.is_some()) {
                name["_given"] = list.iter().map(|(_, twin)| json!(twin)).collect();
            }
            prop_assert_eq!(&resource["name"][0], &name);
        }
    }
}
