//! Resources and [`searches`] made up at random, few ids, codes and dates among them so that searches find something;
//! for any test that compares two ways of answering a search.

mod searches;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::clock::Timestamp;

pub(crate) use searches::searches;

/// The gateway's FHIR base URL in these tests.
pub(crate) const BASE: &str = "https://gateway.test/fhir";

/// The types that are made up.
pub(crate) const TYPES: [&str; 6] =
    ["Condition", "DocumentReference", "Observation", "Organization", "Patient", "Task"];

const IDS: [&str; 4] = ["a", "b", "c", "d"];
const DATES: [&str; 11] = [
    "2020",
    "2020-02",
    "2020-02-10",
    "2020-02-10T10:00:00Z",
    "2020-02-10T10:00:00.500Z",
    "2020-02-10T23:30:00-05:00",
    "2020-02-11",
    "2021-01",
    "1969-12-31",
    "1500",
    "9999-12-31",
];
const TEXTS: [&str; 8] = ["Ann", "ann", "Änn Marie", "Marie Ann", "Müller", "MULLER  x", "o|b, c$", "x"];
const SYSTEMS: [&str; 3] = ["http://s", "http://s/1", "urn:x"];
const CODES: [&str; 4] = ["a", "ab", "b", "A"];
const NUMBERS: [&str; 10] = ["5", "5.4", "5.40", "5.44", "5.45", "0", "-5.4", "100", "1e2", "95"];
const UNITS: [&str; 3] = ["mg", "kg", "m"];
const URLS: [&str; 6] = [
    "http://s/p",
    "http://s/p|1",
    "http://s/p/q",
    "http://s/pq",
    "urn:oid:1",
    "https://gateway.test/fhir/Library/a",
];
const TASK_STATUS: [&str; 3] = ["requested", "accepted", "completed"];

/// One resource, and what the store adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Its type.
    pub(crate) resource_type: &'static str,
    /// Its id; one resource of a type has it.
    pub(crate) id: String,
    /// When it was last changed: whole milliseconds.
    pub(crate) last_updated: Timestamp,
    /// The whole.
    pub(crate) resource: Value,
}

/// The moment that is now.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2020-03-01T00:00:00Z").expect("an instant")
}

