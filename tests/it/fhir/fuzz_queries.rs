//! Hostile queries, made from a seed: deep chains, huge values, broken escapes, mangled cursors and whatever else a
//! query string can hold. The gateway answers all of them, and nothing of how it works shows.

use crate::support::environment::number;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;
use crate::support::random::Random;

use super::{create, link, observation, patient, read};

/// Queries per database unless `CDEX_TEST_QUERIES` says otherwise.
const QUERIES: u64 = 1_500;

const TYPES: [&str; 12] = [
    "Patient",
    "Observation",
    "Task",
    "DocumentReference",
    "SearchParameter",
    "Bundle",
    "Claim",
    "MolecularSequence",
    "Patient/$match",
    "Patient/1/*",
    "Patient/1/Observation",
    "",
];

const NAMES: [&str; 44] = [
    "_id",
    "_lastUpdated",
    "_tag",
    "_profile",
    "_source",
    "_count",
    "_sort",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_include:iterate",
    "_revinclude",
    "_type",
    "_cursor",
    "_has",
    "_has:Observation:subject:code",
    "_has:Observation:subject:_has:Provenance:target:agent",
    "_filter",
    "_text",
    "_format",
    "name",
    "family",
    "birthdate",
    "identifier",
    "gender",
    "general-practitioner",
    "general-practitioner:Practitioner.name",
    "subject",
    "subject.organization.partof.partof.name",
    "subject:Patient.general-practitioner:Organization.endpoint.name",
    "code",
    "code-value-quantity",
    "value-quantity",
    "chromosome-variant-coordinate",
    "relationship",
    "url",
    "date",
    "owner",
    "patient",
    "status",
    "near",
    "%",
    "'; DROP TABLE resource; --",
];

const MODIFIERS: [&str; 14] = [
    "",
    "",
    "",
    "",
    ":missing",
    ":exact",
    ":contains",
    ":not",
    ":text",
    ":identifier",
    ":of-type",
    ":below",
    ":Patient",
    ":x:y:z",
];

const VALUES: [&str; 42] = [
    "",
    ",",
    ",,,",
    "|",
    "||",
    "|a|b|c",
    "a|b",
    "$",
    "a$b$c$d",
    "\\",
    "a\\",
    "\\,\\|\\$\\\\",
    "%00",
    "%FF%FE",
    "%ED%A0%80",
    "%",
    "%zz",
    "%F0%9F%92%A9",
    "%E2%80%AE",
    "I%CC%87%CC%A3",
    "' OR '1'='1",
    "%25",
    "_",
    "*",
    "true",
    "1",
    "-1",
    "0",
    "1e9999",
    "1e-9999",
    "99999999999999999999999999999999999999",
    "gt",
    "ap2026",
    "sa0000",
    "eb9999-12-31T23:59:60Z",
    "2026-02-30",
    "2026-01-01T00:00:00+14:00",
    "ne5.40|http://unitsofmeasure.org|mg",
    "Patient/1",
    "http://127.0.0.1/fhir/Patient/1",
    "Observation:subject:Patient",
    "*:*:*",
];

/// Fewer than this.
fn below(random: &mut Random, limit: u64) -> usize {
    usize::try_from(random.below(limit)).expect("limits are small")
}

/// One of these.
fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[below(random, of.len() as u64)]
}

/// A value, now and then one of those that are as long as a head allows, or a mangled cursor.
fn value(random: &mut Random, cursor: &str) -> String {
    match random.below(20) {
        0 => one(random, &VALUES).repeat(below(random, 60)),
        1 => "a,".repeat(below(random, 3_000)),
        2 => {
            let mut bytes = cursor.as_bytes().to_vec();
            for _ in 0..random.below(4) {
                let at = below(random, bytes.len() as u64);
                bytes[at] = b'A' + u8::try_from(random.below(26)).expect("a letter");
            }
            bytes.truncate(1 + below(random, bytes.len() as u64));
            String::from_utf8(bytes).expect("letters are text")
        }
        3 => {
            (0..random.below(40)).fold(String::new(), |text, _| text + &format!("%{:02X}", random.below(256)))
        }
        _ => one(random, &VALUES).to_owned(),
    }
}

fn name(random: &mut Random) -> String {
    match random.below(16) {
        0 => format!("subject{}", ".subject".repeat(below(random, 40))),
        1 => "_has:Observation:subject:".repeat(1 + below(random, 20)) + "code",
        _ => format!("{}{}", one(random, &NAMES), one(random, &MODIFIERS)),
    }
}

