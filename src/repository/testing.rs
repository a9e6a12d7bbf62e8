//! Resources and searches made up at random, few ids, codes and dates among them so that searches find something; for
//! any test that compares two ways of answering a search.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::clock::Timestamp;

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

/// The type that is searched, and the parameters of the search as a client sends them.
pub(crate) fn searches() -> impl Strategy<Value = (&'static str, Vec<(String, String)>)> {
    select(TYPES.to_vec()).prop_flat_map(|resource_type| {
        let filters = vec(filter(resource_type, 2), 1..4);
        let order = weighted(0.4, vec(sorted_by(resource_type), 1..3).prop_map(|keys| keys.join(",")));
        (Just(resource_type), filters, order).prop_map(|(resource_type, mut parameters, order)| {
            parameters.extend(order.map(|order| ("_sort".to_owned(), order)));
            (resource_type, parameters)
        })
    })
}

fn sorted_by(resource_type: &str) -> BoxedStrategy<String> {
    let own: &[&str] = match resource_type {
        "Patient" => &["birthdate", "family", "gender", "identifier", "organization"],
        "Organization" => &["name", "partof"],
        "Task" => &["authored-on", "status", "owner", "period"],
        "DocumentReference" => &["date", "period", "type"],
        "Observation" => &["date", "value-quantity", "code"],
        _ => &["recorded-date", "onset-date", "code"],
    };
    let codes = [own, &["_id", "_lastUpdated", "_profile"]].concat();
    let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    (select(codes), any::<bool>())
        .prop_map(|(code, descends)| if descends { format!("-{code}") } else { code })
        .boxed()
}

/// One condition on a type; with `depth` left, on what it refers to or what refers to it.
fn filter(resource_type: &'static str, depth: u8) -> BoxedStrategy<(String, String)> {
    let own = own_filter(resource_type);
    if depth == 0 {
        return own;
    }
    // Type, how it is reached, and what is asked there.
    let links: &[(&str, &str)] = match resource_type {
        "Patient" => &[
            ("organization", "Organization"),
            ("_has:Task:patient", "Task"),
            ("_has:Observation:subject", "Observation"),
            ("link", "Patient"),
        ],
        "Organization" => &[
            ("partof", "Organization"),
            ("_has:Task:owner", "Task"),
            ("_has:Patient:organization", "Patient"),
        ],
        "Task" => &[
            ("patient", "Patient"),
            ("owner:Organization", "Organization"),
            ("subject:Patient", "Patient"),
            ("part-of", "Task"),
        ],
        "DocumentReference" => &[("patient", "Patient"), ("_has:Observation:derived-from", "Observation")],
        "Observation" => &[("patient", "Patient"), ("focus:Task", "Task")],
        _ => &[("patient", "Patient"), ("subject:Patient", "Patient")],
    };
    let linked = select(links.to_vec()).prop_flat_map(move |(link, target)| {
        filter(target, depth - 1).prop_map(move |(name, value)| {
            let separator = if link.starts_with("_has") { ':' } else { '.' };
            (format!("{link}{separator}{name}"), value)
        })
    });
    prop_oneof![3 => own, 1 => linked].boxed()
}

fn own_filter(resource_type: &str) -> BoxedStrategy<(String, String)> {
    let (tokens, codes, strings, references, dates): (&[&str], &[&str], &[&str], &[&str], &[&str]) =
        match resource_type {
            "Patient" => (
                &["identifier", "telecom", "phone"],
                &["gender", "active", "deceased"],
                &["name", "family", "given", "address-city", "address"],
                &["general-practitioner", "organization", "link"],
                &["birthdate"],
            ),
            "Organization" => (&["identifier"], &["active"], &["name"], &["partof"], &[]),
            "Task" => (
                &["code", "identifier"],
                &["status", "intent"],
                &[],
                &["patient", "subject", "owner", "requester", "focus", "part-of"],
                &["authored-on", "period"],
            ),
            "DocumentReference" => (
                &["type", "category"],
                &["status", "contenttype", "relation"],
                &["description"],
                &["patient", "subject", "related", "relatesto"],
                &["date", "period"],
            ),
            "Observation" => (
                &["code", "combo-code", "component-value-concept"],
                &["status"],
                &[],
                &["patient", "subject", "focus", "derived-from"],
                &["date"],
            ),
            _ => (
                &["code", "category", "clinical-status"],
                &[],
                &["abatement-string"],
                &["patient", "subject", "asserter"],
                &["onset-date", "recorded-date"],
            ),
        };
    let tokens = [tokens, &["_tag"]].concat();
    let moments = [dates, &["_lastUpdated"]].concat();
    let mut kinds = vec![
        parameter(&tokens, &["", "", "", ":not"], token_value()),
        parameter(&tokens, &[":text"], escaped(&TEXTS)),
        parameter(references, &["", "", ""], reference_value()),
        parameter(references, &[":identifier"], token_value()),
        parameter(&moments, &[""], date_value()),
        parameter(&["_profile", "_source"], &["", ":below", ":above"], escaped(&URLS)),
        parameter(&["_id"], &[""], escaped(&IDS)),
        parameter(
            &[&tokens[..], codes, strings, references, dates, &["_profile"]].concat(),
            &[":missing"],
            missing(),
        ),
    ];
    if !codes.is_empty() {
        kinds.push(parameter(codes, &["", "", ":not"], code_value()));
    }
    if !strings.is_empty() {
        kinds.push(parameter(strings, &["", ":exact", ":contains"], escaped(&TEXTS)));
    }
    match resource_type {
        "Observation" => {
            let numbers = ["value-quantity", "component-value-quantity", "combo-value-quantity"];
            kinds.push(parameter(&numbers, &[""], quantity_value()));
            let both =
                (with_code(), quantity_value()).prop_map(|(token, quantity)| format!("{token}${quantity}"));
            let composites =
                ["code-value-quantity", "combo-code-value-quantity", "component-code-value-quantity"];
            kinds.push(parameter(&composites, &[""], both.boxed()));
            let both = (with_code(), with_code()).prop_map(|(code, value)| format!("{code}${value}"));
            kinds.push(parameter(
                &["combo-code-value-concept", "component-code-value-concept"],
                &[""],
                both.boxed(),
            ));
        }
        "DocumentReference" => {
            let both = (select(vec!["replaces", "appends"]), reference_value());
            kinds.push(parameter(
                &["relationship"],
                &[""],
                both.prop_map(|(code, to)| format!("{code}${to}")).boxed(),
            ));
        }
        "Patient" => {
            let of_type =
                (coded_value(), escaped(&CODES)).prop_map(|(token, value)| format!("{token}|{value}"));
            kinds.push(parameter(&["identifier"], &[":of-type"], of_type.boxed()));
        }
        _ => {}
    }
    proptest::strategy::Union::new(kinds).boxed()
}

