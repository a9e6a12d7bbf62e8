//! Patches of all kinds, told apart by media type and shape.

use std::thread;

use serde_json::{Value, json};

use super::{FHIR, asking, create, identified, outcome, patient, read};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::Request;

fn patch(path: &str, kind: &str, body: &Value) -> Request {
    asking("PATCH", path).header("Content-Type", kind).body(body.to_string())
}

fn fhir_path(family: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.name[0].family"},
        {"name": "value", "valueString": family},
    ]}]})
}

#[test]
fn each_kind_of_patch_changes_the_resource_and_makes_a_version() {
    for_each_database(&[], |gateway| {
        let path = format!("Patient/{}", create(&gateway, &patient("Zero")));
        let json_patch = |family| json!([{"op": "replace", "path": "/name/0/family", "value": family}]);
        let merge = |family| json!({"name": [{"family": family}]});
        for (number, (kind, family, body)) in [
            ("application/json-patch+json", "One", json_patch("One")),
            ("application/json", "Two", json_patch("Two")),
            ("application/merge-patch+json", "Three", merge("Three")),
            ("application/json", "Four", merge("Four")),
            (FHIR, "Five", fhir_path("Five")),
            ("application/json", "Six", fhir_path("Six")),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = gateway.ask(&patch(&path, kind, &body)).expect(200);
            let version = format!("W/\"{}\"", number + 2);
            assert_eq!(answer.header("ETag"), Some(&*version));
            assert_eq!(answer.json()["name"][0]["family"], family, "{kind}");
            assert_eq!(read(&gateway, &path), answer.json());
        }
    });
}

#[test]
fn patches_that_do_not_fit_are_refused_and_change_nothing() {
    let gateway = Gateway::start();
    let path = format!("Patient/{}", create(&gateway, &patient("Same")));
    let before = read(&gateway, &path);
    let kind = "application/json-patch+json";
    for (status, kind, body) in [
        (415, "application/fhir+xml", json!([])),
        (415, "text/plain", json!([])),
        (400, kind, json!({"op": "remove"})),
        (400, kind, json!([{"op": "fly", "path": "/name"}])),
        (422, kind, json!([{"op": "remove", "path": "/nowhere"}])),
        (422, kind, json!([{"op": "test", "path": "/active", "value": false}])),
        (422, kind, json!([{"op": "replace", "path": "/id", "value": "other"}])),
        (422, kind, json!([{"op": "add", "path": "/unknownElement", "value": "x"}])),
        (422, kind, json!([{"op": "replace", "path": "/active", "value": "no"}])),
    ] {
        outcome(&gateway.ask(&patch(&path, kind, &body)), status);
    }
    let broken = asking("PATCH", &path).header("Content-Type", kind).body("[{");
    outcome(&gateway.ask(&broken), 400);
    assert_eq!(read(&gateway, &path), before);
}

#[test]
fn a_patch_honours_conditions_and_finds_by_criteria() {
    for_each_database(&[], |gateway| {
        let path = format!("Patient/{}", create(&gateway, &identified("patched")));
        let body = json!([{"op": "replace", "path": "/active", "value": false}]);
        let kind = "application/json-patch+json";
        outcome(&gateway.ask(&patch(&path, kind, &body).header("If-Match", "W/\"7\"")), 412);
        gateway.ask(&patch(&path, kind, &body).header("If-Match", "W/\"1\"")).expect(200);
        gateway.ask(&patch("Patient?identifier=patched", kind, &body)).expect(200);
        assert_eq!(read(&gateway, &path)["meta"]["versionId"], "3");
        outcome(&gateway.ask(&patch("Patient?identifier=nobody", kind, &body)), 404);
        outcome(&gateway.ask(&patch("Patient/nobody", kind, &body)), 404);
        create(&gateway, &identified("patched"));
        outcome(&gateway.ask(&patch("Patient?identifier=patched", kind, &body)), 412);
    });
}

#[test]
fn patches_at_the_same_time_are_all_applied() {
    for_each_database(&[], |gateway| {
        let path = format!("Patient/{}", create(&gateway, &patient("Busy")));
        let add = |family: usize| json!([{"op": "add", "path": "/name/-", "value": {"family": family.to_string()}}]);
        thread::scope(|scope| {
            for number in 0..4 {
                let (gateway, request) =
                    (&gateway, patch(&path, "application/json-patch+json", &add(number)));
                scope.spawn(move || gateway.ask(&request).expect(200));
            }
        });
        let after = read(&gateway, &path);
        assert_eq!(after["name"].as_array().map(Vec::len), Some(5));
        assert_eq!(after["meta"]["versionId"], "5");
    });
}
