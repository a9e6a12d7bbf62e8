//! Tests of the interactions with an upstream server on a real socket: what it is asked, and what of its answers comes
//! through. [`hostile`] is about servers that fail or mean harm, [`credentials`] about who we say we are.

mod credentials;
mod hostile;

use serde_json::json;

use super::*;
use crate::auth::{Access, Caller};
use crate::clock::{ManualClock, Timestamp};
use crate::outbound::testing::{FakeServer, Received, Reply};

/// Where our clients see us.
const BASE: &str = "http://gateway.test/fhir";

fn settings(server: &FakeServer) -> UpstreamSettings {
    UpstreamSettings {
        base: Base::parse(&format!("{}/ehr", server.url())).expect("a base"),
        types: BTreeSet::from(["Condition", "Patient", "Practitioner"]),
        credentials: Credentials::None,
        timeout: Duration::from_mins(1),
        answer_bytes: 64 * 1024,
        scan: ScanLimits::default(),
        reach: Reach::Everywhere,
    }
}

fn upstream_with(settings: UpstreamSettings) -> Upstream {
    let clock: SharedClock = std::sync::Arc::new(ManualClock::new(Timestamp::from_nanos(0)));
    Upstream::new(settings, &clock).expect("it can be called")
}

/// A server that answers as the script says, and the line to it.
async fn upstream(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (FakeServer, Upstream) {
    let server = FakeServer::start(script).await;
    let upstream = upstream_with(settings(&server));
    (server, upstream)
}

fn access() -> Access {
    Caller::anonymous().access()
}

fn view(access: &Access) -> View<'_> {
    View { access, base: BASE, patient: None, may_see: None }
}

fn pairs(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn search_of<'a>(resource_type: &'static str, parameters: &'a [(String, String)]) -> Search<'a> {
    Search { resource_type, parameters, count: None, cursor: None }
}

fn patient(id: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "meta": { "versionId": "7" } })
}

fn condition(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "Condition", "id": id, "subject": { "reference": format!("Patient/{patient}") } })
}

fn searchset(entries: &[(&str, Value)]) -> Value {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(mode, resource)| {
            json!({ "fullUrl": "http://ehr.internal/x", "resource": resource, "search": { "mode": mode } })
        })
        .collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries })
}

/// The full URLs of a page.
fn shown(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry["fullUrl"].as_str().expect("a URL")).collect()
}

#[tokio::test]
async fn a_resource_comes_as_it_is_there() {
    let text = r#"{"resourceType":"Patient","id":"p.1","x":[1.00,2],"a":{"b":"é"}}"#;
    let (server, upstream) =
        upstream(move |_| Reply::new(200, "Content-Type: application/fhir+json;charset=UTF-8\r\n", text))
            .await;
    let access = access();
    let read = upstream.read(&view(&access), "Patient", "p.1").await.expect("a Patient");
    assert_eq!(read.to_string(), text, "digits and order are kept");
    let version = upstream.vread(&view(&access), "Patient", "p.1", "a-7").await.expect("a Patient");
    assert_eq!(version, read);
    assert_eq!(server.lines(), ["GET /ehr/Patient/p.1", "GET /ehr/Patient/p.1/_history/a-7"]);
    let seen = server.seen();
    assert_eq!(seen[0].header("accept"), Some("application/fhir+json"));
    assert_eq!(seen[0].header("authorization"), None);
    assert!(upstream.serves("Patient") && !upstream.serves("Task"));
}

#[tokio::test]
async fn no_id_leads_out_of_its_type() {
    let (server, upstream) = upstream(|_| Reply::json(&patient("1"))).await;
    let access = access();
    let view = view(&access);
    for id in ["", ".", "..", "a/b", "a%2fb", "1?x=y", "1#x", &"a".repeat(65)] {
        assert_eq!(upstream.read(&view, "Patient", id).await, Err(UpstreamError::NotFound), "{id}");
        assert_eq!(upstream.vread(&view, "Patient", "1", id).await, Err(UpstreamError::NotFound), "{id}");
        let history =
            History { resource_type: "Patient", id: Some(id), parameters: &[], count: None, cursor: None };
        let failed = upstream.history(&view, &history).await.expect_err("it fails");
        assert_eq!(failed, UpstreamError::NotFound, "{id}");
    }
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_search_sends_what_concerns_the_data_and_names_what_comes_as_ours() {
    let (server, upstream) = upstream(|_| {
        Reply::json(&searchset(&[
            ("match", condition("c", "1")),
            ("include", patient("1")),
            ("include", json!({ "resourceType": "Observation", "id": "o" })),
            ("match", patient("2")),
            ("outcome", json!({ "resourceType": "OperationOutcome", "id": "x" })),
            ("match", json!({ "resourceType": "Condition" })),
            ("match", json!({ "resourceType": "Condition", "id": "../x" })),
        ]))
    })
    .await;
    let access = access();
    let own = format!("{BASE}/Patient/1");
    let parameters = pairs(&[
        ("subject", &own),
        ("code:text", "A & B=c"),
        ("_include", "Condition:subject"),
        ("_elements", "code"),
        ("_summary", "text"),
        ("_format", "json"),
        ("_pretty", "true"),
        ("_count", "99"),
    ]);
    let search = Search { count: Some(5), ..search_of("Condition", &parameters) };
    let page = upstream.search(&view(&access), &search).await.expect("a page");
    assert_eq!(shown(&page), [format!("{BASE}/Condition/c"), format!("{BASE}/Patient/1")]);
    assert_eq!(
        page.entries[0]["resource"]["subject"]["reference"], "Patient/1",
        "references stay as they are"
    );
    assert_eq!(page.entries[1]["search"], json!({ "mode": "include" }));
    assert_eq!((page.total, page.next, page.remarks.len()), (Some(7), None, 0));
    let sent = "subject=Patient%2F1&code%3Atext=A%20%26%20B%3Dc&_include=Condition%3Asubject&_count=5";
    assert_eq!(server.lines(), [format!("GET /ehr/Condition?{sent}")]);
}

#[tokio::test]
async fn a_query_too_long_for_a_url_is_posted() {
    let (server, upstream) = upstream(|_| Reply::json(&searchset(&[]))).await;
    let access = access();
    let ids = "a".repeat(3_000);
    let parameters = pairs(&[("_id", &ids), ("_summary", "count")]);
    upstream.search(&view(&access), &search_of("Patient", &parameters)).await.expect("a page");
    let seen = server.seen();
    assert_eq!(seen[0].line(), "POST /ehr/Patient/_search");
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[0].body, format!("_id={ids}&_summary=count"));
}

