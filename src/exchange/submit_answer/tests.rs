//! Answers on both databases, with a clock that is turned by hand: once for each errand, whoever comes late; and Tasks
//! that wait cost nothing while none does.

use crate::auth::Caller;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::cdex::attachment_request::tests::full;
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::delivery;
use crate::exchange::store_resource::Received;
use crate::exchange::testing::Gateway;
use crate::partner::{PartnerSettings, Partners};
use crate::repository::{Kept, StoredResource};

/// A gateway that knows the payer of the request, though it never calls it.
fn gateway(db: &Db) -> Gateway {
    Gateway::with(db, |exchange| {
        let config =
            crate::config::Config::defaults_in(std::path::Path::new("/srv/gateway")).expect("the defaults");
        let payer = PartnerSettings {
            name: "payer".to_owned(),
            client_id: None,
            identifiers: Vec::new(),
            fhir_base: None,
            submit_url: None,
            urls: vec!["https://payer.example/fhir".to_owned()],
            reach: crate::outbound::Reach::Public,
            credentials: crate::auth::Credentials::None,
            policy: config.policy.clone(),
        };
        let partners = Partners::new(vec![payer], config.policy, &exchange.clock).expect("partners");
        exchange.partners = Arc::new(partners);
    })
}

fn anybody() -> Access {
    Caller::anonymous().access()
}

/// Keeps a resource as a door does, errands and all.
async fn keep(gateway: &Gateway, resource_type: &'static str, id: &str, resource: Value) -> StoredResource {
    let exchange = &gateway.exchange;
    let requester = exchange.requester(&anybody());
    let received = Received::of_text(resource.to_string().into(), resource);
    let draft = exchange.draft(&requester, resource_type, id.to_owned(), &received).draft;
    gateway.clock.advance(Duration::from_millis(5));
    let now = exchange.clock.now();
    let state = (anybody(), [(draft, Precondition::None)]);
    let kept: Result<_, DbError> = exchange
        .db
        .write(state, move |(access, drafts), tx| Box::pin(repository::keep(tx, access, drafts, true, now)))
        .await;
    match kept.expect("it is kept").pop() {
        Some(Kept::Created(resource) | Kept::Updated(resource)) => resource,
        other => panic!("{other:?}"),
    }
}

/// Takes what is due.
async fn due(gateway: &Gateway) -> Vec<Item> {
    let now = gateway.exchange.clock.now();
    let lease = Duration::from_mins(10);
    let taken: Result<_, DbError> =
        gateway.exchange.db.write((), move |(), tx| Box::pin(agenda::take(tx, now, lease, 20))).await;
    taken.expect("the agenda is read")
}

/// Does all that is due, and gives the errands in their order, without those of the payer's side.
async fn run(gateway: &Gateway) -> Vec<Errand> {
    let mut done = Vec::new();
    loop {
        let items = due(gateway).await;
        if items.is_empty() {
            return done;
        }
        for item in items {
            done.extend(Some(item.errand).filter(|errand| *errand != Errand::Associate));
            gateway.exchange.follow(item).await;
        }
    }
}

async fn task(gateway: &Gateway) -> Value {
    let mut reader = gateway.exchange.db.reader().await.expect("a reader");
    let found = repository::read(&mut reader.tx(), &anybody(), "Task", "t1").await.expect("it reads");
    tree_of(&found.expect("the Task is there")).expect("it is JSON")
}

async fn stage(gateway: &Gateway) -> String {
    let code = task(gateway).await["businessStatus"]["coding"][0]["code"].take();
    code.as_str().unwrap_or_default().to_owned()
}

async fn answers(gateway: &Gateway) -> Vec<Answer> {
    let mut reader = gateway.exchange.db.reader().await.expect("a reader");
    store::list(&mut reader.tx(), &anybody(), "t1").await.expect("it reads")
}

/// A document that says that it is meant for the request, by its tracking id.
fn meant(code: &str) -> Value {
    json!({ "resourceType": "DocumentReference", "status": "current",
        "type": { "coding": [{ "system": "http://loinc.org", "code": code }] },
        "context": { "related": [{ "identifier": { "system": "urn:t", "value": "T1" } }] },
        "content": [{ "attachment": { "contentType": "text/plain", "data": "eA==" } }] })
}

