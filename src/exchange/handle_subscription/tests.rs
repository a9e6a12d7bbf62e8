//! Subscriptions inside the gateway, with a clock that is turned by hand: timers, isolation, and what each errand
//! leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::auth::{AccessToken, Credentials};
use crate::clock::Clock;
use crate::config::{Config, Secret};
use crate::db::Db;
use crate::db::testing::for_each_database;
use crate::delivery::{
    BreakerSettings, Deliveries, Destination, EndpointDestination, Schedule, WorkerSettings,
};
use crate::exchange::store_resource::Received;
use crate::exchange::testing::Gateway as Bare;
use crate::outbound::Reach;
use crate::outbound::testing::{FakeServer, Reply};
use crate::partner::{PartnerSettings, Partners};
use crate::subscription::testing::subscription as asked_for;

const TENANT: &str = "default";

/// A gateway and the endpoint of its partner.
struct Gateway {
    bare: Bare,
    server: FakeServer,
    /// The status of the endpoint's next answers.
    answers: Arc<AtomicU16>,
    /// How many of its requests were looked at.
    looked_at: AtomicUsize,
}

impl std::ops::Deref for Gateway {
    type Target = Bare;

    fn deref(&self) -> &Bare {
        &self.bare
    }
}

async fn gateway(db: &Db) -> Gateway {
    let answers = Arc::new(AtomicU16::new(200));
    let status = answers.clone();
    let server = FakeServer::start(move |_| Reply::new(status.load(Ordering::SeqCst), "", "")).await;
    let bare = partnered(db, server.url(), vec![Duration::ZERO]);
    Gateway { bare, server, answers, looked_at: AtomicUsize::new(0) }
}

/// A gateway with one partner, whose server is at `url` and is tried after each of these delays.
pub(super) fn partnered(db: &Db, url: &str, delays: Vec<Duration>) -> Bare {
    let config = Config::defaults_in(std::path::Path::new("/srv/gateway")).expect("sound defaults");
    let settings = PartnerSettings {
        name: "payer".to_owned(),
        client_id: None,
        identifiers: Vec::new(),
        fhir_base: None,
        submit_url: None,
        urls: vec![url.to_owned()],
        reach: Reach::Everywhere,
        credentials: Credentials::Token(Secret::new("s"), AccessToken::new("s").expect("a token")),
        policy: config.policy.clone(),
    };
    Bare::with(db, |exchange| {
        let clock = exchange.clock.clone();
        let partners = Partners::new(vec![settings], config.policy, &clock).expect("partners");
        let destinations = partners.iter().map(|partner| {
            let endpoint: Arc<dyn Destination> = Arc::new(EndpointDestination::new(partner.clone()));
            (partner.target(), endpoint)
        });
        let destinations: HashMap<_, _> = destinations.collect();
        let worker = WorkerSettings {
            concurrency: 4,
            concurrency_per_target: 4,
            concurrency_of: HashMap::new(),
            breaker: BreakerSettings {
                failures: u32::MAX,
                pause: Duration::from_secs(10),
                longest_pause: Duration::from_mins(5),
            },
            stall_timeout: Duration::from_mins(5),
            lease: Duration::from_secs(15),
            poll_interval: Duration::from_secs(1),
            name: "test".to_owned(),
        };
        exchange.deliveries = Arc::new(Deliveries::new(
            exchange.db.clone(),
            clock,
            exchange.uploads.clone(),
            destinations,
            Schedule::new(delays),
            worker,
            exchange.agenda.clone(),
        ));
        exchange.partners = Arc::new(partners);
    })
}

impl Gateway {
    /// A Subscription whose endpoint is the partner's.
    fn asking(&self, content: &str) -> Value {
        asked_for(&format!("{}/hook", self.server.url()), content)
    }

    /// What the endpoint was sent since this was asked last: types, and the numbers of events.
    fn heard(&self) -> Vec<String> {
        let seen = self.server.seen();
        let before = self.looked_at.swap(seen.len(), Ordering::SeqCst);
        seen[before..].iter().map(|request| heard(&request.body)).collect()
    }
}

