//! Bulk export as its clients see it: kick-off, status until the manifest is there, files, removal; and kills in the
//! middle.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{asking, create, observation, outcome, patient, sending};
use crate::support::environment::{large, skipped};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::{files, rows, wait};

/// Asks for an export, and gives the path of its status.
#[track_caller]
fn begin(gateway: &Gateway, path: &str) -> String {
    begun(gateway, &gateway.ask(&asking("GET", path).header("Prefer", "respond-async")))
}

#[track_caller]
fn begun(gateway: &Gateway, answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let status = answer.header("Content-Location").expect("it says where the status is");
    status.strip_prefix(&gateway.url()).expect("it is here").to_owned()
}

/// Asks for the status until the export is complete, and gives the manifest.
fn manifest(gateway: &Gateway, status: &str) -> Value {
    wait::until("an export to be complete", || {
        let answer = gateway.get(status);
        if answer.status == 202 {
            assert!(answer.header("X-Progress").is_some() && answer.header("Retry-After").is_some());
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert!(answer.header("Expires").is_some());
        Some(answer.json())
    })
}

/// The lines of the files of one kind.
fn lines(gateway: &Gateway, manifest: &Value, kind: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for file in manifest[kind].as_array().expect("a manifest lists files") {
        let path = file["url"].as_str().and_then(|url| url.strip_prefix(&gateway.url())).expect("it is here");
        let request = Request::new("GET", path).header("Accept", "application/fhir+ndjson");
        let answer = gateway.ask(&request).expect(200);
        assert_eq!(answer.header("Content-Type"), Some("application/fhir+ndjson"));
        let text = answer.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        let before = found.len();
        found.extend(lines);
        assert_eq!(file["count"], found.len() - before);
        assert!(found[before..].iter().all(|line| line["resourceType"] == file["type"]));
    }
    found
}

/// Makes many Patients.
fn create_many(gateway: &Gateway, count: usize) {
    for first in (0..count).step_by(1000) {
        let entries: Vec<Value> = (first..count.min(first + 1000))
            .map(|n| {
                json!({
                    "resource": patient(&format!("Family{n}")),
                    "request": {"method": "POST", "url": "Patient"},
                })
            })
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let request = sending("POST", "", &bundle).header("Prefer", "return=minimal");
        gateway.ask(&request).expect(200);
    }
}

fn ids(lines: &[Value]) -> BTreeSet<&str> {
    lines.iter().filter_map(|line| line["id"].as_str()).collect()
}

#[test]
fn a_client_asks_waits_fetches_and_removes() {
    for_each_database(&[("CDEX_FHIR__EXPORT_FILE_RESOURCES", "2")], |gateway| {
        let patients: Vec<String> =
            ["A", "B", "C"].into_iter().map(|name| create(&gateway, &patient(name))).collect();
        create(&gateway, &observation(&format!("Patient/{}", patients[0]), "170"));
        let status =
            begin(&gateway, "$export?_type=Patient,Observation&_outputFormat=application/fhir+ndjson");
        let manifest = manifest(&gateway, &status);
        assert_eq!(manifest["requiresAccessToken"], false);
        assert!(manifest["request"].as_str().is_some_and(|url| url.contains("/fhir/$export?_type=")));
        assert_eq!((&manifest["deleted"], &manifest["error"]), (&json!([]), &json!([])));
        assert_eq!(manifest["output"].as_array().map(Vec::len), Some(3), "{manifest}");
        let found = lines(&gateway, &manifest, "output");
        assert_eq!(found.len(), 4);
        assert!(patients.iter().all(|id| ids(&found).contains(id.as_str())));

        // The next export of a client that keeps up: nothing but what happened in between.
        let since = manifest["transactionTime"].as_str().expect("a moment");
        gateway.ask(&asking("DELETE", &format!("Patient/{}", patients[2]))).expect(204);
        let changed = create(&gateway, &patient("D"));
        let second =
            self::manifest(&gateway, &begin(&gateway, &format!("$export?_type=Patient&_since={since}")));
        assert_eq!(ids(&lines(&gateway, &second, "output")), BTreeSet::from([changed.as_str()]));
        let deleted = lines(&gateway, &second, "deleted");
        assert_eq!(deleted[0]["entry"][0]["request"]["url"], format!("Patient/{}", patients[2]));

        let path = manifest["output"][0]["url"].as_str().expect("a URL").replace(&gateway.url(), "");
        gateway.ask(&Request::new("HEAD", &path)).expect(200);
        gateway.ask(&Request::new("DELETE", &status)).expect(202);
        outcome(&gateway.get(&status), 404);
        outcome(&gateway.get(&path), 404);
        outcome(&gateway.ask(&Request::new("DELETE", &status)), 404);
        let id = status.rsplit('/').next().expect("a status has an id");
        let left = files::below(&gateway.data_dir().join("exports"));
        assert!(!left.iter().any(|path| path.to_string_lossy().contains(id)), "{left:?}");
    });
}

#[test]
fn an_order_in_a_body_is_an_order_too() {
    let gateway = Gateway::start();
    let [one, two] = ["A", "B"].map(|name| create(&gateway, &patient(name)));
    for subject in [&one, &two] {
        create(&gateway, &observation(&format!("Patient/{subject}"), "170"));
    }
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueReference": {"reference": format!("Patient/{one}")}},
        {"name": "_type", "valueString": "Patient,Observation"},
    ]});
    let request =
        sending("POST", "Patient/$export", &body).header("Prefer", "respond-async, handling=lenient");
    let manifest = manifest(&gateway, &begun(&gateway, &gateway.ask(&request)));
    let found = lines(&gateway, &manifest, "output");
    assert_eq!(found.len(), 2);
    assert!(ids(&found).contains(one.as_str()) && !ids(&found).contains(two.as_str()));
}

