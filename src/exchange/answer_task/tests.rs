//! Answers that come too late, and Tasks whose time is over, on both databases and with a clock turned by hand.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::agenda::{self, Errand};
use crate::db::Db;
use crate::db::testing::for_each_database;
use crate::exchange::interaction::{Call, Content, Done, Method};
use crate::exchange::precondition::Conditions;
use crate::exchange::store_resource::Received;
use crate::exchange::testing::Gateway;
use crate::fhir::Address;

const LEASE: Duration = Duration::from_mins(10);

fn requester() -> Requester {
    let base = "http://gateway.example/fhir".into();
    Requester { caller: Caller::anonymous(), request_id: "request-1".to_owned(), base }
}

async fn keep(
    gateway: &Gateway,
    method: Method,
    address: Address,
    resource: &Value,
) -> Result<Value, InteractionError> {
    let received = Received::of_text(resource.to_string().into(), resource.clone());
    let call = Call {
        method,
        address,
        parameters: Vec::new(),
        conditions: Conditions::default(),
        strict: false,
        content: Content::Here(received),
    };
    match gateway.exchange.interact(&requester(), call).await? {
        Done::Created(stored) | Done::Updated(stored) => {
            let text = stored.resource.content.expect("it was kept");
            Ok(fhir::parse(&text).expect("it is JSON"))
        }
        done => panic!("{done:?}"),
    }
}

async fn create(gateway: &Gateway, resource: &Value) -> Value {
    let name = resource["resourceType"].as_str().and_then(fhir::resource_type).expect("it has a type");
    keep(gateway, Method::Post, Address::Type(name), resource).await.expect("it is kept")
}

async fn put(gateway: &Gateway, task: &Value) -> Value {
    let id = task["id"].as_str().expect("it has an id").to_owned();
    keep(gateway, Method::Put, Address::Instance("Task", id), task).await.expect("it is kept")
}

/// A query about a patient who has one condition.
async fn data_request(gateway: &Gateway) -> Value {
    let patient = create(gateway, &json!({ "resourceType": "Patient" })).await;
    let patient = format!("Patient/{}", patient["id"].as_str().expect("an id"));
    let condition =
        json!({ "resourceType": "Condition", "code": { "text": "x" }, "subject": { "reference": patient } });
    create(gateway, &condition).await;
    create(
        gateway,
        &json!({
            "resourceType": "Task", "status": "requested", "intent": "order",
            "code": { "coding": [{ "system": crate::cdex::task::CDEX_TEMP, "code": "data-request-query" }] },
            "for": { "reference": patient }, "authoredOn": "2026-01-01T00:00:00Z",
            "requester": { "identifier": { "value": "p" } }, "owner": { "identifier": { "value": "o" } },
            "input": [{
                "type": { "coding": [{ "system": crate::cdex::task::HREX_TEMP, "code": "data-query" }] },
                "valueString": "Condition",
            }],
        }),
    )
    .await
}

/// What is due; whether anybody waits for a patient is no matter here.
async fn due(gateway: &Gateway) -> Vec<Item> {
    let now = gateway.exchange.clock.now();
    let taken = gateway.exchange.db.write((), move |(), tx| Box::pin(agenda::take(tx, now, LEASE, 10))).await;
    let mut taken = taken.map_err(|error: DbError| error).expect("the agenda is there");
    taken.retain(|item| item.errand != Errand::MatchDocument);
    taken
}

async fn answer_of(gateway: &Gateway, item: &Item) -> (Open, Answer) {
    let open = gateway.exchange.open_task(item).await.expect("it reads").expect("it is to be answered");
    match gateway.exchange.answer(item, &open).await {
        Ok(Some(answer)) => (open, answer),
        _ => panic!("there is an answer"),
    }
}

async fn count(db: &Db, kind: &str) -> usize {
    let mut reader = db.reader().await.expect("a reader");
    let of = repository::HistoryOf::Type(fhir::resource_type(kind).expect("a type"));
    let history = repository::History { of, since: None, at: None, count: 100, after: None };
    let access = Caller::anonymous().access();
    repository::history(&mut reader.tx(), &access, &history).await.expect("a history").0.len()
}