#[tokio::test]
async fn pages_follow_each_other_by_cursors_of_ours() {
    let (server, upstream) = upstream(|request| {
        let host = request.header("host").expect("a host");
        let mut bundle = searchset(&[("match", patient("1"))]);
        if !request.line().contains("page=2") {
            bundle["link"] = json!([
                { "relation": "self", "url": "http://ehr.internal/Patient" },
                { "relation": "next", "url": format!("http://{host}/ehr?_getpages=x%7Cy&page=2") },
            ]);
        }
        Reply::json(&bundle)
    })
    .await;
    let access = access();
    let view = view(&access);
    let first = upstream.search(&view, &search_of("Patient", &[])).await.expect("a page");
    let cursor = first.next.expect("there is more");
    assert!(!cursor.contains("getpages"));
    let search = Search { cursor: Some(&cursor), ..search_of("Patient", &[]) };
    let second = upstream.search(&view, &search).await.expect("a page");
    assert_eq!((shown(&second).len(), second.next), (1, None));
    assert_eq!(server.lines(), ["GET /ehr/Patient", "GET /ehr?_getpages=x%7Cy&page=2"]);

    let elsewhere = Search { cursor: Some(&cursor), ..search_of("Condition", &[]) };
    let made_up = Search { cursor: Some("aHR0cDovL2V2aWwuZXhhbXBsZS8"), ..search_of("Patient", &[]) };
    for search in [elsewhere, made_up] {
        let failed = upstream.search(&view, &search).await.expect_err("it fails");
        assert_eq!(failed, UpstreamError::InvalidCursor);
    }
    assert_eq!(server.seen().len(), 2, "nobody was asked");
}

#[tokio::test]
async fn a_view_confined_to_a_patient_shows_nothing_of_another() {
    let (server, upstream) = upstream(|request| match request.line() {
        "GET /ehr/Condition/9" => Reply::json(&condition("9", "2")),
        line if line.contains("_history") => Reply::json(&json!({
            "resourceType": "Bundle", "type": "history", "entry": [
                { "resource": condition("9", "2"), "request": { "method": "PUT", "url": "Condition/9" } },
                { "request": { "method": "DELETE", "url": "Condition/9" }, "response": { "status": "204" } },
            ]
        })),
        _ => Reply::json(&searchset(&[
            ("match", condition("a", "1")),
            ("match", condition("b", "2")),
            ("include", patient("1")),
            ("include", patient("2")),
            ("include", json!({ "resourceType": "Practitioner", "id": "d" })),
        ])),
    })
    .await;
    let access = access();
    let confined = View { patient: Some("1"), ..view(&access) };
    let parameters = pairs(&[("patient", "2")]);
    let page = upstream.search(&confined, &search_of("Condition", &parameters)).await.expect("a page");
    let expected = ["Condition/a", "Patient/1", "Practitioner/d"].map(|place| format!("{BASE}/{place}"));
    assert_eq!(shown(&page), expected);
    assert_eq!(page.total, None, "what is left out is not counted");
    upstream.search(&confined, &search_of("Patient", &[])).await.expect("a page");
    // Parameters are joined by AND: one more can only narrow.
    assert_eq!(server.lines(), ["GET /ehr/Condition?patient=2&patient=1", "GET /ehr/Patient?_id=1"]);

    assert_eq!(upstream.read(&confined, "Condition", "9").await, Err(UpstreamError::NotFound));
    let history =
        History { resource_type: "Condition", id: Some("9"), parameters: &[], count: None, cursor: None };
    let failed = upstream.history(&confined, &history).await.expect_err("it fails");
    assert_eq!(failed, UpstreamError::NotFound);
}