#[test]
fn what_is_no_export_is_refused() {
    let gateway = Gateway::start();
    for (path, status) in [
        ("$export?_type=Nothing", 400),
        ("$export?_outputFormat=text/csv", 400),
        ("$export?_since=yesterday", 400),
        ("$export?_typeFilter=Patient?nothing=1", 400),
        ("$export?unheard-of=1", 400),
        ("Patient/$export?patient=Patient/1", 400),
        ("Group/nobody/$export", 404),
        ("Observation/$export", 404),
        ("Patient/1/$export", 404),
    ] {
        outcome(&gateway.ask(&asking("GET", path).header("Prefer", "respond-async")), status);
    }
    outcome(&gateway.get("/fhir/$export"), 400);
    outcome(&gateway.ask(&asking("DELETE", "$export").header("Prefer", "respond-async")), 405);
    let file = "0198c0de-0000-7000-8000-000000000000";
    for path in [
        "$export-status/x",
        &format!("$export-status/{file}"),
        &format!("$export-file/{file}/{file}"),
        "$export-file/..%2f..%2fgateway.db/x",
        "$export-file/..%2f..%2f/gateway.db",
    ] {
        outcome(&gateway.ask(&asking("GET", path)), 404);
    }
}

#[test]
fn a_killed_gateway_goes_on_with_its_exports() {
    for_each_database(&[("CDEX_FHIR__EXPORT_FILE_RESOURCES", "10")], |mut gateway| {
        create_many(&gateway, 1000);
        let status = begin(&gateway, "$export?_type=Patient");
        let exports = gateway.data_dir().join("exports");
        wait::until("the first files", || (files::below(&exports).len() > 5).then_some(()));
        gateway.kill();
        // On PostgreSQL the lease of the killed one would have to end first, which takes a minute.
        rows::execute(&gateway, "UPDATE export_job SET lease_until = 0");
        gateway.launch();
        let found = lines(&gateway, &manifest(&gateway, &status), "output");
        assert_eq!((found.len(), ids(&found).len()), (1000, 1000));
    });
}

#[test]
fn memory_does_not_grow_with_an_export() {
    if !large() {
        return skipped("CDEX_TEST_LARGE is not set");
    }
    let gateway = Gateway::start();
    create_many(&gateway, 100_000);
    let Some(before) = gateway.memory() else { return };
    let manifest = manifest(&gateway, &begin(&gateway, "$export?_type=Patient"));
    assert_eq!(manifest["output"][0]["count"], 100_000);
    let after = gateway.memory().expect("it was told before");
    let grown = after.peak_kib.saturating_sub(before.peak_kib);
    assert!(grown < 32 * 1024, "{grown} KiB more than before");
}