fn heard(body: &str) -> String {
    let (kind, numbers) = told(body);
    if numbers.is_empty() { kind } else { numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",") }
}

/// The type of a notification, and the numbers of the events that it tells.
pub(super) fn told(body: &str) -> (String, Vec<u64>) {
    let bundle: Value = serde_json::from_str(body).expect("a notification is JSON");
    let parameters = bundle["entry"][0]["resource"]["parameter"].as_array().expect("parameters").clone();
    let events = parameters.iter().filter(|parameter| parameter["name"] == "notification-event");
    let number = |event: &Value| event["part"][0]["valueString"].as_str().and_then(|text| text.parse().ok());
    (parameters[3]["valueCode"].as_str().unwrap_or_default().to_owned(), events.filter_map(number).collect())
}

fn access(owner: &str) -> Access {
    Access::of_owner(TENANT, owner)
}

/// Keeps a version of a resource, with the errands that it begets.
pub(super) async fn keep(
    gateway: &Bare,
    owner: &'static str,
    resource_type: &'static str,
    id: &str,
    tree: &Value,
) {
    let exchange = &gateway.exchange;
    let draft = Draft {
        resource_type,
        id: id.to_owned(),
        text: tree.to_string().into(),
        entries: Vec::new(),
        bytes: None,
        errands: exchange.errands_of(resource_type, tree),
    };
    let now = exchange.clock.now();
    let kept: Result<_, DbError> = exchange
        .db
        .write(draft, move |draft, tx| {
            let drafts = [(draft.clone(), Precondition::None)];
            Box::pin(async move { repository::keep(tx, &access(owner), &drafts, true, now).await })
        })
        .await;
    assert!(matches!(kept.expect("it is written")[..], [Kept::Created(_) | Kept::Updated(_)]));
}

/// Lets everything be delivered and followed; says what the endpoint heard.
async fn settle(gateway: &Gateway) -> Vec<String> {
    gateway.run_agenda().await;
    while gateway.exchange.deliveries.run_due_work().await.expect("the worker works") > 0 {
        gateway.run_agenda().await;
    }
    gateway.heard()
}

pub(super) async fn status(gateway: &Bare, owner: &str, id: &str) -> (String, u64) {
    let mut reader = gateway.exchange.db.reader().await.expect("a reader");
    let found = repository::read(&mut reader.tx(), &access(owner), SUBSCRIPTION, id).await;
    let found = found.expect("it is read").expect("it is there");
    let tree = fhir::parse(&found.content.expect("it is no deletion")).expect("it is JSON");
    (tree["status"].as_str().unwrap_or_default().to_owned(), found.version)
}

pub(super) async fn row(gateway: &Bare, owner: &str, id: &str) -> Option<Subscription> {
    let mut reader = gateway.exchange.db.reader().await.expect("a reader");
    subscription::find(&mut reader.tx(), &access(owner), id).await.expect("it is read")
}

/// An active subscription.
async fn active(gateway: &Gateway, owner: &'static str, id: &str, resource: &Value) {
    keep(gateway, owner, SUBSCRIPTION, id, resource).await;
    assert_eq!(settle(gateway).await, ["handshake"]);
    assert_eq!(status(gateway, owner, id).await.0, "active");
}

pub(super) fn task(status: &str) -> Value {
    json!({"resourceType": "Task", "status": status, "intent": "order"})
}

