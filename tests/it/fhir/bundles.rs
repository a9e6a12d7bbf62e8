//! Batches and transactions: order, references, atomicity, and what is told of each entry.

use serde_json::{Value, json};

use super::{create, found, identified, observation, outcome, patient, read, sending};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Answer;
use crate::support::rows;

#[expect(clippy::needless_pass_by_value, reason = "a list is written where it is used")]
fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

fn entry(method: &str, url: &str, full_url: Option<&str>, resource: Option<Value>) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(full_url) = full_url {
        entry["fullUrl"] = json!(full_url);
    }
    if let Some(resource) = resource {
        entry["resource"] = resource;
    }
    entry
}

fn run(gateway: &Gateway, bundle: &Value) -> Answer {
    gateway.ask(&sending("POST", "", bundle))
}

fn statuses(answer: &Value) -> Vec<String> {
    let entries = answer["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap_or_default()[..3].to_owned();
    entries.iter().map(status).collect()
}

const SUBJECT: &str = "urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059";

#[test]
fn a_transaction_puts_references_right_in_whatever_order_its_entries_come() {
    for_each_database(&[], |gateway| {
        let gone = create(&gateway, &patient("Gone"));
        let known = create(&gateway, &identified("known"));
        let text = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059\">x</a></div>";
        let mut size = observation(SUBJECT, "180.0");
        size["text"] = json!({"status": "generated", "div": text});
        size["performer"] = json!([{"reference": "Patient?identifier=known"}]);
        let answer = run(
            &gateway,
            &bundle(
                "transaction",
                vec![
                    entry("GET", "Observation?subject:Patient.family=subject", None, None),
                    entry("POST", "Observation", None, Some(size)),
                    entry("POST", "Patient", Some(SUBJECT), Some(patient("Subject"))),
                    entry("DELETE", &format!("Patient/{gone}"), None, None),
                    entry(
                        "PUT",
                        "Patient/by-put",
                        None,
                        Some(json!({"resourceType": "Patient", "id": "by-put"})),
                    ),
                ],
            ),
        );
        let answer = answer.expect(200).json();
        assert_eq!(answer["type"], "transaction-response");
        assert_eq!(statuses(&answer), ["200", "201", "201", "204", "201"]);
        let location = answer["entry"][2]["response"]["location"].as_str().expect("a location");
        let patient = location.strip_suffix("/_history/1").expect("the first version");
        let seen = &answer["entry"][0]["resource"];
        let seen = found(seen, "match")[0];
        assert_eq!(seen["subject"]["reference"], *patient, "a read sees what was written");
        assert_eq!(seen["performer"][0]["reference"], *format!("Patient/{known}"));
        assert!(seen["text"]["div"].as_str().is_some_and(|div| div.contains(patient)), "{seen}");
        assert!(seen.to_string().contains("180.0"), "{seen}");
        outcome(&gateway.get(&format!("/fhir/Patient/{gone}")), 410);
    });
}

#[test]
fn a_transaction_that_fails_leaves_nothing_and_names_its_entry() {
    for_each_database(&[], |gateway| {
        let good = || entry("POST", "Patient", None, Some(patient("Good")));
        let mut stale = entry("PUT", "Patient/x", None, Some(json!({"resourceType": "Patient", "id": "x"})));
        stale["request"]["ifMatch"] = json!("W/\"5\"");
        let mut wrong = patient("Wrong");
        wrong["gender"] = json!("unheard-of");
        for (bad, status, expression) in [
            (entry("POST", "Patient", None, Some(wrong)), 422, "Bundle.entry[1].resource.gender"),
            (stale, 412, "Bundle.entry[1]"),
            (entry("POST", "Foo", None, Some(patient("x"))), 404, "Bundle.entry[1]"),
            (entry("POST", "Patient/1", None, Some(patient("x"))), 405, "Bundle.entry[1]"),
            (entry("POST", "Patient", None, None), 400, "Bundle.entry[1]"),
            (entry("GET", "Patient/unknown", None, None), 404, "Bundle.entry[1]"),
            (
                entry("POST", "Observation", None, Some(observation("Patient?identifier=nobody", "1"))),
                412,
                "Bundle.entry[1]",
            ),
        ] {
            let answer = run(&gateway, &bundle("transaction", vec![good(), bad.clone()]));
            let issues = outcome(&answer, status);
            assert!(issues.iter().any(|(_, at)| at == expression), "{bad}: {issues:?}");
        }
        assert_eq!(rows::count(&gateway, "resource"), 0);
        assert_eq!(rows::count(&gateway, "search_entry"), 0);
    });
}

#[test]
fn two_entries_of_a_transaction_cannot_change_the_same_resource() {
    let gateway = Gateway::start();
    let put = || entry("PUT", "Patient/x", None, Some(json!({"resourceType": "Patient", "id": "x"})));
    outcome(&run(&gateway, &bundle("transaction", vec![put(), put()])), 400);
    outcome(
        &run(&gateway, &bundle("transaction", vec![put(), entry("DELETE", "Patient/x", None, None)])),
        400,
    );
}

#[test]
fn conditional_entries_find_or_make_one_resource() {
    for_each_database(&[], |gateway| {
        let conditional = |full_url: &str| {
            let mut entry = entry("POST", "Patient", Some(full_url), Some(identified("once")));
            entry["request"]["ifNoneExist"] = json!("identifier=http://example.org/mrn|once");
            entry
        };
        let twice = vec![
            conditional("urn:uuid:00000000-0000-4000-8000-000000000001"),
            conditional("urn:uuid:00000000-0000-4000-8000-000000000002"),
            entry(
                "POST",
                "Observation",
                None,
                Some(observation("urn:uuid:00000000-0000-4000-8000-000000000002", "1")),
            ),
            entry("PUT", "Patient?identifier=other", None, Some(identified("other"))),
        ];
        let first = run(&gateway, &bundle("transaction", twice.clone())).expect(200).json();
        assert_eq!(statuses(&first), ["201", "200", "201", "201"]);
        let second = run(&gateway, &bundle("transaction", twice)).expect(200).json();
        assert_eq!(statuses(&second), ["200", "200", "201", "200"]);
        let patients = read(&gateway, "Patient?identifier=once&_revinclude=Observation:subject");
        assert_eq!(found(&patients, "match").len(), 1);
        assert_eq!(found(&patients, "include").len(), 2);
    });
}

#[test]
fn a_transaction_can_patch() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &patient("Patched"));
        let operations = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Patient.active"},
            {"name": "value", "valueBoolean": false},
        ]}]});
        // [{"op":"replace","path":"/active","value":true}]
        let data = "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9hY3RpdmUiLCJ2YWx1ZSI6dHJ1ZX1d";
        let binary =
            json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data});
        for (patch, active) in [(operations, false), (binary, true)] {
            let one = entry("PATCH", &format!("Patient/{id}"), None, Some(patch));
            let answer = run(&gateway, &bundle("transaction", vec![one])).expect(200).json();
            assert_eq!(statuses(&answer), ["200"]);
            assert_eq!(read(&gateway, &format!("Patient/{id}"))["active"], active);
        }
    });
}

