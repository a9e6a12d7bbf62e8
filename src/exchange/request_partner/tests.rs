//! The rows of requests on both databases: who looks at a Task has it alone, and what comes too late changes nothing.

use super::*;
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

/// A request that the partner took.
async fn sent(db: &Db, access: &Access, poll_at: i64) -> TaskRequestId {
    let id = TaskRequestId::new();
    let request = PartnerRequest {
        id,
        task_id: "t".to_owned(),
        partner: "acme".to_owned(),
        place: None,
        sent_at: None,
        poll_at: None,
    };
    let unit = (access.clone(), request);
    let written: Result<(), DbError> = db
        .write(unit, move |(access, request), tx| {
            Box::pin(async move {
                store::insert(tx, access, request, at(0)).await?;
                store::sent(tx, access, request.id, Some("Task/1"), (at(0), at(poll_at))).await
            })
        })
        .await;
    written.expect("it writes");
    id
}

async fn claim(db: &Db, access: &Access, id: TaskRequestId, now: i64) -> Vec<PartnerRequest> {
    let claimed: Result<_, DbError> = db
        .write(access.clone(), move |access, tx| {
            Box::pin(store::claim(tx, access, ("acme", id), (at(now), at(now + 600)), 2))
        })
        .await;
    claimed.expect("it claims")
}

#[tokio::test]
async fn what_is_due_is_claimed_once_the_own_first_and_nobody_elses() {
    for_each_database(|db| async move {
        let (own, other) = (Access::of_owner("t", "a"), Access::of_owner("t", "b"));
        let early = [sent(&db, &own, 1).await, sent(&db, &own, 2).await];
        let mine = sent(&db, &own, 3).await;
        sent(&db, &own, 100).await;
        sent(&db, &other, 1).await;
        let claimed = claim(&db, &own, mine, 10).await;
        let mut ids: Vec<_> = claimed.iter().map(|request| request.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [early[0], mine]);
        assert!(claimed.iter().all(|request| request.poll_at == Some(at(610))));
        let rest: Vec<_> = claim(&db, &own, mine, 10).await.into_iter().map(|request| request.id).collect();
        assert_eq!(rest, [early[1]]);
        assert_eq!(claim(&db, &own, mine, 10).await, []);
    })
    .await;
}

#[tokio::test]
async fn whoever_looked_too_long_changes_nothing() {
    for_each_database(|db| async move {
        let access = Access::of_owner("t", "a");
        let id = sent(&db, &access, 1).await;
        let slow = claim(&db, &access, id, 1).await.pop().expect("it is due");
        let fast = claim(&db, &access, id, 700).await.pop().expect("it is due again");
        for (request, poll_at, expected) in [(fast, None, true), (slow, Some(at(1)), false)] {
            let unit = (access.clone(), request);
            let looked: Result<bool, DbError> = db
                .write(unit, move |(access, request), tx| {
                    Box::pin(store::looked(tx, access, request, Some("Task/2"), poll_at))
                })
                .await;
            assert_eq!(looked.expect("it writes"), expected);
        }
        let mut reader = db.reader().await.expect("a reader");
        let found = store::find(&mut reader.tx(), &access, id).await.expect("it reads").expect("it is there");
        assert_eq!((found.place.as_deref(), found.poll_at), (Some("Task/2"), None));
    })
    .await;
}