/// Resources as a store may hold them, in the order of their creation.
pub(crate) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    vec(sample(), 1..14).prop_map(|mut samples| {
        let mut seen = std::collections::HashSet::new();
        samples.retain(|sample| seen.insert((sample.resource_type, sample.id.clone())));
        samples
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    (select(TYPES.to_vec()), select(IDS.to_vec()), 0_i64..4).prop_flat_map(|(resource_type, id, changed)| {
        let last_updated = Timestamp::from_nanos(now().as_nanos() + changed * 500_000_000);
        content(resource_type).prop_map(move |mut resource| {
            resource["resourceType"] = resource_type.into();
            resource["id"] = id.into();
            Sample { resource_type, id: id.to_owned(), last_updated, resource }
        })
    })
}

fn content(resource_type: &str) -> BoxedStrategy<Value> {
    let people = || reference(&["Patient", "Organization"]);
    let mut members = vec![("meta", meta())];
    members.extend(match resource_type {
        "Patient" => vec![
            ("active", any::<bool>().prop_map(Value::from).boxed()),
            ("identifier", many(identifier())),
            ("name", many(object(vec![("family", text()), ("given", many(text())), ("text", text())]))),
            ("gender", texts(&["male", "female"])),
            ("birthDate", texts(&DATES[..3])),
            (
                "telecom",
                many(object(vec![
                    ("system", texts(&["phone", "email"])),
                    ("value", text()),
                    ("use", texts(&["home"])),
                ])),
            ),
            ("address", many(object(vec![("city", text()), ("line", many(text()))]))),
            ("deceasedBoolean", any::<bool>().prop_map(Value::from).boxed()),
            ("generalPractitioner", many(people())),
            ("managingOrganization", reference(&["Organization"])),
            ("link", many(object(vec![("other", reference(&["Patient"]))]))),
        ],
        "Organization" => vec![
            ("identifier", many(identifier())),
            ("name", text()),
            ("alias", many(text())),
            ("partOf", reference(&["Organization"])),
        ],
        "Task" => vec![
            ("status", texts(&TASK_STATUS)),
            ("intent", texts(&["order"])),
            ("code", concept()),
            ("for", people()),
            ("owner", reference(&["Organization"])),
            ("requester", people()),
            ("focus", reference(&TYPES)),
            ("partOf", many(reference(&["Task"]))),
            ("authoredOn", date()),
            ("executionPeriod", period()),
            ("identifier", many(identifier())),
        ],
        "DocumentReference" => vec![
            ("status", texts(&["current", "superseded"])),
            ("type", concept()),
            ("category", many(concept())),
            ("subject", people()),
            ("date", texts(&DATES[3..6])),
            ("description", text()),
            ("content", many(Just(json!({ "attachment": { "contentType": "text/plain" } })))),
            ("context", object(vec![("period", period()), ("related", many(reference(&TYPES)))])),
            (
                "relatesTo",
                many(object(vec![
                    ("code", texts(&["replaces", "appends"])),
                    ("target", reference(&["DocumentReference"])),
                ])),
            ),
        ],
        "Observation" => vec![
            ("status", texts(&["final", "amended"])),
            ("code", concept()),
            ("subject", people()),
            ("effectiveDateTime", date()),
            ("valueQuantity", quantity()),
            (
                "component",
                many(object(vec![
                    ("code", concept()),
                    ("valueQuantity", quantity()),
                    ("valueCodeableConcept", concept()),
                ])),
            ),
            ("focus", many(reference(&TYPES))),
            ("derivedFrom", many(reference(&["DocumentReference", "Observation"]))),
        ],
        _ => vec![
            ("code", concept()),
            ("category", many(concept())),
            ("clinicalStatus", concept()),
            ("subject", people()),
            ("onsetPeriod", period()),
            ("abatementString", text()),
            ("recordedDate", date()),
            ("asserter", reference(&["Patient"])),
        ],
    });
    object(members)
}

fn meta() -> BoxedStrategy<Value> {
    let profiles = many(texts(&URLS));
    object(vec![("tag", many(coding())), ("profile", profiles), ("source", texts(&URLS))])
}

/// Each member is there more often than not.
fn object(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let values: Vec<_> = values.into_iter().map(|value| weighted(0.6, value)).collect();
    let made = values.prop_map(move |values| {
        let members = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(members.collect::<Map<_, _>>())
    });
    made.boxed()
}

fn many(one: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    vec(one, 1..3).prop_map(Value::Array).boxed()
}

fn texts(all: &[&'static str]) -> BoxedStrategy<Value> {
    select(all.to_vec()).prop_map(Value::from).boxed()
}

fn text() -> BoxedStrategy<Value> {
    texts(&TEXTS)
}

fn date() -> BoxedStrategy<Value> {
    texts(&DATES)
}

fn period() -> BoxedStrategy<Value> {
    object(vec![("start", date()), ("end", date())])
}

fn coding() -> BoxedStrategy<Value> {
    object(vec![("system", texts(&SYSTEMS)), ("code", texts(&CODES)), ("display", text())])
}

fn concept() -> BoxedStrategy<Value> {
    object(vec![("coding", many(coding())), ("text", text())])
}

fn identifier() -> BoxedStrategy<Value> {
    object(vec![("system", texts(&SYSTEMS)), ("value", texts(&CODES)), ("type", concept())])
}

fn quantity() -> BoxedStrategy<Value> {
    let number = select(NUMBERS.to_vec()).prop_map(|number| serde_json::from_str(number).expect("a number"));
    object(vec![
        ("value", number.boxed()),
        ("unit", texts(&UNITS)),
        ("code", texts(&UNITS)),
        ("system", texts(&SYSTEMS)),
    ])
}

fn reference(types: &[&'static str]) -> BoxedStrategy<Value> {
    let forms =
        ["T/I", "https://gateway.test/fhir/T/I", "T/I/_history/2", "https://other.test/fhir/T/I", "#I"];
    let text = (
        select(types.to_vec()),
        select(IDS.to_vec()),
        prop_oneof![5 => Just(forms[0]), 2 => select(forms.to_vec())],
    )
        .prop_map(|(name, id, form)| Value::from(form.replace('T', name).replace('I', id)));
    object(vec![("reference", text.boxed()), ("identifier", identifier())])
}
