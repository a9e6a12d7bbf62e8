//! What a subscriber is told while all goes well.

use serde_json::{Value, json};

use super::{
    create, events, extension, for_each_database, gateway, let_pass, move_on, notified, read, sending,
    subscribe, subscription, task, told, wait_for, wait_for_events,
};
use crate::support::endpoint::Endpoint;
use crate::support::http::Request;
use crate::support::{rows, wait};

#[test]
fn conf_064_065_a_subscriber_is_greeted_and_told_of_tasks_in_order() {
    for_each_database(|gateway, endpoint| {
        let hook = format!("{}/cdex-task-watch", endpoint.url());
        let mut resource = subscription(&hook, "id-only");
        // Only the gateway says that one is active.
        resource["status"] = "active".into();
        resource["error"] = "nothing yet".into();
        let answer = gateway.ask(&sending("POST", "Subscription", &resource)).expect(201).json();
        assert_eq!((&answer["status"], answer.get("error")), (&json!("requested"), None));
        let id = answer["id"].as_str().expect("an id").to_owned();

        let greeting = endpoint.wait_for(1).remove(0);
        assert_eq!(greeting.line, "POST /cdex-task-watch");
        assert_eq!(greeting.header("content-type"), Some("application/fhir+json"));
        assert_eq!(greeting.header("authorization"), Some("Bearer of-the-payer"));
        assert_eq!(greeting.header("x-watch"), Some("tasks"));
        assert!(greeting.header("idempotency-key").is_some());
        let bundle = greeting.json();
        assert_eq!((&bundle["type"], told(&bundle, "type")), (&json!("history"), &json!("handshake")));
        assert_eq!(told(&bundle, "status"), "requested");
        let url = format!("{}/fhir/Subscription/{id}", gateway.url());
        assert_eq!(told(&bundle, "subscription")["reference"], *url);
        assert_eq!(bundle["entry"][0]["request"]["url"], format!("{url}/$status"));

        let active = wait_for(&gateway, &id, "active");
        assert_eq!((&active["meta"]["versionId"], &active["reason"]), (&json!("2"), &resource["reason"]));
        assert_eq!(active["channel"], resource["channel"]);

        let draft = create(&gateway, &task("draft"));
        let first = create(&gateway, &task("requested"));
        move_on(&gateway, &first, "in-progress");
        wait_for_events(&endpoint, 2);
        // Before and after it must be an order that is no draft.
        move_on(&gateway, &draft, "requested");
        move_on(&gateway, &draft, "in-progress");
        wait_for_events(&endpoint, 3);
        let second = create(&gateway, &task("requested"));
        let expected = [(1, first.clone()), (2, first.clone()), (3, draft), (4, second)];
        assert_eq!(wait_for_events(&endpoint, 4), expected);
        let told_of = notified(&endpoint, "event-notification");
        for (index, received) in told_of.iter().enumerate() {
            let bundle = received.json();
            assert_eq!(told(&bundle, "events-since-subscription-start"), &json!((index + 1).to_string()));
            assert_eq!(told(&bundle, "status"), "active");
            assert!(bundle["entry"][1].get("resource").is_none(), "id-only: {bundle}");
            assert_eq!(received.header("authorization"), Some("Bearer of-the-payer"));
        }
        assert_eq!(told_of[0].json()["entry"][1]["request"]["method"], "POST");
        assert_eq!(told_of[1].json()["entry"][1]["fullUrl"], format!("{}/fhir/Task/{first}", gateway.url()));

        let status = read(&gateway, &format!("Subscription/{id}/$status"));
        assert_eq!((&status["type"], told(&status, "type")), (&json!("searchset"), &json!("query-status")));
        assert_eq!(told(&status, "events-since-subscription-start"), "4");
        let some =
            read(&gateway, &format!("Subscription/{id}/$events?eventsSinceNumber=2&eventsUntilNumber=3"));
        assert_eq!(events(&some), expected[1..3]);
        assert_eq!(told(&some, "type"), "query-event");
        for query in [format!("url={hook}"), "status=active".to_owned()] {
            let found = read(&gateway, &format!("Subscription?{query}"));
            assert_eq!(found["entry"][0]["resource"]["id"], *id, "{query}");
        }
        wait::until("all notifications to be delivered", || {
            (rows::count(&gateway, "delivery WHERE status <> 'delivered'") == 0).then_some(())
        });
        assert_eq!(endpoint.received().len(), 5, "nothing is sent twice");
    });
}