async fn task(gateway: &Gateway, id: &str) -> Value {
    let mut reader = gateway.exchange.db.reader().await.expect("a reader");
    let access = Caller::anonymous().access();
    let there = repository::read(&mut reader.tx(), &access, "Task", id).await.expect("it reads");
    fhir::parse(&there.and_then(|there| there.content).expect("it is there")).expect("it is JSON")
}

#[tokio::test]
async fn an_answer_to_a_task_that_somebody_changed_meanwhile_is_dropped() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let mut created = data_request(&gateway).await;
        let item = due(&gateway).await.pop().expect("the Task is to be answered");
        let (open, answer) = answer_of(&gateway, &item).await;
        created["status"] = json!("rejected");
        created["statusReason"] = json!({ "text": "no" });
        put(&gateway, &created).await;
        gateway.exchange.give_answer(&item, &open, answer).await.expect("it is settled");
        assert_eq!((count(&db, "Task").await, count(&db, "Bundle").await), (2, 0));
        assert_eq!(task(&gateway, &open.id).await["status"], "rejected");
        gateway.clock.advance(LEASE * 2);
        assert!(due(&gateway).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn whoever_held_an_item_too_long_changes_nothing() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        data_request(&gateway).await;
        let late = due(&gateway).await.pop().expect("the Task is to be answered");
        let (open, answer) = answer_of(&gateway, &late).await;
        gateway.clock.advance(LEASE * 2);
        let item = due(&gateway).await.pop().expect("it is taken again");
        gateway.exchange.give_answer(&late, &open, answer).await.expect("nothing is done");
        assert_eq!((count(&db, "Task").await, count(&db, "Bundle").await), (1, 0));
        gateway.exchange.answer_task(&item).await.expect("it is answered");
        assert_eq!((count(&db, "Task").await, count(&db, "Bundle").await), (4, 1));
        assert_eq!(task(&gateway, &open.id).await["status"], "completed");
    })
    .await;
}

#[tokio::test]
async fn a_task_gets_its_tag_when_its_time_is_over_and_not_before() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let mut created = data_request(&gateway).await;
        for item in due(&gateway).await {
            gateway.exchange.forget(&item).await.expect("it is forgotten");
        }
        created["restriction"] = json!({ "period": { "end": "2026-05-06" } });
        created["status"] = json!("on-hold");
        let mut changed = put(&gateway, &created).await;
        let id = changed["id"].as_str().expect("an id").to_owned();
        let follow = async |gateway: &Gateway| {
            let items = due(gateway).await;
            for item in &items {
                assert_eq!(item.errand, Errand::RemindTask);
                gateway.exchange.remind_task(item).await.expect("it is looked at");
            }
            items.len()
        };
        assert_eq!(follow(&gateway).await, 1);
        assert_eq!(follow(&gateway).await, 0, "it waits for its moment");
        // An earlier moment does not wait for the later one.
        changed["restriction"]["period"]["end"] = json!("2026-05-05");
        put(&gateway, &changed).await;
        assert_eq!(follow(&gateway).await, 1);
        assert_eq!(follow(&gateway).await, 0);
        gateway.clock.advance(Duration::from_hours(10));
        assert_eq!(follow(&gateway).await, 1);
        let tagged = task(&gateway, &id).await;
        assert_eq!(tagged["meta"]["tag"], json!([{ "system": tag::TAGS, "code": tag::OVERDUE }]));
        assert_eq!(tagged["meta"]["versionId"], "4");
        // The version with the tag, and the moment that was, change nothing any more.
        gateway.clock.advance(Duration::from_hours(48));
        while follow(&gateway).await > 0 {}
        assert_eq!(task(&gateway, &id).await["meta"]["versionId"], "4");
    })
    .await;
}

