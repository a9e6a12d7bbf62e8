//! The agenda on both databases: order, leases, timers.

use std::time::Duration;

use super::store::STATEMENTS;
use super::{Errand, Item, NewItem, Pool, add, done, failed, free_all, hasten, later, renew, take, take_of};
use crate::clock::Timestamp;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, DbError};

const LEASE: Duration = Duration::from_mins(1);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_nanos(0).after(Duration::from_secs(seconds))
}

fn item(subject: &str, version: u64, due: u64) -> NewItem {
    NewItem {
        tenant: "default".to_owned(),
        owner: "anonymous".to_owned(),
        errand: Errand::FollowDelivery,
        subject: subject.to_owned(),
        version,
        due_at: at(due),
    }
}

async fn put(db: &Db, items: Vec<NewItem>) {
    let added: Result<(), DbError> = db.write(items, |items, tx| Box::pin(add(tx, items))).await;
    added.expect("items are added");
}

async fn taken(db: &Db, now: u64) -> Vec<Item> {
    let taken: Result<_, DbError> = db.write((), move |(), tx| Box::pin(take(tx, at(now), LEASE, 10))).await;
    taken.expect("items are taken")
}

async fn taken_of(db: &Db, pool: Pool, limit: u32) -> Vec<Item> {
    let taken: Result<_, DbError> =
        db.write((), move |(), tx| Box::pin(take_of(tx, pool, at(1), LEASE, limit))).await;
    taken.expect("items are taken")
}

fn names(items: &[Item]) -> Vec<(&str, u64)> {
    items.iter().map(|item| (&*item.subject, item.version)).collect()
}

async fn end(db: &Db, item: &Item) -> bool {
    let ended: Result<_, DbError> = db.write(item.clone(), |item, tx| Box::pin(done(tx, item))).await;
    ended.expect("the unit is written")
}

#[tokio::test]
async fn statements_fit_the_schema() {
    for_each_database(|db| async move {
        let fitting = STATEMENTS.iter().filter(|(_, only)| only.is_none_or(|only| only == db.dialect()));
        let statements: Vec<&'static str> = fitting.map(|(sql, _)| *sql).collect();
        assert_prepares(&db, &statements).await;
    })
    .await;
}

#[tokio::test]
async fn items_of_a_subject_come_one_after_the_other_and_others_beside_them() {
    for_each_database(|db| async move {
        put(&db, vec![item("Task/1", 1, 0), item("Task/1", 2, 0), item("Task/2", 1, 0)]).await;
        let first = taken(&db, 1).await;
        assert_eq!(names(&first), [("Task/1", 1), ("Task/2", 1)]);
        assert!(taken(&db, 1).await.is_empty(), "what is taken is taken");
        assert!(end(&db, &first[0]).await);
        assert_eq!(names(&taken(&db, 1).await), [("Task/1", 2)]);
    })
    .await;
}

#[tokio::test]
async fn items_of_a_tenant_do_not_wait_for_those_of_another() {
    for_each_database(|db| async move {
        let elsewhere = NewItem { tenant: "other".to_owned(), ..item("Task/1", 1, 0) };
        let timers = [item("Task/2", 1, 90), NewItem { tenant: "other".to_owned(), ..item("Task/2", 1, 90) }];
        put(&db, [vec![item("Task/1", 1, 0), elsewhere], timers.to_vec()].concat()).await;
        let hastened: Result<(), DbError> = db
            .write((), |(), tx| Box::pin(hasten(tx, "other", Errand::FollowDelivery, "Task/2", at(1))))
            .await;
        hastened.expect("it is written");
        let tenants: Vec<String> = taken(&db, 1).await.into_iter().map(|item| item.tenant).collect();
        assert_eq!(tenants, ["default", "other", "other"]);
    })
    .await;
}

