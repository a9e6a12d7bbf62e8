//! What is filed of a resource, and that whatever is published can be filed.

use serde_json::{Value, json};

use super::{IDENTIFIER, OF_TYPE, entries};
use crate::clock::Timestamp;
use crate::fhir::search::{parameters, searched_types};
use crate::repository::encoding::{Decimal, coded, moment, of_type};
use crate::repository::entry::{LONGEST, Space};

const BASE: &str = "https://gateway.test/fhir";

/// What a resource is filed under for one parameter: values and extras.
fn filed(code: &str, resource: &Value) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let name = searched_types().find(|name| resource["resourceType"] == *name).expect("a resource");
    let space = Space::of("t", name, code);
    let entries = entries("t", name, resource, BASE).into_iter();
    entries.filter(|entry| entry.space == space).map(|entry| (entry.value, entry.extra)).collect()
}

fn text(value: &str, extra: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>) {
    (value.as_bytes().to_vec(), extra.map(|extra| extra.as_bytes().to_vec()))
}

#[test]
fn a_task_is_filed_under_all_that_it_says() {
    let task = json!({
        "resourceType": "Task",
        "id": "1",
        "status": "requested",
        "code": { "coding": [{ "system": "s", "code": "c", "display": "Déjà" }, { "code": "d" }], "text": "The Text" },
        "for": { "reference": "https://gateway.test/fhir/Patient/p/_history/3" },
        "owner": { "identifier": { "system": "npi", "value": "12" } },
        "identifier": [{ "system": "i", "value": "7", "type": { "coding": [{ "system": "t", "code": "PLAC" }] } }],
        "instantiatesCanonical": "http://s/p|1",
        "output": [{ "valueReference": { "reference": "Bundle/b" } }],
        "meta": { "profile": ["http://s/p|1"] },
    });
    assert_eq!(filed("status", &task), [text("requested", None)]);
    assert_eq!(
        filed("code", &task),
        [text("c\0s\0", Some("deja\0the text")), text("d\0", None)],
        "the text of a concept goes with its first coding"
    );
    assert_eq!(filed("patient", &task), [text("Patient/p", None)]);
    assert_eq!(filed("subject", &task), [text("Patient/p", None)]);
    assert_eq!(filed("owner", &task), []);
    assert_eq!(filed(&["owner", IDENTIFIER].concat(), &task), [(coded("12", Some("npi")), None)]);
    assert_eq!(filed("identifier", &task), [(coded("7", Some("i")), None)]);
    assert_eq!(filed(&["identifier", OF_TYPE].concat(), &task), [(of_type("7", "PLAC", "t"), None)]);
    assert_eq!(filed("output", &task), [text("Bundle/b", None)]);
    assert_eq!(filed("_profile", &task), [text("http://s/p", None), text("http://s/p|1", None)]);
    assert_eq!(filed("_id", &task), [], "the id is a column of its row");
}

#[test]
fn a_date_is_filed_from_its_first_moment_to_the_first_after_it() {
    let dated = |effective: Value| json!({ "resourceType": "Observation", "effectivePeriod": effective });
    let at = |text| moment(Timestamp::parse_rfc3339(text).expect("an instant"));
    let (start, end) = (moment(Timestamp::from_nanos(i64::MIN)), moment(Timestamp::from_nanos(i64::MAX)));
    for (effective, from, until) in [
        (
            json!({ "start": "2020", "end": "2020-03-01" }),
            at("2020-01-01T00:00:00Z"),
            at("2020-03-02T00:00:00Z"),
        ),
        (json!({ "start": "2020" }), at("2020-01-01T00:00:00Z"), end),
        (json!({ "end": "2020" }), start, at("2021-01-01T00:00:00Z")),
        (
            json!({ "event": ["2020-02", "2020-01-05"] }),
            at("2020-01-05T00:00:00Z"),
            at("2020-03-01T00:00:00Z"),
        ),
        (
            json!({ "event": ["2020-02"], "repeat": { "boundsPeriod": { "start": "2019", "end": "2019" } } }),
            at("2019-01-01T00:00:00Z"),
            at("2020-03-01T00:00:00Z"),
        ),
    ] {
        assert_eq!(filed("date", &dated(effective.clone())), [(from, Some(until))], "{effective}");
    }
    for nothing in [
        json!({}),
        json!({ "start": "x" }),
        json!({ "start": "2022", "end": "2020" }),
        json!({ "repeat": {} }),
    ] {
        assert_eq!(filed("date", &dated(nothing.clone())), [], "{nothing}");
    }
}

#[test]
fn a_quantity_is_filed_under_its_code_and_what_people_call_it() {
    let number = |text: &str| Decimal::parse(text).expect("a number").encoded();
    let quantity = json!({ "value": 5.40, "unit": "milligram", "system": "u", "code": "mg" });
    let observation = json!({ "resourceType": "Observation", "valueQuantity": quantity });
    assert_eq!(
        filed("value-quantity", &observation),
        [(number("5.4"), Some(coded("mg", Some("u")))), (number("5.4"), Some(coded("milligram", None)))]
    );
    let invoice = json!({ "resourceType": "Invoice", "totalNet": { "value": 3, "currency": "EUR" } });
    assert_eq!(
        filed("totalnet", &invoice),
        [(number("3"), Some(coded("EUR", Some("urn:iso:std:iso:4217"))))]
    );
    let range = json!({ "low": { "value": 1 }, "high": { "value": 2 } });
    let condition = json!({ "resourceType": "Condition", "onsetRange": range });
    assert_eq!(filed("onset-age", &condition), [(number("1"), None), (number("2"), None)]);
}

#[test]
fn an_entry_is_there_once_in_order_and_no_longer_than_an_index_takes() {
    let name = "x".repeat(5_000);
    let patient = json!({ "resourceType": "Patient", "name": [{ "family": name }, { "family": name }, { "given": ["b"] }] });
    let entries = entries("t", "Patient", &patient, BASE);
    assert!(entries.is_sorted_by(|left, right| left < right));
    let fits = |bytes: &Vec<u8>| bytes.len() <= LONGEST;
    assert!(entries.iter().all(|entry| fits(&entry.value) && entry.extra.as_ref().is_none_or(fits)));
    assert_eq!(filed("family", &patient).len(), 1);
}

#[test]
fn tenants_share_no_space() {
    let patient = json!({ "resourceType": "Patient", "gender": "male" });
    let of = |tenant| {
        entries(tenant, "Patient", &patient, BASE).into_iter().map(|entry| entry.space).collect::<Vec<_>>()
    };
    assert!(of("a").iter().all(|space| !of("b").contains(space)));
}

#[test]
fn values_of_the_wrong_shape_are_not_filed() {
    for wrong in
        [json!(7), json!([7]), json!({ "value": [] }), json!({ "coding": 7 }), json!([[{}]]), json!(true)]
    {
        for name in ["Observation", "Patient", "Bundle", "DocumentReference", "MolecularSequence", "Group"] {
            let mut resource = json!({ "resourceType": name });
            for parameter in parameters(name) {
                for element in parameter.expression.split(|c: char| !c.is_ascii_alphanumeric()) {
                    resource[element] = wrong.clone();
                }
            }
            resource["resourceType"] = name.into();
            entries("t", name, &resource, BASE);
        }
    }
}