#[test]
fn the_entries_of_a_batch_fail_alone() {
    for_each_database(&[], |gateway| {
        let mut wrong = patient("Wrong");
        wrong["gender"] = json!("unheard-of");
        let answer = run(
            &gateway,
            &bundle(
                "batch",
                vec![
                    entry("POST", "Patient", None, Some(patient("Good"))),
                    entry("POST", "Patient", None, Some(wrong)),
                    entry("GET", "Patient/unknown", None, None),
                    entry("GET", "Patient?family=good", None, None),
                    entry("POST", "/", None, Some(bundle("batch", Vec::new()))),
                    entry("DELETE", "Patient/unknown", None, None),
                ],
            ),
        );
        let answer = answer.expect(200).json();
        assert_eq!(answer["type"], "batch-response");
        assert_eq!(statuses(&answer), ["201", "422", "404", "200", "405", "204"]);
        let outcome = &answer["entry"][1]["response"]["outcome"];
        assert_eq!(outcome["issue"][0]["expression"][0], "Patient.gender");
        assert_eq!(answer["entry"][3]["resource"]["total"], 1);
    });
}

#[test]
fn prefer_decides_what_comes_back_of_the_entries() {
    let gateway = Gateway::start();
    let one = bundle("transaction", vec![entry("POST", "Patient", None, Some(patient("x")))]);
    let whole = gateway.ask(&sending("POST", "", &one).header("Prefer", "return=representation"));
    assert_eq!(whole.expect(200).json()["entry"][0]["resource"]["resourceType"], "Patient");
    assert!(run(&gateway, &one).expect(200).json()["entry"][0].get("resource").is_none());
}

#[test]
fn only_batches_and_transactions_are_run_and_other_bundles_are_kept_whole() {
    let gateway = Gateway::with(&[("CDEX_FHIR__BUNDLE_ENTRIES", "2")]);
    let collection = json!({"resourceType": "Bundle", "type": "collection",
        "entry": [{"fullUrl": "http://example.org/fhir/Patient/1", "resource": patient("Inside")}]});
    assert_eq!(outcome(&run(&gateway, &collection), 400)[0].1, "Bundle.type");
    outcome(&run(&gateway, &patient("x")), 400);
    let id = create(&gateway, &collection);
    assert_eq!(read(&gateway, &format!("Bundle/{id}"))["entry"], collection["entry"]);
    let many = (0..3).map(|_| entry("GET", "Patient", None, None)).collect();
    assert_eq!(outcome(&run(&gateway, &bundle("batch", many)), 413)[0].1, "Bundle.entry");
    assert_eq!(run(&gateway, &json!({"resourceType": "Bundle", "type": "batch"})).status, 200);
}