#[test]
fn conf_064_a_status_can_be_asked_of_some_by_id_and_by_status() {
    let endpoint = Endpoint::start();
    let gateway = gateway(&endpoint);
    let hook = format!("{}/hook", endpoint.url());
    let first = subscribe(&gateway, &subscription(&hook, "id-only"));
    let mut off = subscription(&hook, "empty");
    off["status"] = "off".into();
    let second = create(&gateway, &off);
    let ids = |path: &str| {
        let bundle = read(&gateway, path);
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        let of = |entry: &Value| {
            let url = entry["resource"]["parameter"][0]["valueReference"]["reference"].clone();
            url.as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned()
        };
        entries.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(ids("Subscription/$status"), [first.clone(), second.clone()]);
    assert_eq!(ids(&format!("Subscription/$status?id={second}&id={first}")), [first.clone(), second.clone()]);
    assert_eq!(ids("Subscription/$status?status=off,error"), std::slice::from_ref(&second));
    assert_eq!(ids(&format!("Subscription/$status?status=active&id={second}")), Vec::<String>::new());
    let parameters =
        json!({"resourceType": "Parameters", "parameter": [{"name": "status", "valueCode": "active"}]});
    let answer = gateway.ask(&sending("POST", "Subscription/$status", &parameters)).expect(200).json();
    assert_eq!(answer["total"], 1);
    assert_eq!(gateway.get("/fhir/Subscription/none/$status").status, 404);
    let wrong = format!("/fhir/Subscription/{first}/$events?eventsSinceNumber=two");
    assert_eq!(gateway.get(&wrong).status, 400);
}

#[test]
fn filters_and_the_amount_of_content_are_as_asked_for() {
    let endpoint = Endpoint::start();
    let gateway = gateway(&endpoint);
    let subscribe_as = |path: &str, content: &str, criteria: &[&str]| {
        let mut resource = subscription(&format!("{}{path}", endpoint.url()), content);
        let criteria =
            criteria.iter().map(|text| extension("backport-filter-criteria", "valueString", *text));
        let criteria: Vec<Value> = criteria.collect();
        if !criteria.is_empty() {
            resource["_criteria"] = json!({"extension": criteria});
        }
        subscribe(&gateway, &resource)
    };
    subscribe_as("/full", "full-resource", &["Task?requester:identifier=http://example.org/payers|Payer123"]);
    subscribe_as("/empty", "empty", &["Task?code=http://example.org/codes|plain", "Task?status=completed"]);
    subscribe_as("/other", "id-only", &["Task?requester:identifier=http://example.org/payers|Payer124"]);
    let id = create(&gateway, &task("requested"));
    move_on(&gateway, &id, "completed");
    let all = wait::until("the events to arrive", || {
        let all = notified(&endpoint, "event-notification");
        (all.len() >= 3).then_some(all)
    });
    let_pass();
    let of = |path: &str| {
        let all = notified(&endpoint, "event-notification").into_iter();
        all.filter(|received| received.line.ends_with(path))
            .map(|received| received.json())
            .collect::<Vec<_>>()
    };
    assert_eq!((all.len(), of("/other").len()), (3, 0));
    let [first, second] = &of("/full")[..] else { panic!("two events") };
    assert_eq!(first["entry"][1]["resource"]["status"], "requested");
    assert_eq!(first["entry"][1]["resource"]["meta"]["versionId"], "1", "the version that is the event");
    assert_eq!(second["entry"][1]["resource"]["status"], "completed");
    let [empty] = &of("/empty")[..] else { panic!("one event") };
    assert_eq!(events(empty), [(1, String::new())]);
    assert_eq!(empty["entry"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_subscriber_hears_of_each_step_of_a_request_that_is_answered_by_itself() {
    let endpoint = Endpoint::start();
    let gateway = gateway(&endpoint);
    let mut resource = subscription(&format!("{}/hook", endpoint.url()), "full-resource");
    let code = "Task?code=http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp|data-request-query";
    resource["_criteria"] =
        json!({"extension": [extension("backport-filter-criteria", "valueString", code)]});
    subscribe(&gateway, &resource);
    let number = json!({"system": "http://example.org/members", "value": "Member123"});
    create(&gateway, &json!({"resourceType": "Patient", "identifier": [number], "gender": "female"}));
    let mut request = task("requested");
    request["code"]["coding"] = json!([{
        "system": "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp", "code": "data-request-query",
    }]);
    request["for"] = json!({"identifier": number});
    request["authoredOn"] = "2026-01-01T10:00:00Z".into();
    request["owner"] =
        json!({"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339108"}});
    request["input"] = json!([{
        "type": {"coding": [{
            "system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "code": "data-query",
        }]},
        "valueString": "Patient?gender=female",
    }]);
    let id = create(&gateway, &request);
    let last = wait::until("the Task to be answered", || {
        let found = read(&gateway, &format!("Task/{id}"));
        matches!(found["status"].as_str(), Some("completed" | "failed")).then_some(found)
    });
    let version: usize =
        last["meta"]["versionId"].as_str().and_then(|text| text.parse().ok()).expect("a version");
    let told_of = wait::until("each version to be told", || {
        let all = notified(&endpoint, "event-notification");
        (all.len() >= version).then_some(all)
    });
    let versions: Vec<Value> = told_of
        .iter()
        .map(|received| received.json()["entry"][1]["resource"]["meta"]["versionId"].clone())
        .collect();
    assert_eq!(versions, (1..=version).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    assert_eq!(told_of.last().expect("the last").json()["entry"][1]["resource"]["status"], last["status"]);
    assert!(version >= 4, "requested, accepted, in progress, and what came of it");
}

#[test]
fn an_endpoint_that_hears_nothing_else_hears_a_heartbeat_until_the_end() {
    let endpoint = Endpoint::start();
    let gateway = gateway(&endpoint);
    let mut resource = subscription(&format!("{}/hook", endpoint.url()), "id-only");
    resource["channel"]["extension"] = json!([extension("backport-heartbeat-period", "valueUnsignedInt", 1)]);
    let id = subscribe(&gateway, &resource);
    let beats = wait::until("two heartbeats", || {
        let beats = notified(&endpoint, "heartbeat");
        (beats.len() >= 2).then_some(beats)
    });
    assert_eq!(told(&beats[0].json(), "events-since-subscription-start"), "0");
    gateway.ask(&Request::new("DELETE", &format!("/fhir/Subscription/{id}")));
    let all_is_done = || {
        let under_way = rows::texts(&gateway, "SELECT id FROM delivery WHERE settled_at IS NULL");
        (rows::count(&gateway, "agenda") == 0 && under_way.is_empty()).then_some(())
    };
    wait::until("the last heartbeat to be through", all_is_done);
    let before = endpoint.received().len();
    create(&gateway, &task("requested"));
    wait::until("nothing to be left to be done", all_is_done);
    let_pass();
    assert_eq!(endpoint.received().len(), before, "a deleted Subscription is silent");
    assert_eq!(rows::count(&gateway, "subscription"), 0);
}
