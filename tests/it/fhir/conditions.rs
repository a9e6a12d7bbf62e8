//! Conditions: which version is meant, whether there must be one, and criteria in place of an id.

use std::thread;

use serde_json::json;

use super::{asking, create, found, identified, outcome, patient, read, sending};
use crate::support::gateway::{Gateway, for_each_database};

#[test]
fn if_match_lets_only_the_version_be_changed_that_is_there() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &patient("Match"));
        let path = format!("Patient/{id}");
        let resource = read(&gateway, &path);
        for (value, status) in [
            ("W/\"2\"", 412),
            ("\"other\"", 412),
            ("2", 412),
            ("\"1", 400),
            ("W/\"1\"", 200),
            ("W/\"1\", \"2\"", 200),
            ("*", 200),
        ] {
            let answer = gateway.ask(&sending("PUT", &path, &resource).header("If-Match", value));
            assert_eq!(answer.status, status, "{value}: {}", answer.text());
        }
        let stale = gateway.ask(&asking("DELETE", &path).header("If-Match", "W/\"1\""));
        outcome(&stale, 412);
        gateway.ask(&asking("DELETE", &path).header("If-Match", "W/\"4\"")).expect(204);
        let mut unknown = patient("Unknown");
        unknown["id"] = json!("unknown");
        let absent = sending("PUT", "Patient/unknown", &unknown);
        outcome(&gateway.ask(&absent.clone().header("If-Match", "*")), 412);
        gateway.ask(&absent.clone().header("If-None-Match", "*")).expect(201);
        outcome(&gateway.ask(&absent.header("If-None-Match", "*")), 412);
    });
}

#[test]
fn a_setting_demands_if_match_for_what_is_there() {
    let gateway = Gateway::with(&[("CDEX_FHIR__REQUIRE_IF_MATCH", "true")]);
    let id = create(&gateway, &patient("Required"));
    let path = format!("Patient/{id}");
    let resource = read(&gateway, &path);
    let refused = gateway.ask(&sending("PUT", &path, &resource));
    outcome(&refused, 412);
    assert!(refused.text().contains("If-Match"), "{}", refused.text());
    gateway.ask(&sending("PUT", &path, &resource).header("If-Match", "W/\"1\"")).expect(200);
    let mut new = resource;
    new["id"] = json!("new-one");
    gateway.ask(&sending("PUT", "Patient/new-one", &new)).expect(201);
}

#[test]
fn a_read_of_what_the_client_has_is_304() {
    let gateway = Gateway::start();
    let id = create(&gateway, &patient("Cached"));
    let path = format!("Patient/{id}");
    let date = gateway.ask(&asking("GET", &path)).header("Last-Modified").expect("a date").to_owned();
    let past = "Mon, 05 May 2025 14:03:22 GMT";
    for (fields, status) in [
        (vec![("If-None-Match", "W/\"1\"")], 304),
        (vec![("If-None-Match", "\"1\"")], 304),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-None-Match", "W/\"2\"")], 200),
        (vec![("If-Modified-Since", &*date)], 304),
        (vec![("If-Modified-Since", past)], 200),
        (vec![("If-Modified-Since", "whenever")], 200),
        (vec![("If-None-Match", "W/\"2\""), ("If-Modified-Since", &*date)], 200),
    ] {
        let request =
            fields.iter().fold(asking("GET", &path), |request, (name, value)| request.header(name, value));
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, status, "{fields:?}");
        assert_eq!(answer.header("ETag"), Some("W/\"1\""));
    }
}

#[test]
fn a_conditional_create_makes_one_resource_however_many_ask_at_once() {
    for_each_database(&[], |gateway| {
        let resource = identified("concurrent");
        let request = sending("POST", "Patient", &resource)
            .header("If-None-Exist", "identifier=http://example.org/mrn|concurrent");
        let statuses: Vec<u16> = thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| gateway.ask(&request).status)).collect();
            asking.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
        let bundle = read(&gateway, "Patient?identifier=concurrent");
        assert_eq!(found(&bundle, "match").len(), 1);

        create(&gateway, &resource);
        let several = gateway.ask(&request);
        assert_eq!(outcome(&several, 412)[0].0, "multiple-matches");
    });
}

#[test]
fn a_conditional_update_creates_replaces_or_refuses() {
    for_each_database(&[], |gateway| {
        let path = "Patient?identifier=http://example.org/mrn%7Ctwo";
        let mut resource = identified("two");
        let created = gateway.ask(&sending("PUT", path, &resource)).expect(201).json();
        resource["active"] = json!(false);
        let updated = gateway.ask(&sending("PUT", path, &resource)).expect(200).json();
        assert_eq!((&updated["id"], &updated["active"]), (&created["id"], &json!(false)));
        resource["id"] = created["id"].clone();
        gateway.ask(&sending("PUT", path, &resource)).expect(200);
        resource["id"] = json!("another");
        outcome(&gateway.ask(&sending("PUT", path, &resource)), 400);
        let other = sending("PUT", "Patient?identifier=nobody", &resource);
        assert_eq!(gateway.ask(&other).expect(201).json()["id"], "another");
        outcome(&gateway.ask(&sending("PUT", path, &identified("two"))), 412);
    });
}

#[test]
fn a_conditional_delete_deletes_one_or_nothing() {
    for_each_database(&[], |gateway| {
        let id = create(&gateway, &identified("gone"));
        gateway.ask(&asking("DELETE", "Patient?identifier=nobody")).expect(204);
        gateway.ask(&asking("DELETE", "Patient?identifier=gone")).expect(204);
        outcome(&gateway.get(&format!("/fhir/Patient/{id}")), 410);
        create(&gateway, &identified("twice"));
        create(&gateway, &identified("twice"));
        let several = gateway.ask(&asking("DELETE", "Patient?identifier=twice"));
        assert_eq!(outcome(&several, 412)[0].0, "multiple-matches");
        // Criteria that cannot be applied, or none at all, would name other resources than were meant.
        for path in ["Patient", "Patient?_format=json", "Patient?unknown=x", "Patient?identifier=twice&foo=y"]
        {
            outcome(&gateway.ask(&asking("DELETE", path)), 400);
        }
        assert_eq!(found(&read(&gateway, "Patient?identifier=twice"), "match").len(), 2);
    });
}
