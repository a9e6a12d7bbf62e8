//! The corpus J-03 and J-06, and every published example: none of them may be refused.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use fhirbolt::element::Element;
use fhirbolt::serde::{DeserializationConfig, DeserializationMode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Folders of published data, if they can be found.
#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CDEX_SHARED_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let found = Some(root.join(name)).filter(|path| path.exists());
    if found.is_none() {
        let _ = std::io::stderr().write_all(format!("SKIPPED: no {name} in {}\n", root.display()).as_bytes());
    }
    found
}

/// The JSON files below a folder, with their names.
fn resources(folder: &Path) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            found.extend(resources(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read(&path).expect("the file is readable");
            let value = serde_json::from_slice(&text).expect("the file is JSON");
            found.push((path.display().to_string(), value));
        }
    }
    found
}

/// Every published example that can be found.
static PUBLISHED: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let mut all = Vec::new();
    if let Some(folder) = shared("cdex/examples") {
        all.extend(resources(&folder));
    }
    if let Some(archive) = shared("fhir-r4/examples.tar.gz") {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()).status();
        if unpacked.is_ok_and(|status| status.success()) {
            all.extend(resources(folder.path()));
        } else {
            let _ = std::io::stderr().write_all(b"SKIPPED: the archive of examples cannot be unpacked\n");
        }
    }
    all.retain(|(_, value)| value.get("resourceType").is_some());
    all
});

fn found(resource: &Value) -> Vec<(String, IssueType)> {
    check(resource, "R").into_iter().map(|issue| (issue.expression.unwrap_or_default(), issue.code)).collect()
}

#[test]
fn every_published_example_passes() {
    let mut refused = Vec::new();
    for (name, resource) in PUBLISHED.iter() {
        let issues = check(resource, "R");
        if !issues.is_empty() {
            refused.push(format!("{name}: {issues:#?}"));
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

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
        assert_eq!(found(&resource), wanted, "{resource}");
    }
}

#[test]
fn no_issue_repeats_what_was_sent_and_their_number_is_bounded() {
    let names: Vec<Value> = (0..500).map(|n| json!({ "family": n, "secret name": "secret" })).collect();
    let issues = check(&json!({ "resourceType": "Patient", "name": names }), "R");
    assert_eq!(issues.len(), MOST_ISSUES);
    assert!(!format!("{issues:?}").contains("secret"));
}

/// The resource with `resourceType` first in every object, as fhirbolt wants it.
fn type_first(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let (first, rest): (Vec<_>, Vec<_>) =
                members.iter().partition(|(name, _)| *name == "resourceType");
            let all = first.into_iter().chain(rest);
            Value::Object(all.map(|(name, value)| (name.clone(), type_first(value))).collect())
        }
        Value::Array(entries) => entries.iter().map(type_first).collect(),
        _ => value.clone(),
    }
}

type R4 = Element<{ fhirbolt::FhirReleases::R4 }>;

fn fhirbolt_takes(resource: &Value) -> bool {
    let config = DeserializationConfig { mode: DeserializationMode::Strict };
    fhirbolt::serde::json::from_json_value::<R4>(type_first(resource), Some(config)).is_ok()
}

/// A few of the published examples of moderate size, for what is done to each many times.
static SOME: LazyLock<Vec<&Value>> = LazyLock::new(|| {
    let all = PUBLISHED.iter().map(|(_, resource)| resource);
    all.filter(|resource| resource.to_string().len() < 20_000).step_by(5).collect()
});

#[test]
fn fhirbolt_agrees_on_every_published_example() {
    let all = PUBLISHED.iter();
    let refused: Vec<&String> =
        all.filter(|(_, resource)| !fhirbolt_takes(resource)).map(|(name, _)| name).collect();
    assert_eq!(refused, Vec::<&String>::new());
}

/// The same resource with the properties of every object in another order.
fn permuted(value: &Value, seed: &mut u64) -> Value {
    match value {
        Value::Object(members) => {
            let mut all: Vec<_> = members.iter().collect();
            let mut permuted_members = Map::new();
            while !all.is_empty() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let next = (*seed >> 33) as usize % all.len();
                let (name, value) = all.swap_remove(next);
                permuted_members.insert(name.clone(), permuted(value, seed));
            }
            Value::Object(permuted_members)
        }
        Value::Array(entries) => entries.iter().map(|entry| permuted(entry, seed)).collect(),
        _ => value.clone(),
    }
}

/// Does something small and wrong, or at least different, to one of the values.
fn changed(value: &mut Value, place: &mut usize, change: u8) {
    if *place == 0 {
        let old = value.take();
        *value = match change {
            0 => Value::Array(vec![old]),
            1 => json!({ "value": old }),
            2 => Value::String("x".to_owned()),
            3 => json!(1),
            4 => json!(true),
            5 => json!({ "extension": [{ "url": "u", "valueString": "x" }] }),
            6 => json!({ "resourceType": "Patient", "active": true }),
            _ => Value::Null,
        };
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| changed(entry, place, change)),
        Value::Object(members) => members.values_mut().for_each(|member| changed(member, place, change)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_order_of_properties_makes_no_difference(which: prop::sample::Index, mut seed: u64) {
        if !SOME.is_empty() {
            let resource = permuted(which.get::<&Value>(&SOME), &mut seed);
            prop_assert_eq!(found(&resource), vec![]);
        }
    }

    #[test]
    fn fhirbolt_takes_whatever_passes(which: prop::sample::Index, mut place in 0..200_usize, change in 0..8_u8) {
        if !SOME.is_empty() {
            let mut resource = (*which.get::<&Value>(&SOME)).clone();
            changed(&mut resource, &mut place, change);
            if found(&resource).is_empty() {
                prop_assert!(fhirbolt_takes(&resource), "{}", resource);
            }
        }
    }
}
