//! Whose Tasks are found and moved, and that an errand has its effect once; the flows are seen from outside, in
//! `tests/it/exchange`.

use std::time::Duration;

use serde_json::{Value, json};

use super::store::STATEMENTS;
use crate::agenda::{self, Errand, Item};
use crate::auth::{Access, Caller, DEFAULT_TENANT};
use crate::cdex::{AttachTo, Identifier, Submission, tag};
use crate::clock::Clock as _;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, DbError};
use crate::exchange::testing::{Gateway, document, submission};
use crate::fhir;
use crate::repository::entry::Space;
use crate::repository::{self, Draft, Kept, Precondition, Search, StoredResource, index};

/// The payer's copy of an attachment request, for the submissions of these tests.
fn task() -> Value {
    json!({
        "resourceType": "Task",
        "meta": { "tag": [{ "system": tag::TAGS, "code": tag::SENT }] },
        "contained": [{ "resourceType": "Patient", "id": "patient", "identifier": [{ "value": "ZZMEMBER" }] }],
        "identifier": [{ "value": "T1", "type": { "coding": [{
            "system": "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp", "code": "tracking-id" }] } }],
        "status": "requested",
        "code": { "coding": [{ "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes",
            "code": "attachment-request-code" }] },
        "for": { "reference": "#patient" },
        "reasonCode": { "text": "claim" },
    })
}

/// Keeps the Task `1` for this owner.
async fn keep(db: &Db, access: &Access) {
    let tree = task();
    let draft = Draft {
        resource_type: "Task",
        id: "1".to_owned(),
        text: tree.to_string().into(),
        entries: index::entries(access.tenant(), "Task", &tree, ""),
        bytes: None,
        errands: Vec::new(),
    };
    let state = (access.clone(), [(draft, Precondition::None)]);
    let now = crate::clock::SystemClock.now();
    let kept: Result<Vec<Kept>, DbError> = db
        .write(state, move |(access, drafts), tx| Box::pin(repository::keep(tx, access, drafts, true, now)))
        .await;
    assert!(matches!(kept.expect("it is kept")[..], [Kept::Created(_)]));
}

async fn all(db: &Db, access: &Access, resource_type: &str) -> Vec<StoredResource> {
    let kind = Space::of_type(access.tenant(), resource_type);
    let search = Search {
        types: vec![kind],
        criterion: repository::criteria::Criterion::Type(kind),
        order: Vec::new(),
        count: 100,
        after: None,
        count_to: 0,
    };
    let mut reader = db.reader().await.expect("a reader");
    repository::search(&mut reader.tx(), access, &search).await.expect("a page").resources
}

/// Takes what is due.
async fn due(gateway: &Gateway) -> Vec<Item> {
    let now = gateway.clock.now().after(Duration::from_secs(1));
    let lease = Duration::from_mins(1);
    let taken: Result<_, DbError> =
        gateway.exchange.db.write((), move |(), tx| Box::pin(agenda::take(tx, now, lease, 100))).await;
    taken.expect("the agenda is read")
}

fn owner(name: &str) -> Access {
    Access::of_owner(DEFAULT_TENANT, name)
}

fn note() -> Value {
    submission(&[document(json!({ "contentType": "text/plain", "data": "eA==" }))])
}

#[tokio::test]
async fn statements_fit_the_schema() {
    for_each_database(|db| async move { assert_prepares(&db, STATEMENTS).await }).await;
}

#[tokio::test]
async fn the_tasks_of_a_tenant_are_found_whoever_keeps_them_and_those_of_others_are_not() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let sent = Submission {
            tracking_id: Identifier { system: None, value: "T1".to_owned() },
            admin_ref_number: None,
            attach_to: AttachTo::Claim,
            payer_id: None,
            organization_id: None,
            provider_id: None,
            member_id: Identifier { system: None, value: "ZZMEMBER".to_owned() },
            service_date: None,
            attachments: Vec::new(),
            is_last_submission: true,
        };
        let sender = owner("a provider");
        keep(&db, &Access::of_owner("another tenant", "a provider")).await;
        let found = gateway.exchange.association_of(&sender, &sent).await.expect("it is read");
        assert!(!found.is_made(), "{found:?}");
        keep(&db, &owner("the payer")).await;
        let found = gateway.exchange.association_of(&sender, &sent).await.expect("it is read");
        assert_eq!(found.task.as_deref(), Some("Task/1"));
    })
    .await;
}

#[tokio::test]
async fn a_version_of_a_task_that_says_nothing_new_sends_no_submission_on_its_way() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        keep(&db, &owner("the payer")).await;
        gateway.submit(&note()).await.expect("it is accepted");
        let tenant = DEFAULT_TENANT;
        let waiting = async |claim: Option<&'static str>, task: &'static str| {
            let mut reader = db.reader().await.expect("a reader");
            let task = (task, claim);
            let found =
                super::store::waiting_for_task(&mut reader.tx(), tenant, "T1", AttachTo::Claim, task).await;
            found.expect("it is read").len()
        };
        assert_eq!(waiting(None, "Task/1").await, 1, "it answers no Task yet");
        for item in due(&gateway).await {
            gateway.exchange.follow(item).await;
        }
        assert_eq!(waiting(None, "Task/1").await, 0);
        assert_eq!(waiting(Some("C1"), "Task/1").await, 1, "the Task names a Claim now");
        assert_eq!(waiting(Some("C1"), "Task/2").await, 0, "another Task of the number");
    })
    .await;
}

#[tokio::test]
async fn the_payers_task_moves_the_documents_stay_the_senders_and_twice_is_once() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let (payer, sender) = (owner("the payer"), Caller::anonymous().access());
        keep(&db, &payer).await;
        gateway.submit(&note()).await.expect("it is accepted");
        let items = due(&gateway).await;
        assert_eq!(items.len(), 1);
        for _ in 0..2 {
            gateway.exchange.follow(items[0].clone()).await;
        }
        let tasks = all(&db, &payer, "Task").await;
        assert_eq!((tasks.len(), tasks[0].version), (1, 4));
        let tree = fhir::parse(tasks[0].content.as_deref().expect("it is there")).expect("it is JSON");
        assert_eq!(tree["status"], "completed");
        for name in ["DocumentReference", "Binary", "Provenance"] {
            assert_eq!(all(&db, &sender, name).await.len(), 1, "{name}");
            assert_eq!(all(&db, &payer, name).await.len(), 0, "{name}");
        }
        let left = due(&gateway).await;
        assert!(left.iter().all(|item| item.errand != Errand::Associate), "nothing is left to be associated");
    })
    .await;
}
