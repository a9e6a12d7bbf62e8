//! Parts of one resource, with facts for it alone, and of the published examples, with the parser as a witness.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::testing;

/// The facts of the elements that these tests use.
fn facts(place: &[&str]) -> Option<ElementFacts> {
    let fact =
        |is_summary, is_mandatory, is_choice| Some(ElementFacts { is_summary, is_mandatory, is_choice });
    match place.join(".").as_str() {
        "Observation.status" | "Observation.code" => fact(true, true, false),
        "Observation.subject" | "Observation.component" | "Observation.component.code" => {
            fact(true, false, false)
        }
        "Observation.valueQuantity" => fact(true, false, true),
        "Observation.subject.reference" => fact(true, false, false),
        "Observation.note.text" => fact(false, true, false),
        "Observation.code.text" | "Observation.component.code.text" => None,
        _ => fact(false, false, false),
    }
}

fn observation() -> Value {
    json!({
        "resourceType": "Observation", "id": "1", "meta": { "versionId": "2" },
        "implicitRules": "http://rules.example",
        "text": { "status": "generated", "div": "<div/>" },
        "extension": [{ "url": "e" }], "modifierExtension": [{ "url": "m" }],
        "status": "final", "_status": { "id": "s" },
        "code": { "extension": [{ "url": "e" }], "text": "c" },
        "subject": { "reference": "Patient/1", "display": "d" },
        "valueQuantity": { "value": 1.50 },
        "note": [{ "text": "n" }],
        "component": [
            { "valueString": "v" },
            { "code": { "text": "c" }, "modifierExtension": [{ "url": "m" }], "valueString": "v" },
        ],
    })
}

fn part(subset: &Subset, resource: &Value) -> Value {
    let text = subset.of(resource.to_string().as_bytes(), &facts).expect("a resource");
    serde_json::from_slice(&text).expect("JSON")
}

/// The observation with these members only, and the tag.
fn with(names: &[&str]) -> Value {
    let mut resource = observation();
    let members = resource.as_object_mut().expect("an object");
    members.retain(|name, _| names.contains(&name.as_str()) || is_basic(name));
    members["meta"]["tag"] = json!([{ "system": OBSERVATION_VALUE, "code": "SUBSETTED" }]);
    resource
}

#[test]
fn text_data_and_elements_choose_at_the_top() {
    let mandatory = ["status", "_status", "code"];
    let and = |names: &[&'static str]| with(&[&mandatory[..], names].concat());
    let elements = |list: &str| part(&Subset::elements(list), &observation());
    assert_eq!(part(&Subset::Text, &observation()), and(&["text"]));
    let data = ["extension", "subject", "valueQuantity", "note", "component"];
    assert_eq!(part(&Subset::Data, &observation()), and(&data));

    assert_eq!(elements(""), and(&[]));
    assert_eq!(elements(" subject , note "), and(&["subject", "note"]));
    assert_eq!(elements("value"), and(&["valueQuantity"]));
    assert_eq!(elements("value[x]"), and(&["valueQuantity"]));
    assert_eq!(elements("Observation.subject,Patient.note"), and(&["subject"]));
    assert_eq!(elements("subject.display,unknown,comp"), and(&[]));
}

#[test]
fn a_summary_chooses_at_each_level_and_leaves_nothing_empty() {
    let mut expected = with(&["status", "_status", "subject", "component"]);
    expected["code"] = json!({ "text": "c" });
    expected["subject"] = json!({ "reference": "Patient/1" });
    expected["component"] = json!([{ "code": { "text": "c" }, "modifierExtension": [{ "url": "m" }] }]);
    // Nothing is left of the quantity, so it is not there.
    let found = part(&Subset::Summary, &observation());
    assert_eq!(found, expected);
}

#[test]
fn the_tag_is_there_once_whatever_meta_has() {
    let tag = json!({ "system": OBSERVATION_VALUE, "code": "SUBSETTED" });
    let other = json!({ "code": "SUBSETTED" });
    for (meta, expected) in [
        (json!({}), json!({ "tag": [tag] })),
        (json!({ "source": "s" }), json!({ "source": "s", "tag": [tag] })),
        (json!({ "tag": [] }), json!({ "tag": [tag] })),
        (json!({ "tag": [other], "source": "s" }), json!({ "tag": [other, tag], "source": "s" })),
        (json!({ "tag": [tag, other] }), json!({ "tag": [tag, other] })),
    ] {
        let resource = json!({ "resourceType": "Basic", "meta": meta });
        assert_eq!(part(&Subset::Data, &resource)["meta"], expected, "{meta}");
    }
    assert_eq!(part(&Subset::Data, &json!({ "resourceType": "Basic" }))["meta"], json!({ "tag": [tag] }));
}

#[test]
fn a_text_that_is_no_resource_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"resourceType":7}"#,
        r#"{"resourceType":"Basic","meta":[]}"#,
        r#"{"resourceType":"Basic","#,
    ] {
        assert_eq!(Subset::Text.of(text.as_bytes(), &facts), Err(Malformed), "{text}");
    }
}

#[test]
fn what_the_facts_know_nothing_of_stays_in_a_summary_of_every_published_example() {
    for (name, text) in testing::published_examples() {
        let before: Value = serde_json::from_slice(text).expect(name);
        let summary = Subset::Summary.of(before.to_string().as_bytes(), &|_| None).expect(name);
        let mut after: Value = serde_json::from_slice(&summary).expect(name);
        let members = after.as_object_mut().expect("an object");
        match before.get("meta") {
            Some(meta) => members["meta"] = meta.clone(),
            None => drop(members.shift_remove("meta")),
        }
        assert_eq!(after, before, "{name}");
    }
}

proptest! {
    #[test]
    fn a_subset_of_a_subset_is_the_same(names in "[a-z]{0,3}(,(subject|note|component|value)){0,4}", which in 0..4_usize) {
        let subset = [Subset::Summary, Subset::Text, Subset::Data, Subset::elements(&names)][which].clone();
        let once = part(&subset, &observation());
        prop_assert_eq!(part(&subset, &once), once);
    }
}