#[tokio::test]
async fn each_pool_has_slots_of_its_own() {
    for_each_database(|db| async move {
        let of = |errand, subject| NewItem { errand, ..item(subject, 1, 0) };
        let calls = (0..5).map(|number| of(Errand::Poll, ["a", "b", "c", "d", "e"][number]));
        let others = [
            of(Errand::AnswerTask, "Task/1"),
            of(Errand::Tell, "Subscription/1"),
            of(Errand::ConcatenateUpload, "u"),
        ];
        put(&db, calls.chain(others).collect()).await;
        assert_eq!(names(&taken_of(&db, Pool::Calls, 3).await), [("a", 1), ("b", 1), ("c", 1)]);
        assert_eq!(names(&taken_of(&db, Pool::Answers, 3).await), [("Task/1", 1)]);
        assert_eq!(names(&taken_of(&db, Pool::Here, 3).await), [("Subscription/1", 1)]);
        assert_eq!(names(&taken_of(&db, Pool::Bytes, 3).await), [("u", 1)]);
        assert_eq!(taken_of(&db, Pool::Calls, 9).await.len(), 2);
        assert!(Pool::Bytes.slots() < Pool::Here.slots(), "what moves bytes leaves the disk to the doors");
    })
    .await;
}

#[tokio::test]
async fn an_item_that_failed_or_is_put_off_holds_back_what_follows_it() {
    for_each_database(|db| async move {
        put(&db, vec![item("Task/1", 1, 0), item("Task/1", 2, 0)]).await;
        let first = taken(&db, 1).await.remove(0);
        let put_off: Result<_, DbError> =
            db.write(first, |item, tx| Box::pin(failed(tx, item, at(10)))).await;
        assert!(put_off.expect("the unit is written"));
        assert!(taken(&db, 9).await.is_empty());
        let again = taken(&db, 10).await.remove(0);
        assert_eq!((again.version, again.attempts), (1, 1));
        let put_off: Result<_, DbError> = db.write(again, |item, tx| Box::pin(later(tx, item, at(20)))).await;
        assert!(put_off.expect("the unit is written"));
        assert_eq!(taken(&db, 20).await.remove(0).attempts, 0);
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_after_the_end_of_the_lease_changes_nothing() {
    for_each_database(|db| async move {
        put(&db, vec![item("Task/1", 1, 0)]).await;
        let slow = taken(&db, 1).await.remove(0);
        let quick = taken(&db, 61).await.remove(0);
        assert!(!end(&db, &slow).await);
        assert!(end(&db, &quick).await);
        assert!(!end(&db, &quick).await);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_is_renewed_ends_later() {
    for_each_database(|db| async move {
        put(&db, vec![item("Task/1", 1, 0)]).await;
        let mine = taken(&db, 1).await.remove(0);
        let renewed: Result<(), DbError> =
            db.write(mine.clone(), |item, tx| Box::pin(renew(tx, item, at(100)))).await;
        renewed.expect("the lease is renewed");
        assert!(taken(&db, 99).await.is_empty());
        let theirs = taken(&db, 100).await.remove(0);
        let renewed: Result<(), DbError> =
            db.write(mine, |item, tx| Box::pin(renew(tx, item, at(500)))).await;
        renewed.expect("the unit is written");
        assert_eq!(taken(&db, 200).await.len(), 1, "what somebody else has is not renewed");
        assert!(!end(&db, &theirs).await);
    })
    .await;
}

#[tokio::test]
async fn the_start_of_a_gateway_frees_what_its_predecessor_had_taken() {
    for_each_database(|db| async move {
        put(&db, vec![item("Task/1", 1, 0)]).await;
        let before = taken(&db, 1).await.remove(0);
        let freed: Result<_, DbError> = db.write((), |(), tx| Box::pin(free_all(tx))).await;
        freed.expect("the leases are freed");
        assert_eq!(taken(&db, 1).await.len(), 1);
        assert!(!end(&db, &before).await);
    })
    .await;
}