#[tokio::test]
async fn a_heartbeat_is_sent_when_nothing_else_was_for_its_period() {
    for_each_database(|db| async move {
        let gateway = gateway(&db).await;
        let mut resource = gateway.asking("id-only");
        let url =
            "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-heartbeat-period";
        resource["channel"]["extension"] = json!([{"url": url, "valueUnsignedInt": 60}]);
        active(&gateway, "anna", "s1", &resource).await;
        let silence = Vec::<String>::new();
        gateway.clock.advance(Duration::from_secs(59));
        assert_eq!(settle(&gateway).await, silence);
        gateway.clock.advance(Duration::from_secs(1));
        assert_eq!(settle(&gateway).await, ["heartbeat"]);
        gateway.clock.advance(Duration::from_secs(30));
        keep(&gateway, "anna", "Task", "t1", &task("requested")).await;
        assert_eq!(settle(&gateway).await, ["1"]);
        gateway.clock.advance(Duration::from_secs(59));
        assert_eq!(settle(&gateway).await, silence, "an event is as good");
        gateway.clock.advance(Duration::from_secs(1));
        gateway.run_agenda().await;
        gateway.clock.advance(Duration::from_mins(1));
        assert_eq!(settle(&gateway).await, ["heartbeat"], "one that is on its way is as good as one more");
    })
    .await;
}

#[tokio::test]
async fn a_subscription_ends_at_its_end_unless_that_was_moved() {
    for_each_database(|db| async move {
        let gateway = gateway(&db).await;
        let ending = |seconds: u64| {
            let mut resource = gateway.asking("id-only");
            resource["end"] = gateway.clock.now().after(Duration::from_secs(seconds)).to_string().into();
            resource
        };
        active(&gateway, "anna", "s1", &ending(60)).await;
        active(&gateway, "anna", "s2", &ending(60)).await;
        active(&gateway, "anna", "s2", &ending(120)).await;
        gateway.clock.advance(Duration::from_mins(1));
        gateway.run_agenda().await;
        assert_eq!(status(&gateway, "anna", "s1").await.0, "off");
        assert_eq!(status(&gateway, "anna", "s2").await.0, "active");
        keep(&gateway, "anna", "Task", "t1", &task("requested")).await;
        assert_eq!(settle(&gateway).await, ["1"], "one of them is told");
        gateway.clock.advance(Duration::from_mins(1));
        gateway.run_agenda().await;
        assert_eq!(status(&gateway, "anna", "s2").await.0, "off");
    })
    .await;
}

#[tokio::test]
async fn a_subscription_hears_of_its_owners_tasks_alone() {
    for_each_database(|db| async move {
        let gateway = gateway(&db).await;
        active(&gateway, "anna", "s1", &gateway.asking("full-resource")).await;
        active(&gateway, "bert", "s2", &gateway.asking("full-resource")).await;
        keep(&gateway, "anna", "Task", "t1", &task("requested")).await;
        assert_eq!(settle(&gateway).await, ["1"]);
        assert_eq!(row(&gateway, "anna", "s1").await.map(|found| found.events), Some(1));
        assert_eq!(row(&gateway, "bert", "s2").await.map(|found| found.events), Some(0));
        assert_eq!(row(&gateway, "anna", "s2").await, None);
    })
    .await;
}