#[tokio::test]
async fn whoever_decides_about_resources_is_asked_about_each() {
    let (_server, upstream) = upstream(|request| match request.line() {
        "GET /ehr/Patient/2" => Reply::json(&patient("2")),
        _ => Reply::json(&searchset(&[("match", patient("1")), ("match", patient("2"))])),
    })
    .await;
    let access = access();
    let may_see = |resource: &Value| resource["id"] == "1";
    let confined = View { may_see: Some(&may_see), ..view(&access) };
    let page = upstream.search(&confined, &search_of("Patient", &[])).await.expect("a page");
    assert_eq!((shown(&page), page.total), (vec![&*format!("{BASE}/Patient/1")], None));
    assert_eq!(upstream.read(&confined, "Patient", "2").await, Err(UpstreamError::NotFound));
    let matched = upstream.match_patient(&confined, &json!({})).await.expect("a page");
    assert_eq!(shown(&matched), [format!("{BASE}/Patient/1")]);
}

#[tokio::test]
async fn a_history_is_told_in_our_names() {
    let (server, upstream) = upstream(|_| {
        Reply::json(&json!({
            "resourceType": "Bundle", "type": "history", "total": 4, "entry": [
                { "fullUrl": "http://ehr.internal/Patient/1",
                  "request": { "method": "DELETE", "url": "Patient/1" },
                  "response": { "status": "204 No Content", "lastModified": "2026-05-05T14:03:22Z" } },
                { "resource": patient("1"),
                  "request": { "method": "PUT", "url": "http://ehr.internal/Patient/1", "ifMatch": "x" },
                  "response": { "status": "200 OK", "location": "http://ehr.internal/x", "etag": "W/\"7\"" } },
                { "resource": patient("2"), "request": { "method": "PUT", "url": "Patient/2" } },
                { "resource": patient("1"), "request": { "method": "POST", "url": "Patient" },
                  "response": { "status": "X" } },
            ]
        }))
    })
    .await;
    let access = access();
    let parameters = pairs(&[("_since", "2026-01-01T00:00:00Z"), ("name", "x"), ("_sort", "date")]);
    let history = History {
        resource_type: "Patient",
        id: Some("1"),
        parameters: &parameters,
        count: Some(10),
        cursor: None,
    };
    let page = upstream.history(&view(&access), &history).await.expect("a page");
    let full_url = format!("{BASE}/Patient/1");
    assert_eq!(
        page.entries,
        [
            json!({ "fullUrl": full_url, "request": { "method": "DELETE", "url": "Patient/1" },
                    "response": { "status": "204", "lastModified": "2026-05-05T14:03:22Z" } }),
            json!({ "fullUrl": full_url, "resource": patient("1"),
                    "request": { "method": "PUT", "url": "Patient/1" },
                    "response": { "status": "200", "etag": "W/\"7\"" } }),
            json!({ "fullUrl": full_url, "resource": patient("1"),
                    "request": { "method": "POST", "url": "Patient" },
                    "response": { "status": "200", "etag": "W/\"7\"" } }),
        ]
    );
    let of_type = History { id: None, parameters: &[], count: None, ..history };
    assert_eq!(upstream.history(&view(&access), &of_type).await.expect("a page").entries.len(), 4);
    let sent = "GET /ehr/Patient/1/_history?_since=2026-01-01T00%3A00%3A00Z&_count=10";
    assert_eq!(server.lines(), [sent, "GET /ehr/Patient/_history"]);
}

#[tokio::test]
async fn a_match_tells_how_well_each_patient_fits() {
    let grade = |code: &str| json!({ "url": "http://hl7.org/fhir/StructureDefinition/match-grade", "valueCode": code });
    let graded =
        json!({ "mode": "match", "score": 0.90, "extension": [{ "url": "http://x" }, grade("certain")] });
    let odd = json!({ "mode": "match", "score": "high", "extension": [grade("hardly")] });
    let (server, upstream) = upstream(move |_| {
        Reply::json(&json!({
            "resourceType": "Bundle", "type": "searchset", "total": 2, "entry": [
                { "resource": patient("1"), "search": graded },
                { "resource": patient("2"), "search": odd },
                { "resource": { "resourceType": "OperationOutcome", "id": "x" }, "search": { "mode": "outcome" } },
            ]
        }))
    })
    .await;
    let access = access();
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "resource", "resource": patient("x") }] });
    let page = upstream.match_patient(&view(&access), &parameters).await.expect("a page");
    let search: Vec<&Value> = page.entries.iter().map(|entry| &entry["search"]).collect();
    assert_eq!(
        search,
        [
            &json!({ "extension": [grade("certain")], "mode": "match", "score": 0.90 }),
            &json!({ "mode": "match" })
        ]
    );
    let seen = server.seen();
    assert_eq!(seen[0].line(), "POST /ehr/Patient/$match");
    assert_eq!(seen[0].header("content-type"), Some("application/fhir+json"));
    assert_eq!(seen[0].body, parameters.to_string());
}