fn parameter(
    codes: &[&'static str],
    modifiers: &[&'static str],
    value: BoxedStrategy<String>,
) -> BoxedStrategy<(String, String)> {
    let name = (select(codes.to_vec()), select(modifiers.to_vec()));
    let made = (name, vec(value, 1..3)).prop_map(|((code, modifier), values)| {
        // Of some only one value makes sense.
        let values = if modifier == ":missing" { &values[..1] } else { &values[..] };
        (format!("{code}{modifier}"), values.join(","))
    });
    made.boxed()
}

fn missing() -> BoxedStrategy<String> {
    escaped(&["true", "false"])
}

fn escaped(all: &[&'static str]) -> BoxedStrategy<String> {
    let escape = |text: &str| {
        ['\\', ',', '|', '$'].into_iter().fold(text.to_owned(), |text, c| text.replace(c, &format!("\\{c}")))
    };
    select(all.iter().map(|text| escape(text)).collect::<Vec<_>>()).boxed()
}

fn coded_value() -> BoxedStrategy<String> {
    (select(SYSTEMS.to_vec()), select(CODES.to_vec()))
        .prop_map(|(system, code)| format!("{system}|{code}"))
        .boxed()
}

fn with_code() -> BoxedStrategy<String> {
    let absent = select(CODES.to_vec()).prop_map(|code| format!("|{code}"));
    prop_oneof![3 => escaped(&CODES), 2 => coded_value(), 1 => absent].boxed()
}

fn token_value() -> BoxedStrategy<String> {
    let system = select(SYSTEMS.to_vec()).prop_map(|system| format!("{system}|"));
    prop_oneof![6 => with_code(), 1 => system].boxed()
}

fn code_value() -> BoxedStrategy<String> {
    let values = [
        "requested",
        "accepted",
        "http://hl7.org/fhir/task-status|requested",
        "http://s|requested",
        "|accepted",
        "http://hl7.org/fhir/task-status|",
        "final",
        "current",
        "male",
        "true",
        "false",
        "text/plain",
        "replaces",
        "order",
    ];
    select(values.to_vec()).prop_map(str::to_owned).boxed()
}

fn reference_value() -> BoxedStrategy<String> {
    let forms =
        ["I", "T/I", "https://gateway.test/fhir/T/I", "https://other.test/fhir/T/I", "T/I/_history/7"];
    (select(TYPES.to_vec()), select(IDS.to_vec()), select(forms.to_vec()))
        .prop_map(|(name, id, form)| form.replace('T', name).replace('I', id))
        .boxed()
}

fn prefix() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
}

fn date_value() -> BoxedStrategy<String> {
    let dates =
        [&DATES[..], &["2020-02-10T10:00", "2020-03", "2020-03-01T00:00:00.500Z", "2020-03-01T00:00:01Z"]]
            .concat();
    (prefix(), select(dates)).prop_map(|(prefix, date)| format!("{prefix}{date}")).boxed()
}

fn quantity_value() -> BoxedStrategy<String> {
    let unit = (select([&[""], &SYSTEMS[..]].concat()), select(["", "mg", "kg"].to_vec()));
    let unit = weighted(0.5, unit)
        .prop_map(|unit| unit.map_or(String::new(), |(system, code)| format!("|{system}|{code}")));
    (prefix(), select(NUMBERS.to_vec()), unit)
        .prop_map(|(prefix, number, unit)| format!("{prefix}{number}{unit}"))
        .boxed()
}