/// A request for one document.
fn asked() -> Value {
    let mut task = full();
    let inputs = task["input"].as_array_mut().expect("inputs");
    inputs.truncate(4);
    inputs.remove(2);
    task
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

#[tokio::test]
async fn an_errand_that_two_workers_have_sends_once() {
    for_each_database(|db| async move {
        let gateway = gateway(&db);
        keep(&gateway, "DocumentReference", "d1", meant("11506-3")).await;
        keep(&gateway, "Task", "t1", asked()).await;
        let items = due(&gateway).await;
        let item =
            items.iter().find(|item| item.errand == Errand::SubmitAttachments).expect("the Task's errand");
        gateway.exchange.submit_attachments(item).await.expect("it is done");
        gateway.exchange.submit_attachments(item).await.expect("it is too late");
        assert_eq!(answers(&gateway).await.len(), 1);
        assert_eq!(task(&gateway).await["meta"]["versionId"], "3", "accepted, then in-progress");
        let mut reader = db.reader().await.expect("a reader");
        let counts = delivery::counts(&mut reader.tx(), &anybody()).await.expect("it counts");
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1);
        assert!(run(&gateway).await.is_empty(), "our own versions need no errand");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_changes_while_it_is_answered_is_answered_as_it_is_then() {
    for_each_database(|db| async move {
        let gateway = gateway(&db);
        keep(&gateway, "Task", "t1", asked()).await;
        let item = due(&gateway).await.remove(0);
        let present = gateway.exchange.present_task(&item).await.expect("it reads").expect("the Task");
        let step = Advance::to(TaskStatus::InProgress, Stage::new("submitting", "x"));
        let now = gateway.exchange.clock.now();
        let drafts = gateway.exchange.drafts(&anybody(), &present, &step, now);
        let mut rejected = asked();
        rejected["status"] = "rejected".into();
        keep(&gateway, "Task", "t1", rejected).await;
        let (names, access) = (Names::new(), anybody());
        let unit = Unit {
            item,
            access,
            task: "t1".to_owned(),
            version: present.version,
            drafts,
            sent: None,
            names,
            audit: None,
            now,
        };
        let written: Result<Written, DbError> = db.write(unit, |unit, tx| Box::pin(unit.write(tx))).await;
        assert_eq!(written.expect("it writes"), Written::Changed);
        assert_eq!(task(&gateway).await["status"], "rejected");
        run(&gateway).await;
        assert_eq!(task(&gateway).await["meta"]["versionId"], "2");
    })
    .await;
}

#[tokio::test]
async fn a_document_finds_the_task_that_waits_and_begets_no_errand_where_none_does() {
    for_each_database(|db| async move {
        let gateway = gateway(&db);
        let errands = |gateway: &Gateway| gateway.exchange.errands_of("DocumentReference", &meant("x")).len();
        let is_shared = db.dialect() == crate::db::Dialect::Postgres;
        assert_eq!(errands(&gateway), usize::from(is_shared));
        gateway.exchange.awaiting.begin();
        assert_eq!(errands(&gateway), 1);
        keep(&gateway, "DocumentReference", "d0", json!({ "resourceType": "DocumentReference" })).await;
        run(&gateway).await;
        assert_eq!(errands(&gateway), usize::from(is_shared), "it was seen that nobody waits");

        keep(&gateway, "Task", "t1", asked()).await;
        let looks = run(&gateway).await;
        assert_eq!(looks, [Errand::SubmitAttachments; 2], "once more after it is known to wait");
        assert_eq!(stage(&gateway).await, "waiting-for-patient");
        assert_eq!(errands(&gateway), 1);

        keep(&gateway, "DocumentReference", "d1", meant("11506-3")).await;
        assert_eq!(run(&gateway).await, [Errand::MatchDocument, Errand::SubmitAttachments]);
        assert_eq!(answers(&gateway).await.len(), 1);
        assert_eq!(task(&gateway).await["businessStatus"]["coding"][0]["code"], "submitting");
    })
    .await;
}

#[tokio::test]
async fn a_patient_who_is_missing_is_told_and_who_comes_or_is_put_right_wakes_the_task() {
    for_each_database(|db| async move {
        let gateway = gateway(&db);
        let mut document = meant("11506-3");
        document["context"] = json!({});
        document["subject"] = json!({ "reference": "Patient/p1" });
        keep(&gateway, "DocumentReference", "d1", document).await;
        let mut task = asked();
        task["contained"][0]["birthDate"] = "1987-02-20".into();
        keep(&gateway, "Task", "t1", task.clone()).await;
        run(&gateway).await;
        assert_eq!(stage(&gateway).await, "waiting-for-patient");

        // Somebody born that day who is nobody's member, and then the same record put right.
        let mut patient = json!({ "resourceType": "Patient", "birthDate": "1987-02-20" });
        keep(&gateway, "Patient", "p1", patient.clone()).await;
        assert_eq!(run(&gateway).await, [Errand::MatchDocument, Errand::SubmitAttachments]);
        assert_eq!(stage(&gateway).await, "waiting-for-patient");
        patient["identifier"] = task["contained"][0]["identifier"].take();
        // Between two who both are the member only a person can decide.
        keep(&gateway, "Patient", "p1", patient.clone()).await;
        keep(&gateway, "Patient", "p2", patient.clone()).await;
        run(&gateway).await;
        assert_eq!(stage(&gateway).await, "waiting-for-patient");
        let told = self::task(&gateway).await["businessStatus"]["text"].to_string();
        assert!(told.contains("several Patients"), "{told}");
        if let Some(other) = patient.as_object_mut() {
            other.shift_remove("identifier");
        }
        keep(&gateway, "Patient", "p2", patient).await;
        run(&gateway).await;
        assert_eq!(stage(&gateway).await, "submitting");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_waits_looks_around_until_it_waits_no_longer() {
    for_each_database(|db| async move {
        let gateway = gateway(&db);
        keep(&gateway, "Task", "t1", asked()).await;
        run(&gateway).await;
        let version = task(&gateway).await["meta"]["versionId"].clone();
        // The pauses grow, up to six hours.
        for minutes in [15, 30, 60, 120, 240, 360, 360] {
            gateway.clock.advance(Duration::from_mins(minutes - 1));
            assert!(run(&gateway).await.is_empty(), "{minutes}");
            gateway.clock.advance(Duration::from_mins(1));
            assert_eq!(run(&gateway).await, [Errand::LookAgain, Errand::SubmitAttachments]);
        }
        assert_eq!(task(&gateway).await["meta"]["versionId"], version, "it says nothing new");
        let mut failed = asked();
        failed["status"] = "rejected".into();
        keep(&gateway, "Task", "t1", failed).await;
        run(&gateway).await;
        gateway.clock.advance(Duration::from_hours(6));
        assert_eq!(run(&gateway).await, [Errand::LookAgain]);
        gateway.clock.advance(Duration::from_hours(6));
        assert!(run(&gateway).await.is_empty());
    })
    .await;
}
