//! Subscriptions from outside: an endpoint on a real socket is told of changes of Tasks, whatever happens in between.

mod failing;
mod notified;
mod refused;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::endpoint::{Endpoint, Received};
use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::wait;

const TOPIC: &str = "http://hl7.org/fhir/us/davinci-hrex/SubscriptionTopic/Task";

/// How the URLs of the extensions begin.
const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";

/// The settings of a gateway whose partner has this endpoint. Deliveries are tried again soon, and a few times only.
fn settings(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    vec![
        ("CDEX_PARTNER__PAYER__HOSTS", format!("[\"{}\"]", endpoint.url())),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true".to_owned()),
        ("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[0, 1, 1, 1]".to_owned()),
        ("CDEX_DELIVERY__POLL_INTERVAL_MS", "50".to_owned()),
    ]
}

/// A gateway whose partner has this endpoint.
fn gateway(endpoint: &Endpoint) -> Gateway {
    let settings = settings(endpoint);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    Gateway::with(&settings)
}

/// The same on each database that there is.
fn for_each_database(test: impl Fn(Gateway, Endpoint)) {
    let endpoint = Endpoint::start();
    test(gateway(&endpoint), endpoint);
    if let Some(url) = crate::support::postgres::fresh_database() {
        let endpoint = Endpoint::start();
        let mut settings = settings(&endpoint);
        settings.push(("CDEX_DATABASE__URL", url));
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
        test(Gateway::with(&settings), endpoint);
    }
}

fn extension(name: &str, member: &str, value: impl Into<Value>) -> Value {
    json!({"url": format!("{BACKPORT}{name}"), member: value.into()})
}

/// A Subscription to the topic.
fn subscription(url: &str, content: &str) -> Value {
    json!({
        "resourceType": "Subscription",
        "meta": {"profile": [format!("{BACKPORT}backport-subscription")]},
        "status": "requested",
        "reason": "changes of Tasks",
        "criteria": TOPIC,
        "channel": {
            "type": "rest-hook",
            "endpoint": url,
            "header": ["Authorization: Bearer of-the-payer", "X-Watch: tasks"],
            "payload": "application/fhir+json",
            "_payload": {"extension": [extension("backport-payload-content", "valueCode", content)]},
        },
    })
}

/// A Task that the payer asks for.
fn task(status: &str) -> Value {
    json!({
        "resourceType": "Task",
        "status": status,
        "intent": "order",
        "code": {"coding": [{
            "system": "http://example.org/codes", "code": "plain",
        }]},
        "requester": {"identifier": {"system": "http://example.org/payers", "value": "Payer123"}},
    })
}

fn sending(method: &str, path: &str, resource: &Value) -> Request {
    Request::new(method, &format!("/fhir/{path}"))
        .header("Content-Type", "application/fhir+json")
        .body(resource.to_string())
}

/// Creates a resource and gives its id.
#[track_caller]
fn create(gateway: &Gateway, resource: &Value) -> String {
    let name = resource["resourceType"].as_str().expect("a resource says its type");
    let answer = gateway.ask(&sending("POST", name, resource)).expect(201);
    answer.json()["id"].as_str().expect("a stored resource has an id").to_owned()
}

/// Gives a Task its next status.
#[track_caller]
fn move_on(gateway: &Gateway, id: &str, status: &str) {
    let mut next = task(status);
    next["id"] = id.into();
    gateway.ask(&sending("PUT", &format!("Task/{id}"), &next)).expect(200);
}

#[track_caller]
fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// Waits until a Subscription has this status, and gives it.
#[track_caller]
fn wait_for(gateway: &Gateway, id: &str, status: &str) -> Value {
    wait::until(&format!("the Subscription to be {status}"), || {
        Some(read(gateway, &format!("Subscription/{id}"))).filter(|found| found["status"] == status)
    })
}

/// Creates a Subscription and waits until it is active.
#[track_caller]
fn subscribe(gateway: &Gateway, resource: &Value) -> String {
    let id = create(gateway, resource);
    wait_for(gateway, &id, "active");
    id
}

/// The value of a parameter in the status that a notification, or an entry of a searchset, begins with.
fn told<'a>(bundle: &'a Value, name: &str) -> &'a Value {
    let parameters = bundle["entry"][0]["resource"]["parameter"].as_array().expect("parameters");
    let found = parameters.iter().find(|parameter| parameter["name"] == name);
    let value = found.and_then(|parameter| {
        let members = parameter.as_object()?;
        members.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value)
    });
    value.unwrap_or(&Value::Null)
}

/// The numbers of the events that a notification tells, and the ids of their Tasks.
fn events(bundle: &Value) -> Vec<(u64, String)> {
    let parameters = bundle["entry"][0]["resource"]["parameter"].as_array().expect("parameters");
    let events = parameters.iter().filter(|parameter| parameter["name"] == "notification-event");
    events
        .map(|event| {
            let part = |name: &str, member: &str| {
                let parts = event["part"].as_array().expect("parts");
                let part = parts.iter().find(|part| part["name"] == name);
                part.map(|part| part[member].clone()).unwrap_or_default()
            };
            let number = part("event-number", "valueString");
            let focus = part("focus", "valueReference")["reference"].as_str().unwrap_or_default().to_owned();
            let task = focus.rsplit('/').next().unwrap_or_default().to_owned();
            (number.as_str().and_then(|text| text.parse().ok()).expect("a number"), task)
        })
        .collect()
}

/// The notifications of this type that an endpoint was sent.
fn notified(endpoint: &Endpoint, kind: &str) -> Vec<Received> {
    let all = endpoint.received().into_iter();
    all.filter(|received| told(&received.json(), "type") == kind).collect()
}

/// Waits until so many events were told, and gives them in the order of their notifications.
#[track_caller]
fn wait_for_events(endpoint: &Endpoint, count: usize) -> Vec<(u64, String)> {
    wait::until("the events to arrive", || {
        let told = notified(endpoint, "event-notification");
        let all: Vec<_> = told.iter().flat_map(|received| events(&received.json())).collect();
        Some(all).filter(|all| all.len() >= count)
    })
}

/// Long enough for something that should not happen.
fn let_pass() {
    wait::pause(Duration::from_millis(700));
}
