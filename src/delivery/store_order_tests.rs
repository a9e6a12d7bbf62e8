//! Deliveries that must go one after the other, and those whose outcome somebody waits for.

use std::time::Duration;

use super::model::{AttemptOutcome, DeliveryStatus, NewDelivery};
use super::store::Settlement;
use super::testing::{LEASE, access, at, claim, insert_upload, wanted, write};
use super::{Delivery, Order, cancel, enqueue, find, followed, is_ordered_under_way, store};
use crate::agenda::{self, Errand};
use crate::db::Db;
use crate::db::testing::for_each_database;

async fn put(db: &Db, path: &str, seconds: u64, change: impl Fn(NewDelivery) -> NewDelivery) {
    let new = change(wanted(insert_upload(db).await, "a", path));
    write!(db, new, |new, tx| enqueue(tx, std::slice::from_ref(new), at(seconds)));
}

async fn settle(db: &Db, delivery: Delivery, next: DeliveryStatus) {
    let settlement = Settlement {
        delivery,
        outcome: AttemptOutcome::Failure { issue: "why".to_owned(), read_bytes: None },
        started_at: at(1),
        ended_at: at(2),
        next,
        due_at: at(100),
        report: None,
    };
    assert!(write!(db, settlement, |settlement, tx| store::settle(tx, settlement)));
}

fn paths(claimed: &[Delivery]) -> Vec<&str> {
    claimed.iter().map(|delivery| &*delivery.path).collect()
}

#[tokio::test]
async fn deliveries_with_the_same_ordering_key_go_one_after_the_other() {
    for_each_database(|db| async move {
        let keyed = |new| NewDelivery { ordering_key: Some("k".to_owned()), ..new };
        put(&db, "1", 0, keyed).await;
        put(&db, "2", 0, keyed).await;
        put(&db, "3", 1, keyed).await;
        put(&db, "free", 2, |new| new).await;
        let first = claim(&db, "a", at(5), 10, LEASE).await;
        assert_eq!(paths(&first), ["1", "free"]);
        settle(&db, first[1].clone(), DeliveryStatus::Dead).await;
        settle(&db, first[0].clone(), DeliveryStatus::Waiting).await;
        assert!(claim(&db, "a", at(50), 10, LEASE).await.is_empty(), "what waits holds back what follows");
        let again = claim(&db, "a", at(100), 10, LEASE).await;
        assert_eq!(paths(&again), ["1"]);
        settle(&db, again[0].clone(), DeliveryStatus::Dead).await;
        assert_eq!(paths(&claim(&db, "a", at(100), 10, LEASE).await), ["2"]);
    })
    .await;
}

/// D-08: a long backlog behind one delivery is looked at once, and not by every claim.
#[tokio::test]
async fn d_08_what_waits_in_an_order_is_not_due_until_it_is_its_turn() {
    for_each_database(|db| async move {
        let keyed = |new| NewDelivery { ordering_key: Some("k".to_owned()), ..new };
        for path in 0..300 {
            put(&db, &path.to_string(), 0, keyed).await;
        }
        let due = async |now| {
            let mut reader = db.reader().await.expect("a reader");
            store::targets_due(&mut reader.tx(), at(now)).await.expect("a read")
        };
        let mut head = claim(&db, "a", at(5), 10, LEASE).await;
        assert_eq!(paths(&head), ["0"]);
        for turn in 1..4 {
            assert!(due(10).await.is_empty(), "nothing is looked at while the first is under way");
            settle(&db, head.remove(0), DeliveryStatus::Delivered).await;
            assert_eq!(due(10).await, ["a"]);
            head = claim(&db, "a", at(10), 10, LEASE).await;
            assert_eq!(paths(&head), [turn.to_string()]);
        }
        // Where what goes before is called off, nobody calls up what follows; it is found all the same.
        let called_off = head.remove(0).upload_id;
        write!(db, called_off, |upload, tx| cancel(tx, &access(), *upload, at(11)));
        assert_eq!(paths(&claim(&db, "a", at(80), 10, LEASE).await), ["4"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_dead_and_followed_keeps_its_place_until_that_was_done() {
    for_each_database(|db| async move {
        let keyed = |new| NewDelivery {
            ordering_key: Some("Subscription/1".to_owned()),
            followed_by: Some("Subscription/1".to_owned()),
            ..new
        };
        put(&db, "1", 0, keyed).await;
        put(&db, "2", 1, keyed).await;
        let elsewhere = |new| NewDelivery { tenant: "other".to_owned(), ..keyed(new) };
        put(&db, "3", 2, elsewhere).await;
        let first = claim(&db, "a", at(5), 10, LEASE).await;
        assert_eq!(paths(&first), ["1", "3"], "another tenant has an order of its own");
        settle(&db, first[0].clone(), DeliveryStatus::Dead).await;
        assert!(claim(&db, "a", at(1_000), 10, LEASE).await.iter().all(|claimed| claimed.path != "2"));
        let order = |but| Order { below: "Subscription", but };
        let mut reader = db.reader().await.expect("a reader");
        for (but, expected) in [("", true), ("Subscription/1", false), ("Subscription/2", true)] {
            let found = is_ordered_under_way(&mut reader.tx(), &access(), order(but)).await;
            assert_eq!(found.expect("it is read"), expected, "{but}");
        }
        drop(reader);
        let id = first[0].id.to_string();
        write!(db, id, |id, tx| followed(tx, &access(), id, at(6)));
        assert_eq!(paths(&claim(&db, "a", at(1_000), 10, LEASE).await), ["2"]);
    })
    .await;
}

#[tokio::test]
async fn the_commit_that_settles_a_followed_delivery_says_so_on_the_agenda() {
    for_each_database(|db| async move {
        let headers = vec![("x-a".to_owned(), "b".to_owned())];
        let followed = move |new| NewDelivery {
            followed_by: Some("Task/1".to_owned()),
            headers: headers.clone(),
            timeout: Some(Duration::from_secs(7)),
            ..new
        };
        put(&db, "1", 0, followed).await;
        let claimed = claim(&db, "a", at(0), 10, LEASE).await.remove(0);
        assert_eq!(claimed.headers, [("x-a".to_owned(), "b".to_owned())]);
        assert_eq!(claimed.timeout, Some(Duration::from_secs(7)));
        settle(&db, claimed.clone(), DeliveryStatus::Waiting).await;
        assert!(write!(db, (), |(), tx| agenda::take(tx, at(500), LEASE, 10)).is_empty());
        let claimed = claim(&db, "a", at(100), 10, LEASE).await.remove(0);
        settle(&db, claimed.clone(), DeliveryStatus::Dead).await;
        let items = write!(db, (), |(), tx| agenda::take(tx, at(500), LEASE, 10));
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].errand, &items[0].subject), (Errand::FollowDelivery, &claimed.id.to_string()));
        let mut reader = db.reader().await.expect("a reader");
        let found =
            find(&mut reader.tx(), &access(), claimed.id).await.expect("a read").expect("it is there");
        assert_eq!((found.status, found.followed_by.as_deref()), (DeliveryStatus::Dead, Some("Task/1")));
    })
    .await;
}