#[tokio::test]
async fn as_many_events_as_are_allowed_are_told_at_once() {
    for_each_database(|db| async move {
        let gateway = gateway(&db).await;
        let mut resource = gateway.asking("id-only");
        let url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-max-count";
        resource["channel"]["extension"] = json!([{"url": url, "valuePositiveInt": 3}]);
        active(&gateway, "anna", "s1", &resource).await;
        gateway.answers.store(410, Ordering::SeqCst);
        keep(&gateway, "anna", "Task", "t1", &task("requested")).await;
        assert_eq!(settle(&gateway).await, ["1"]);
        for number in 2..=40 {
            keep(&gateway, "anna", "Task", &format!("t{number}"), &task("requested")).await;
        }
        assert_eq!(settle(&gateway).await, Vec::<String>::new(), "nothing is sent in error");
        gateway.answers.store(200, Ordering::SeqCst);
        keep(&gateway, "anna", SUBSCRIPTION, "s1", &resource).await;
        let heard = settle(&gateway).await;
        let expected: Vec<String> = (1..=40_u32)
            .collect::<Vec<_>>()
            .chunks(3)
            .map(|some| some.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!((&*heard[0], &heard[1..]), ("handshake", &expected[..]));
    })
    .await;
}

#[tokio::test]
async fn what_did_not_arrive_is_told_once_it_is_asked_for_again() {
    for_each_database(|db| async move {
        let gateway = gateway(&db).await;
        let resource = gateway.asking("id-only");
        active(&gateway, "anna", "s1", &resource).await;
        let told = |found: Option<Subscription>| found.map(|found| (found.events, found.waiting));
        gateway.answers.store(503, Ordering::SeqCst);
        for status in ["requested", "accepted", "in-progress"] {
            keep(&gateway, "anna", "Task", "t1", &task(status)).await;
        }
        gateway.run_agenda().await;
        assert_eq!(told(row(&gateway, "anna", "s1").await), Some((3, 0)));
        settle(&gateway).await;
        assert_eq!(status(&gateway, "anna", "s1").await, ("error".to_owned(), 3));
        assert_eq!(told(row(&gateway, "anna", "s1").await), Some((3, 3)));

        gateway.answers.store(200, Ordering::SeqCst);
        keep(&gateway, "anna", SUBSCRIPTION, "s1", &resource).await;
        assert_eq!(settle(&gateway).await, ["handshake", "1", "2", "3"]);
        assert_eq!(told(row(&gateway, "anna", "s1").await), Some((3, 0)));
    })
    .await;
}

#[tokio::test]
async fn what_follows_an_earlier_asking_changes_nothing() {
    for_each_database(|db| async move {
        let gateway = gateway(&db).await;
        let resource = gateway.asking("id-only");
        keep(&gateway, "anna", SUBSCRIPTION, "s1", &resource).await;
        gateway.run_agenda().await;
        gateway.answers.store(410, Ordering::SeqCst);
        gateway.exchange.deliveries.run_due_work().await.expect("the worker works");
        // The client asks again before anybody has looked at the failure.
        gateway.answers.store(200, Ordering::SeqCst);
        keep(&gateway, "anna", SUBSCRIPTION, "s1", &resource).await;
        assert_eq!(settle(&gateway).await, ["handshake", "handshake"]);
        assert_eq!(status(&gateway, "anna", "s1").await, ("active".to_owned(), 3));
    })
    .await;
}

#[test]
fn what_a_delivery_is_followed_by_is_read_as_it_was_written() {
    let told = Told { range: (3, 17), at: Timestamp::from_nanos(1_700_000_000_000_000_001) };
    for purpose in [Purpose::Handshake, Purpose::Heartbeat, Purpose::Events(told)] {
        let text = purpose.followed_by("s-1.x", 7);
        let rest = text.strip_prefix("Subscription/").expect("its prefix");
        assert_eq!(Purpose::parse(rest), Some(("s-1.x", 7, purpose)));
    }
    for text in ["", "s1", "s1/1", "s1/x/handshake", "s1/1/greeting", "s1/1/events/1-2", "s1/1/events/a-b@1"]
    {
        assert_eq!(Purpose::parse(text), None, "{text}");
    }
}

#[test]
fn only_the_gateway_says_that_a_subscription_is_active_or_what_is_wrong_with_it() {
    for (sent, kept) in [
        (r#"{"status":"active","n":1.00}"#, Some(r#"{"status":"requested","n":1.00}"#)),
        (r#"{"status":"requested","error":"x"}"#, Some(r#"{"status":"requested"}"#)),
        (r#"{"error":"x","status":"off"}"#, Some(r#"{"status":"off"}"#)),
        (r#"{"status":"requested"}"#, None),
        (r#"{"status":"off"}"#, None),
    ] {
        let tree = serde_json::from_str(sent).expect("it is JSON");
        let changed = requested(SUBSCRIPTION, &Received::of_text(sent.into(), tree));
        let text = changed.as_ref().map(|changed| String::from_utf8_lossy(&changed.text).into_owned());
        assert_eq!(text.as_deref(), kept, "{sent}");
        if let Some(changed) = changed {
            let again: Value = serde_json::from_slice(&changed.text).expect("it is JSON");
            assert_eq!(changed.tree, again);
        }
    }
    let task = Received::of_text("{}".into(), json!({"status": "active"}));
    assert!(requested("Task", &task).is_none());
}
