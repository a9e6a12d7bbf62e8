//! What the store promises, on both databases: numbers without gaps, nothing told twice, nothing for an earlier
//! generation.

use serde_json::json;

use super::store::{EVENT_STATEMENTS, STATEMENTS};
use super::terms::{Terms, read};
use super::testing::{BASE, subscription};
use super::{
    Counted, NewEvent, Subscription, SubscriptionStatus, activate, arrived, count, events, fail, find,
    forget, heartbeat, put, started, tell, turn_off, untell, waiting,
};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, DbError};

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn access() -> Access {
    Access::of_owner("default", "anna")
}

fn terms(endpoint: &str) -> Terms {
    let mut resource = subscription(endpoint, "id-only");
    resource["channel"]["header"] = json!(["Authorization: Bearer x"]);
    read(&resource, BASE, NOW).expect("it is right")
}

async fn put_now(db: &Db, id: &'static str, version: u64, status: SubscriptionStatus) -> bool {
    let outcome: Result<bool, DbError> = db
        .write((), move |(), tx| {
            Box::pin(async move {
                put(tx, (&access(), "anna"), (id, version), status, &terms("https://p.test/hook")).await
            })
        })
        .await;
    outcome.expect("it is written")
}

async fn look(db: &Db, id: &str) -> Option<Subscription> {
    let mut reader = db.reader().await.expect("a reader");
    find(&mut reader.tx(), &access(), id).await.expect("it is read")
}

/// Makes a subscription active; `version` asks for it, the next one says so.
async fn active(db: &Db, id: &'static str, version: u64) -> Subscription {
    assert!(put_now(db, id, version, SubscriptionStatus::Requested).await);
    let found = look(db, id).await.expect("it is there");
    let outcome: Result<bool, DbError> = db
        .write(found, move |found, tx| Box::pin(async move { activate(tx, found, version + 1, NOW).await }))
        .await;
    assert!(outcome.expect("it is written"));
    look(db, id).await.expect("it is there")
}

fn event(task: &str, version: u64) -> NewEvent {
    NewEvent { task: task.to_owned(), version, is_create: version == 1, at: NOW }
}

async fn count_now(db: &Db, subscription: &Subscription, task: &'static str) -> Option<Counted> {
    let outcome: Result<_, DbError> = db
        .write(subscription.clone(), move |subscription, tx| {
            Box::pin(async move { count(tx, subscription, &event(task, 1)).await })
        })
        .await;
    outcome.expect("it is written")
}

