//! What a notification says, word for word, and that what is written can be read again.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::SubscriptionStatus;
use super::notification::{NotificationType, NotifiedEvent, StatusReport, notification, statuses};
use super::terms::PayloadContent;
use super::testing::BASE;
use crate::clock::Timestamp;
use crate::fhir::{StructureMode, check_structure};
use crate::id::NotificationId;

const AT: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn report(events: u64) -> StatusReport<'static> {
    StatusReport { base: BASE, id: "s1", status: SubscriptionStatus::Active, events, error: None }
}

fn event(number: u64, task: &str, is_create: bool) -> NotifiedEvent {
    let resource = Some(Bytes::from_static(
        br#"{"resourceType":"Task","id":"t1","status":"requested","intent":"order"}"#,
    ));
    NotifiedEvent { number, at: AT, task: task.to_owned(), is_create, resource }
}

fn written(
    kind: NotificationType,
    content: PayloadContent,
    events: &[NotifiedEvent],
    id: NotificationId,
) -> Value {
    let all = events.last().map_or(7, |event| event.number);
    let text = notification(&report(all), kind, content, events, (id, AT));
    let tree: Value = serde_json::from_slice(&text).expect("it is JSON");
    let issues = check_structure(&tree, "Bundle", StructureMode::Strict);
    assert!(!issues.iter().any(crate::fhir::Issue::is_error), "{issues:?} {tree}");
    tree
}

fn status_entry(id: NotificationId, parameters: &Value) -> Value {
    json!({
        "fullUrl": format!("urn:uuid:{id}"),
        "resource": {
            "resourceType": "Parameters",
            "id": id.to_string(),
            "meta": {"profile": [
                "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"
            ]},
            "parameter": parameters,
        },
        "request": {"method": "GET", "url": "http://gateway.test/fhir/Subscription/s1/$status"},
        "response": {"status": "200"},
    })
}

fn head(kind: &str, events: &str) -> Vec<Value> {
    vec![
        json!({"name": "subscription", "valueReference": {"reference": "http://gateway.test/fhir/Subscription/s1"}}),
        json!({
            "name": "topic",
            "valueCanonical": "http://hl7.org/fhir/us/davinci-hrex/SubscriptionTopic/Task",
        }),
        json!({"name": "status", "valueCode": "active"}),
        json!({"name": "type", "valueCode": kind}),
        json!({"name": "events-since-subscription-start", "valueString": events}),
    ]
}

fn told(number: &str, focus: Option<&str>) -> Value {
    let mut part = vec![
        json!({"name": "event-number", "valueString": number}),
        json!({"name": "timestamp", "valueInstant": "2023-11-14T22:13:20Z"}),
    ];
    part.extend(focus.map(|focus| json!({"name": "focus", "valueReference": {"reference": focus}})));
    json!({"name": "notification-event", "part": part})
}

fn bundle(entries: &[Value]) -> Value {
    json!({
        "resourceType": "Bundle",
        "meta": {"profile": [
            "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-notification-r4"
        ]},
        "type": "history",
        "timestamp": "2023-11-14T22:13:20Z",
        "entry": entries,
    })
}

#[test]
fn conf_064_a_handshake_and_a_heartbeat_tell_the_status_and_no_events() {
    for (kind, code) in
        [(NotificationType::Handshake, "handshake"), (NotificationType::Heartbeat, "heartbeat")]
    {
        let id = NotificationId::new();
        let expected = bundle(&[status_entry(id, &json!(head(code, "7")))]);
        assert_eq!(written(kind, PayloadContent::FullResource, &[], id), expected);
    }
}

#[test]
fn conf_064_an_event_tells_as_much_as_was_asked_for() {
    let url = "http://gateway.test/fhir/Task/t1";
    let created = json!({
        "fullUrl": url, "request": {"method": "POST", "url": "Task"}, "response": {"status": "201"},
    });
    let mut with_task = created.clone();
    with_task["resource"] =
        json!({"resourceType": "Task", "id": "t1", "status": "requested", "intent": "order"});
    for (content, focus, further) in [
        (PayloadContent::Empty, None, None),
        (PayloadContent::IdOnly, Some(url), Some(created)),
        (PayloadContent::FullResource, Some(url), Some(with_task)),
    ] {
        let id = NotificationId::new();
        let mut parameters = head("event-notification", "17");
        parameters.push(told("17", focus));
        let mut entries = vec![status_entry(id, &json!(parameters))];
        entries.extend(further);
        let kind = NotificationType::EventNotification;
        assert_eq!(written(kind, content, &[event(17, "t1", true)], id), bundle(&entries), "{content:?}");
    }
}

