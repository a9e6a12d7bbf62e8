//! Resources that live on another server (`fhir.upstream`): one gateway asks another.

use serde_json::json;

use super::{asking, create, found, identified, link, outcome, patient, read, sending};
use crate::support::gateway::Gateway;

/// The gateway at the back, and one in front of it that asks it for Patients and Observations.
fn pair() -> (Gateway, Gateway) {
    let back = Gateway::start();
    let url = format!("{}/fhir", back.url());
    let front = Gateway::with(&[
        ("CDEX_FHIR__UPSTREAM__URL", &url),
        ("CDEX_FHIR__UPSTREAM__TYPES", "[\"Patient\", \"Observation\"]"),
        ("CDEX_FHIR__UPSTREAM__ALLOW_PRIVATE_ADDRESSES", "true"),
    ]);
    (back, front)
}

#[test]
fn reads_and_searches_of_its_types_pass_to_the_upstream_server() {
    let (back, front) = pair();
    let id = create(&back, &identified("u1"));
    for number in 0..5 {
        create(&back, &patient(&format!("Other{number}")));
    }
    let shown = read(&front, &format!("Patient/{id}"));
    assert_eq!(shown, read(&back, &format!("Patient/{id}")));
    let answer = front.ask(&asking("GET", &format!("Patient/{id}"))).expect(200);
    assert_eq!(answer.header("ETag"), Some("W/\"1\""));

    let bundle = read(&front, "Patient?identifier=http://example.org/mrn|u1");
    assert_eq!(found(&bundle, "match"), [&shown]);
    let full_url = bundle["entry"][0]["fullUrl"].as_str().expect("an entry has a URL");
    assert_eq!(full_url, format!("{}/fhir/Patient/{id}", front.url()));

    let mut page = read(&front, "Patient?_count=2");
    let mut names = 0;
    loop {
        names += found(&page, "match").len();
        let Some(next) = link(&page, "next") else { break };
        page = read(&front, next.trim_start_matches('/'));
    }
    assert_eq!(names, 6);
    let history = read(&front, &format!("Patient/{id}/_history"));
    assert_eq!(history["entry"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_upstream_server_finds_who_matches() {
    let (back, front) = pair();
    let id = create(&back, &identified("u2"));
    let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": identified("u2")}]});
    let bundle = front.ask(&sending("POST", "Patient/$match", &parameters)).expect(200).json();
    assert_eq!(found(&bundle, "match")[0]["id"], id);
    assert!(bundle["entry"][0]["search"]["score"].is_number(), "{bundle}");
}

#[test]
fn nothing_is_written_upstream_and_all_other_types_stay_here() {
    let (back, front) = pair();
    let id = create(&back, &identified("u3"));
    for request in [
        sending("POST", "Patient", &patient("New")),
        sending("PUT", &format!("Patient/{id}"), &patient("New")),
        asking("DELETE", &format!("Patient/{id}")),
    ] {
        let answer = front.ask(&request);
        assert_eq!(outcome(&answer, 405)[0].0, "not-supported");
    }
    outcome(&front.ask(&asking("GET", "Patient/nobody")), 404);
    let task = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
    let task = create(&front, &task);
    read(&front, &format!("Task/{task}"));
    outcome(&back.ask(&asking("GET", &format!("Task/{task}"))), 404);
}

#[test]
fn a_server_that_is_gone_is_told_as_one() {
    let (mut back, front) = pair();
    back.stop();
    outcome(&front.ask(&asking("GET", "Patient?name=x")), 502);
    front.get("/health/live").expect(200);
}