/// A query as it stands in a request line: what would end the line is left out.
fn query(random: &mut Random, cursor: &str) -> String {
    let parameters = (0..=random.below(4)).map(|_| format!("{}={}", name(random), value(random, cursor)));
    parameters.collect::<Vec<_>>().join("&").replace(' ', "+")
}

#[test]
fn no_query_breaks_the_search_or_shows_how_it_works() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &patient("Fuzz"));
        for n in 0..5 {
            create(&gateway, &observation(&format!("Patient/{id}"), &n.to_string()));
        }
        let page = read(&gateway, "Observation?_count=2");
        let next = link(&page, "next").expect("there are more");
        let cursor = next.split("_cursor=").nth(1).expect("a cursor").to_owned();
        let mut random = Random::new(number("CDEX_TEST_SEED").unwrap_or(20_260));
        let mut connection = gateway.connect().expect("the gateway listens");
        for _ in 0..number("CDEX_TEST_QUERIES").unwrap_or(QUERIES) {
            let (path, query) = (one(&mut random, &TYPES), query(&mut random, &cursor));
            let strict = if random.below(2) == 0 { "handling=strict" } else { "handling=lenient" };
            let request = if random.below(8) == 0 && !path.contains('$') {
                let base = format!("/fhir/{path}/_search").replace("//", "/");
                Request::new("POST", &base)
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(query.clone())
            } else {
                Request::new("GET", &format!("/fhir/{path}?{query}"))
            };
            let answer = connection.exchange(&request.header("Prefer", strict));
            let answer = answer.unwrap_or_else(|error| panic!("{path}?{query}: {error}"));
            let told = answer.text();
            if answer.status == 431 || answer.status == 414 || told.is_empty() {
                // The listener itself refused the head, and closes.
                assert!((400..500).contains(&answer.status), "{path}?{query}: {}", answer.status);
                connection = gateway.connect().expect("the gateway listens");
                continue;
            }
            assert!(answer.status < 500, "{path}?{query}: {} {told}", answer.status);
            let resource = answer.json();
            let expected = if answer.status < 300 { "Bundle" } else { "OperationOutcome" };
            assert_eq!(resource["resourceType"], expected, "{path}?{query}");
            if answer.status >= 400 {
                for word in ["SELECT", "sqlite", "search_entry", "syntax error", "panicked", "sqlx"] {
                    assert!(!told.contains(word), "{path}?{query}: {told}");
                }
            }
        }
    });
}

#[test]
fn the_calls_of_the_cdex_reference_client_are_answered() {
    let gateway = Gateway::start();
    let id = create(&gateway, &patient("Reference"));
    let task = serde_json::json!({
        "resourceType": "Task", "id": "CDex-Example", "status": "requested", "intent": "order",
        "for": { "reference": format!("Patient/{id}") },
    });
    let document = serde_json::json!({
        "resourceType": "DocumentReference", "id": "CDex-Document", "status": "current",
        "content": [{ "attachment": { "contentType": "text/plain", "data": "SGVsbG8=" } }],
    });
    let subscription = serde_json::json!({
        "resourceType": "Subscription", "status": "requested", "reason": "changes of Tasks", "criteria": "Task?",
        "channel": { "type": "rest-hook", "endpoint": "https://client.example/notify" },
    });
    let profile = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-task-data-request";
    for (method, path, body, statuses) in [
        ("POST", "Task".to_owned(), Some(&task), vec![201]),
        ("PUT", "Task/CDex-Example?upsert=true".to_owned(), Some(&task), vec![200, 201]),
        ("PUT", "Task/CDex-Example?_upsert=true".to_owned(), Some(&task), vec![200]),
        ("GET", format!("Task?_sort=-_lastUpdated&_patient={id}"), None, vec![200]),
        ("GET", format!("DocumentReference?_patient={id}&type=http://loinc.org|34133-9"), None, vec![200]),
        ("POST", format!("Task/$validate?profile={profile}"), Some(&task), vec![200]),
        // It names no topic, and an endpoint that is no partner's.
        ("POST", "Subscription".to_owned(), Some(&subscription), vec![422]),
        ("GET", format!("Claim?patient={id}"), None, vec![200]),
        ("PUT", "DocumentReference/CDex-Document?upsert=true".to_owned(), Some(&document), vec![200, 201]),
        ("GET", "metadata".to_owned(), None, vec![200]),
    ] {
        let request = match body {
            Some(body) => super::sending(method, &path, body),
            None => super::asking(method, &path).header("Accept", "application/json"),
        };
        let answer = gateway.ask(&request);
        assert!(statuses.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    }
}
