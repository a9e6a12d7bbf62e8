//! Histories: newest first, page by page, from a moment on.

use serde_json::{Value, json};

use super::{asking, create, link, outcome, patient, read, sending};
use crate::support::gateway::{Gateway, for_each_database};

fn versions(bundle: &Value) -> Vec<(String, String)> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| (text(&entry["request"]["method"]), text(&entry["response"]["etag"])))
        .collect()
}

#[test]
fn the_history_of_a_resource_has_all_that_happened_newest_first() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &patient("History"));
        let path = format!("Patient/{id}");
        let resource = read(&gateway, &path);
        gateway.ask(&sending("PUT", &path, &resource)).expect(200);
        gateway.ask(&asking("DELETE", &path)).expect(204);
        let expected = [("DELETE", "W/\"3\""), ("PUT", "W/\"2\""), ("POST", "W/\"1\"")];
        let expected: Vec<_> = expected.map(|(method, tag)| (method.to_owned(), tag.to_owned())).into();
        let whole = read(&gateway, &format!("{path}/_history"));
        assert_eq!((&whole["type"], &whole["total"]), (&json!("history"), &json!(3)));
        assert_eq!(versions(&whole), expected);
        assert!(whole["entry"][0].get("resource").is_none());

        let mut seen = Vec::new();
        let mut next = Some(format!("/{path}/_history?_count=1"));
        while let Some(page) = next {
            let bundle = read(&gateway, page.trim_start_matches('/'));
            seen.extend(versions(&bundle));
            next = link(&bundle, "next");
        }
        assert_eq!(seen, expected);
        outcome(&gateway.get("/fhir/Patient/unknown/_history"), 404);
    });
}

#[test]
fn the_history_of_a_type_begins_at_the_moment_asked_for() {
    for_each_database(&[], |gateway| {
        let first = create(&gateway, &patient("First"));
        let second = create(&gateway, &patient("Second"));
        let bundle = read(&gateway, "Patient/_history");
        assert_eq!(bundle["entry"].as_array().map(Vec::len), Some(2));
        assert_eq!(bundle["entry"][0]["resource"]["id"], *second);
        let moment = read(&gateway, &format!("Patient/{second}"))["meta"]["lastUpdated"].clone();
        let since = format!("Patient/_history?_since={}", moment.as_str().expect("a moment"));
        let ids: Vec<Value> = read(&gateway, &since)["entry"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| entry["resource"]["id"].clone())
            .collect();
        assert!(ids.contains(&json!(second)), "{ids:?}");
        assert_eq!(read(&gateway, "Patient/_history?_since=2100-01-01").get("entry"), None);
        assert_eq!(read(&gateway, &format!("Patient/{first}/_history?_at=1990")).get("entry"), None);
        for path in ["Patient/_history?_since=x", "Patient/_history?_count=-1", "Patient/_history?_cursor=x"]
        {
            outcome(&gateway.get(&format!("/fhir/{path}")), 400);
        }
    });
}

#[test]
fn a_history_of_the_server_is_not_kept() {
    outcome(&Gateway::start().get("/fhir/_history"), 404);
}