/// The outputs that a query about somebody with three conditions of this length is answered with, and the Bundle.
async fn answered(gateway: &Gateway, query: &str, note: &str) -> (Value, Option<Value>) {
    let mut created = data_request(gateway).await;
    for _ in 0..2 {
        let condition = json!({
            "resourceType": "Condition", "code": { "text": "x" }, "subject": created["for"],
            "note": [{ "text": note }],
        });
        create(gateway, &condition).await;
    }
    created["input"][0]["valueString"] = json!(query);
    if let Some(created) = created.as_object_mut() {
        created.remove("id");
    }
    let created = create(gateway, &created).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    for item in due(gateway).await {
        gateway.exchange.answer_task(&item).await.expect("it is answered");
    }
    let task = task(gateway, &id).await;
    let output = task["output"][0]["valueReference"]["reference"].as_str().unwrap_or_default().to_owned();
    let Some(("Bundle", id)) = output.split_once('/') else { return (task, None) };
    let mut reader = gateway.exchange.db.reader().await.expect("a reader");
    let access = Caller::anonymous().access();
    let bundle = repository::read(&mut reader.tx(), &access, "Bundle", id).await.expect("it reads");
    let bundle = bundle.and_then(|bundle| bundle.content).expect("it is there");
    (task, Some(fhir::parse(&bundle).expect("it is JSON")))
}

#[tokio::test]
async fn parameters_of_the_result_do_not_keep_a_query_from_being_answered() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        for (query, entries) in [
            ("Condition", 3),
            ("Condition?_count=2", 2),
            ("Condition?_count=5000", 3),
            ("Condition?_count=0", 0),
            ("Condition?_summary=count", 0),
            ("Condition?_elements=code&_summary=true&_total=none&_format=xml", 3),
            ("Condition?_sort=-_lastUpdated&_count=1", 1),
        ] {
            let (task, bundle) = answered(&gateway, query, "short").await;
            assert_eq!(task["status"], "completed", "{query}: {task}");
            let bundle = bundle.expect(query);
            assert_eq!(bundle["total"], 3, "{query}");
            assert_eq!(bundle["entry"].as_array().map_or(0, Vec::len), entries, "{query}");
        }
        for query in ["Condition?_count=many", "Condition?_sort=nothing"] {
            let (task, _) = answered(&gateway, query, "short").await;
            assert_eq!(task["status"], "failed", "{query}");
        }
        // That there is nothing is told in the same way, however little was asked for.
        let (task, _) = answered(&gateway, "Condition?_count=0&code=unheard-of", "short").await;
        assert_eq!((&task["status"], &task["statusReason"]["text"]), (&json!("failed"), &json!(NO_RESULTS)));
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_for_one_bundle_is_answered_by_references() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let (task, bundle) = answered(&gateway, "Condition", &"x".repeat(9 << 20)).await;
        assert_eq!((&task["status"], bundle), (&json!("completed"), None));
        let outputs = task["output"].as_array().expect("outputs");
        assert_eq!(outputs.len(), 3);
        for output in outputs {
            let reference = output["valueReference"]["reference"].as_str().expect("a reference");
            assert!(reference.starts_with("Condition/"), "{reference}");
        }
    })
    .await;
}

#[tokio::test]
async fn under_review_each_step_that_means_acceptance_is_answered_and_nothing_before() {
    for_each_database(|db| async move {
        let gateway = Gateway::with(&db, |exchange| {
            let config = crate::config::Config::defaults_in(std::path::Path::new("/srv/gateway"));
            let mut policy = config.expect("the defaults").policy;
            policy.tasks = TaskPolicy::Review;
            let partners = crate::partner::Partners::new(Vec::new(), policy, &exchange.clock);
            exchange.partners = Arc::new(partners.expect("no partner needs a client"));
        });
        for (steps, expected) in [
            (&[][..], "requested"),
            (&["accepted"][..], "completed"),
            (&["in-progress"][..], "completed"),
            (&["on-hold"][..], "on-hold"),
            (&["on-hold", "in-progress"][..], "completed"),
        ] {
            let mut created = data_request(&gateway).await;
            for status in steps {
                created["status"] = json!(status);
                created = put(&gateway, &created).await;
            }
            // Each version has its item, one after the other.
            while let Some(item) = due(&gateway).await.pop() {
                gateway.exchange.answer_task(&item).await.expect("it is looked at");
            }
            let id = created["id"].as_str().expect("an id");
            assert_eq!(task(&gateway, id).await["status"], expected, "{steps:?}");
        }
    })
    .await;
}
