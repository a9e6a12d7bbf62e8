//! Create, read, version read, update, delete: statuses, header fields, and the text that comes back.

use serde_json::json;

use super::{asking, create, observation, outcome, patient, read, sending};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;

#[test]
fn a_resource_lives_from_create_to_delete() {
    for_each_database(&[], |gateway| {
        let created = gateway.ask(&sending("POST", "Patient", &patient("Doe"))).expect(201);
        let body = created.json();
        let id = body["id"].as_str().expect("an id");
        let location = format!("{}/fhir/Patient/{id}/_history/1", gateway.url());
        assert_eq!(created.header("Location"), Some(&*location));
        assert_eq!(created.header("ETag"), Some("W/\"1\""));
        assert!(created.header("Last-Modified").is_some_and(|date| date.ends_with(" GMT")));
        assert_eq!(body["meta"]["versionId"], "1");
        assert_eq!(body["name"], patient("Doe")["name"]);

        let mut changed = body.clone();
        changed["active"] = json!(false);
        let updated = gateway.ask(&sending("PUT", &format!("Patient/{id}"), &changed)).expect(200);
        assert_eq!(updated.header("ETag"), Some("W/\"2\""));
        assert_eq!(updated.json()["active"], false);

        let now = gateway.get(&format!("/fhir/Patient/{id}")).expect(200);
        assert_eq!(now.header("ETag"), Some("W/\"2\""));
        assert_eq!(now.json()["meta"]["versionId"], "2");
        let before = gateway.get(&format!("/fhir/Patient/{id}/_history/1")).expect(200);
        assert_eq!(before.json()["active"], true);
        assert_eq!(before.header("ETag"), Some("W/\"1\""));

        let deleted = gateway.ask(&asking("DELETE", &format!("Patient/{id}"))).expect(204);
        assert_eq!(deleted.header("ETag"), Some("W/\"3\""));
        gateway.ask(&asking("DELETE", &format!("Patient/{id}"))).expect(204);
        let gone = gateway.get(&format!("/fhir/Patient/{id}"));
        assert_eq!(outcome(&gone, 410)[0].0, "deleted");
        outcome(&gateway.get(&format!("/fhir/Patient/{id}/_history/3")), 410);
        gateway.get(&format!("/fhir/Patient/{id}/_history/2")).expect(200);

        let again = gateway.ask(&sending("PUT", &format!("Patient/{id}"), &changed)).expect(201);
        assert_eq!(again.header("ETag"), Some("W/\"4\""));
        assert_eq!(rows::count(&gateway, "audit"), 4, "one audit row for each change");
    });
}

#[test]
fn a_client_may_choose_an_id_by_put_unless_the_setting_forbids_it() {
    let mut resource = patient("Chosen");
    resource["id"] = json!("chosen-1");
    let gateway = Gateway::start();
    gateway.ask(&sending("PUT", "Patient/chosen-1", &resource)).expect(201);
    assert_eq!(read(&gateway, "Patient/chosen-1")["id"], "chosen-1");
    let gateway = Gateway::with(&[("CDEX_FHIR__UPDATE_CREATES", "false")]);
    let refused = gateway.ask(&sending("PUT", "Patient/chosen-1", &resource));
    assert_eq!(outcome(&refused, 404)[0].0, "not-found");
}

#[test]
fn the_text_of_a_resource_comes_back_with_its_numbers_and_unknown_extensions() {
    let gateway = Gateway::start();
    let mut resource = observation("Patient/unknown", "185.500");
    resource["extension"] = json!([{"url": "http://example.org/x", "valueString": "1\u{2009}x"}]);
    let id = create(&gateway, &resource);
    let text = gateway.get(&format!("/fhir/Observation/{id}")).expect(200).text();
    assert!(text.contains("\"value\":185.500,"), "{text}");
    let mut tree = read(&gateway, &format!("Observation/{id}"));
    let members = tree.as_object_mut().expect("an object");
    members.remove("id");
    members.remove("meta");
    assert_eq!(tree, resource);
}

#[test]
fn head_is_wherever_get_is_and_has_no_body() {
    let gateway = Gateway::start();
    let id = create(&gateway, &patient("Head"));
    for path in [
        "metadata".to_owned(),
        format!("Patient/{id}"),
        format!("Patient/{id}/_history"),
        format!("Patient/{id}/_history/1"),
        "Patient?family=head".to_owned(),
        "Patient/_history".to_owned(),
    ] {
        let got = gateway.ask(&asking("GET", &path)).expect(200);
        let head = gateway.ask(&asking("HEAD", &path)).expect(200);
        assert_eq!(head.header("ETag"), got.header("ETag"), "{path}");
        assert_eq!(head.header("Content-Type"), got.header("Content-Type"), "{path}");
    }
    assert_eq!(gateway.ask(&asking("HEAD", "Patient/unknown")).status, 404);
}

#[test]
fn prefer_decides_what_comes_back_of_a_change() {
    let gateway = Gateway::start();
    let resource = patient("Prefer");
    let minimal = gateway.ask(&sending("POST", "Patient", &resource).header("Prefer", "return=minimal"));
    assert!(minimal.clone().expect(201).body.is_empty());
    assert!(minimal.header("Location").is_some());
    let whole = gateway.ask(&sending("POST", "Patient", &resource).header("Prefer", "return=representation"));
    assert_eq!(whole.expect(201).json()["resourceType"], "Patient");
    let told =
        gateway.ask(&sending("POST", "Patient", &resource).header("Prefer", "return=OperationOutcome"));
    assert!(outcome(&told, 201).is_empty());
    let id = create(&gateway, &resource);
    let deleted = asking("DELETE", &format!("Patient/{id}")).header("Prefer", "return=OperationOutcome");
    assert!(outcome(&gateway.ask(&deleted), 200).is_empty());
}

#[test]
fn a_read_shows_as_much_as_is_asked_for() {
    let gateway = Gateway::start();
    let mut resource = patient("Shown");
    resource["text"] =
        json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"});
    let path = format!("Patient/{}", create(&gateway, &resource));
    let tags = |tree: &serde_json::Value| tree["meta"]["tag"][0]["code"].clone();
    let summary = read(&gateway, &format!("{path}?_summary=true"));
    assert!(summary.get("text").is_none() && summary.get("name").is_some(), "{summary}");
    assert_eq!(tags(&summary), "SUBSETTED");
    let elements = read(&gateway, &format!("{path}?_elements=active"));
    assert!(elements.get("name").is_none() && elements["active"] == true, "{elements}");
    assert_eq!(tags(&elements), "SUBSETTED");
    let pretty = gateway.get(&format!("/fhir/{path}?_pretty=true")).expect(200);
    assert!(pretty.text().contains("\n  \"resourceType\": \"Patient\",\n"), "{}", pretty.text());
    assert_eq!(pretty.json(), read(&gateway, &path));
}

#[test]
fn options_tells_what_an_address_takes() {
    let gateway = Gateway::start();
    for (path, allowed) in [
        ("Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("Patient/1/_history", "GET, HEAD"),
    ] {
        let answer = gateway.ask(&asking("OPTIONS", path)).expect(204);
        assert_eq!(answer.header("Allow"), Some(allowed), "{path}");
    }
    // FHIR R4 http, capabilities: of the base it is what the server declares.
    assert_eq!(gateway.ask(&asking("OPTIONS", "")).expect(200).json()["resourceType"], "CapabilityStatement");
}