#[test]
fn a_task_with_several_events_has_one_entry() {
    let events = [event(3, "t1", true), event(4, "t2", false), event(5, "t1", false)];
    let kind = NotificationType::QueryEvent;
    let tree = written(kind, PayloadContent::IdOnly, &events, NotificationId::new());
    let entries = tree["entry"].as_array().expect("entries");
    let requests: Vec<_> = entries.iter().skip(1).map(|entry| &entry["request"]).collect();
    assert_eq!(
        requests,
        [&json!({"method": "PUT", "url": "Task/t2"}), &json!({"method": "PUT", "url": "Task/t1"})]
    );
    assert_eq!(entries[0]["resource"]["parameter"].as_array().map(Vec::len), Some(8));
}

#[test]
fn a_status_is_a_searchset_and_tells_what_is_wrong() {
    let id = NotificationId::new();
    let failed = StatusReport {
        status: SubscriptionStatus::Error,
        error: Some("The endpoint does not answer"),
        ..report(2)
    };
    let text = statuses(&[(failed, id), (report(0), NotificationId::new())], AT);
    let tree: Value = serde_json::from_slice(&text).expect("it is JSON");
    let issues = check_structure(&tree, "Bundle", StructureMode::Strict);
    assert!(!issues.iter().any(crate::fhir::Issue::is_error), "{issues:?}");
    assert_eq!((&tree["type"], &tree["total"]), (&json!("searchset"), &json!(2)));
    let first = &tree["entry"][0];
    assert_eq!((&first["search"]["mode"], &first["request"]), (&json!("match"), &Value::Null));
    assert_eq!(first["resource"]["parameter"][2]["valueCode"], "error");
    assert_eq!(first["resource"]["parameter"][3]["valueCode"], "query-status");
    assert_eq!(
        first["resource"]["parameter"][5],
        json!({"name": "error", "valueCodeableConcept": {
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/subscription-error", "code": "no-response",
            }],
            "text": "The endpoint does not answer",
        }})
    );
}

proptest! {
    #[test]
    fn what_is_notified_can_be_read_again(
        numbers in prop::collection::btree_set(1_u64..1_000, 0..8),
        tasks in prop::collection::vec("[a-z]{1,3}", 8),
        content in prop::sample::select(PayloadContent::ALL.to_vec()),
    ) {
        let events: Vec<NotifiedEvent> =
            numbers.iter().zip(&tasks).map(|(number, task)| event(*number, task, number % 2 == 0)).collect();
        let tree = written(NotificationType::EventNotification, content, &events, NotificationId::new());
        let parameters = tree["entry"][0]["resource"]["parameter"].as_array().expect("parameters").clone();
        let part = |parameter: &Value, name: &str| {
            let parts = parameter["part"].as_array().expect("parts");
            parts.iter().find(|part| part["name"] == name).cloned()
        };
        let read: Vec<(u64, Option<String>)> = parameters
            .iter()
            .filter(|parameter| parameter["name"] == "notification-event")
            .map(|parameter| {
                let number = part(parameter, "event-number").expect("a number")["valueString"].clone();
                let focus = part(parameter, "focus")
                    .map(|focus| focus["valueReference"]["reference"].as_str().unwrap_or_default().to_owned());
                (number.as_str().and_then(|text| text.parse().ok()).unwrap_or(0), focus)
            })
            .collect();
        let expected: Vec<(u64, Option<String>)> = events
            .iter()
            .map(|event| {
                let focus = (content != PayloadContent::Empty).then(|| format!("{BASE}/Task/{}", event.task));
                (event.number, focus)
            })
            .collect();
        prop_assert_eq!(read, expected);
        let full: usize = tree["entry"].as_array().map_or(0, |entries| {
            entries.iter().skip(1).filter(|entry| entry.get("resource").is_some()).count()
        });
        prop_assert_eq!(full > 0, content == PayloadContent::FullResource && !events.is_empty());
    }
}