#[tokio::test]
async fn every_statement_is_one_of_both_databases() {
    for_each_database(|db| async move {
        assert_prepares(&db, STATEMENTS).await;
        assert_prepares(&db, EVENT_STATEMENTS).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_is_there_and_only_for_its_owner() {
    for_each_database(|db| async move {
        assert!(put_now(&db, "s1", 1, SubscriptionStatus::Requested).await);
        let found = look(&db, "s1").await.expect("it is there");
        assert_eq!(found.terms, terms("https://p.test/hook"));
        assert_eq!((found.version, found.generation, found.created_in, found.events), (1, 1, 1, 0));
        assert_eq!((found.status, found.started_at), (SubscriptionStatus::Requested, None));
        let mut reader = db.reader().await.expect("a reader");
        let other = Access::of_owner("default", "bert");
        assert_eq!(find(&mut reader.tx(), &other, "s1").await.expect("it is read"), None);
        let elsewhere = Access::of_owner("other", "anna");
        assert_eq!(find(&mut reader.tx(), &elsewhere, "s1").await.expect("it is read"), None);
    })
    .await;
}

#[tokio::test]
async fn events_are_counted_once_the_endpoint_has_answered_and_until_it_is_off() {
    for_each_database(|db| async move {
        assert!(put_now(&db, "s1", 1, SubscriptionStatus::Requested).await);
        let requested = look(&db, "s1").await.expect("it is there");
        assert_eq!(count_now(&db, &requested, "t1").await, None, "nothing before the handshake");
        let active = active(&db, "s1", 2).await;
        assert_eq!((active.version, active.generation, active.created_in), (3, 2, 1));
        assert_eq!(count_now(&db, &requested, "t1").await, None, "not by an earlier generation");
        let first = Counted { number: 1, is_first_to_tell: true };
        assert_eq!(count_now(&db, &active, "t1").await, Some(first));
        let second = Counted { number: 2, is_first_to_tell: false };
        assert_eq!(count_now(&db, &active, "t2").await, Some(second));

        let failed: Result<bool, DbError> = db
            .write(active.clone(), |active, tx| {
                Box::pin(async move { fail(tx, active, 4, "no answer").await })
            })
            .await;
        assert!(failed.expect("it is written"));
        let found = look(&db, "s1").await.expect("it is there");
        assert_eq!((found.status, found.failure), (SubscriptionStatus::Error, Some("no answer".to_owned())));
        let third = Counted { number: 3, is_first_to_tell: false };
        assert_eq!(count_now(&db, &active, "t3").await, Some(third), "in error they are counted too");
        let all: Vec<String> = {
            let mut reader = db.reader().await.expect("a reader");
            let all = started(&mut reader.tx(), "default").await.expect("they are read");
            all.into_iter().map(|subscription| subscription.id).collect()
        };
        assert_eq!(all, ["s1"]);

        let off: Result<bool, DbError> = db
            .write(active.clone(), |active, tx| Box::pin(async move { turn_off(tx, active, 5).await }))
            .await;
        assert!(off.expect("it is written"));
        assert_eq!(count_now(&db, &active, "t4").await, None);
        let mut reader = db.reader().await.expect("a reader");
        assert_eq!(started(&mut reader.tx(), "default").await.expect("they are read"), []);
    })
    .await;
}

#[tokio::test]
async fn what_is_told_waits_no_more_unless_it_did_not_arrive() {
    for_each_database(|db| async move {
        let active = active(&db, "s1", 1).await;
        for _ in 0..5 {
            count_now(&db, &active, "t1").await.expect("it is counted");
        }
        let told: Result<_, DbError> = db
            .write(active.clone(), |active, tx| {
                Box::pin(async move {
                    let first = waiting(tx, &access(), "s1", 3).await?;
                    let left = tell(tx, active, &first, NOW).await?;
                    Ok((first, left))
                })
            })
            .await;
        let (first, left) = told.expect("it is written");
        assert_eq!(first.iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(left, Some(2));
        // A second worker that read the same finds it told, and writes nothing.
        let again: Result<_, DbError> = db
            .write((active.clone(), first), |(active, first), tx| {
                Box::pin(async move { tell(tx, active, first, NOW).await })
            })
            .await;
        assert!(matches!(again, Err(DbError::Inconsistent { .. })), "{again:?}");

        // What an earlier notification told has been told anew since.
        let earlier = Timestamp::from_nanos(NOW.as_nanos() - 1);
        let back: Result<_, DbError> = db
            .write(active.clone(), move |active, tx| {
                Box::pin(async move {
                    untell(tx, active, (1, 3), earlier).await?;
                    untell(tx, active, (1, 3), NOW).await?;
                    untell(tx, active, (2, 3), NOW).await?;
                    arrived(tx, active, (1, 1), NOW).await?;
                    arrived(tx, active, (1, 1), NOW).await?;
                    waiting(tx, &access(), "s1", 9).await
                })
            })
            .await;
        let numbers: Vec<u64> = back.expect("it is written").iter().map(|event| event.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5]);
        assert_eq!(look(&db, "s1").await.map(|found| (found.events, found.waiting)), Some((5, 4)));
        let mut reader = db.reader().await.expect("a reader");
        let some = events(&mut reader.tx(), &access(), "s1", (2, 4), 2).await.expect("they are read");
        assert_eq!(some.iter().map(|event| event.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(some[0].event, event("t1", 1));
        let others = Access::of_owner("default", "bert");
        assert_eq!(events(&mut reader.tx(), &others, "s1", (1, 9), 9).await.expect("they are read"), []);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_changed_in_the_name_of_an_earlier_generation() {
    for_each_database(|db| async move {
        let earlier = active(&db, "s1", 1).await;
        count_now(&db, &earlier, "t1").await.expect("it is counted");
        let later = active(&db, "s1", 5).await;
        assert_eq!((later.generation, later.created_in, later.events, later.waiting), (5, 1, 1, 1));
        assert!(!put_now(&db, "s1", 4, SubscriptionStatus::Off).await, "a later version is known");
        let outcome: Result<_, DbError> = db
            .write(earlier, |earlier, tx| {
                Box::pin(async move {
                    let first = waiting(tx, &access(), "s1", 3).await?;
                    Ok((
                        tell(tx, earlier, &first, NOW).await?,
                        activate(tx, earlier, 7, NOW).await?,
                        fail(tx, earlier, 7, "no answer").await?,
                        turn_off(tx, earlier, 7).await?,
                        heartbeat(tx, earlier, NOW).await?,
                    ))
                })
            })
            .await;
        assert_eq!(outcome.expect("it is written"), (None, false, false, false, false));
        assert_eq!(look(&db, "s1").await, Some(later));
    })
    .await;
}

#[tokio::test]
async fn what_was_deleted_begins_anew() {
    for_each_database(|db| async move {
        let active = active(&db, "s1", 1).await;
        count_now(&db, &active, "t1").await.expect("it is counted");
        let gone: Result<(), DbError> =
            db.write((), |(), tx| Box::pin(async move { forget(tx, &access(), "s1").await })).await;
        gone.expect("it is written");
        assert_eq!(look(&db, "s1").await, None);
        assert!(put_now(&db, "s1", 4, SubscriptionStatus::Requested).await);
        let found = look(&db, "s1").await.expect("it is there");
        assert_eq!((found.created_in, found.events, found.started_at), (4, 0, None));
        let mut reader = db.reader().await.expect("a reader");
        assert_eq!(events(&mut reader.tx(), &access(), "s1", (0, 9), 9).await.expect("they are read"), []);
    })
    .await;
}
