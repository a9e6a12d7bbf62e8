//! Finding deliveries and queueing them again, on both databases.

use super::model::{Delivery, DeliveryStatus};
use super::testing::{LEASE, access, at, claim, enqueue_uploads, status, write};
use super::{DeliveryFilter, FoundDelivery, count, requeue, search};
use crate::auth::Access;
use crate::db::testing::for_each_database;
use crate::db::{Db, DbError, on_db};

async fn found(db: &Db, filter: &DeliveryFilter) -> Vec<FoundDelivery> {
    let mut reader = db.reader().await.expect("a reader");
    let found = search(&mut reader.tx(), &access(), filter, None, 100).await.expect("a read");
    let counted = count(&mut reader.tx(), &access(), filter).await.expect("a read");
    assert_eq!(found.len() as u64, counted);
    let elsewhere = Access::of_worker("other");
    assert!(search(&mut reader.tx(), &elsewhere, filter, None, 100).await.expect("a read").is_empty());
    found
}

/// Makes a claimed delivery dead at a second, as a settlement would.
async fn die(db: &Db, delivery: &Delivery, second: u64) {
    const DIE: &str = "UPDATE delivery SET status = 'dead', settled_at = $2 WHERE id = $1";
    let row = (delivery.id.to_string(), at(second).as_nanos());
    write!(db, row, |(id, settled_at), tx| async {
        on_db!(tx, conn => sqlx::query(DIE).bind(id.as_str()).bind(*settled_at).execute(conn).await.map(drop))?;
        Ok::<_, DbError>(())
    });
}

#[tokio::test]
async fn d_06_deliveries_are_found_by_everything_that_a_filter_can_say() {
    for_each_database(|db| async move {
        enqueue_uploads(&db, "a", 2).await;
        enqueue_uploads(&db, "b", 1).await;
        for (second, dead) in claim(&db, "a", at(0), 2, LEASE).await.iter().enumerate() {
            die(&db, dead, 10 * (second as u64 + 1)).await;
        }
        let all = DeliveryFilter::default();
        let dead = DeliveryFilter { statuses: vec![DeliveryStatus::Dead], ..all.clone() };
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            (all.clone(), 3),
            (dead.clone(), 2),
            (
                DeliveryFilter {
                    statuses: vec![DeliveryStatus::Dead, DeliveryStatus::Pending],
                    ..all.clone()
                },
                3,
            ),
            (DeliveryFilter { target: text("b"), ..all.clone() }, 1),
            (DeliveryFilter { target: text("b"), ..dead.clone() }, 0),
            (DeliveryFilter { data_stream_id: text("dextesting"), ..all.clone() }, 3),
            (DeliveryFilter { data_stream_id: text("other"), ..all.clone() }, 0),
            (DeliveryFilter { data_stream_route: text("testevent1"), ..dead.clone() }, 2),
            (
                DeliveryFilter {
                    data_stream_id: text("DEXTesting"),
                    data_stream_route: text("TestEvent1"),
                    ..all.clone()
                },
                3,
            ),
            (DeliveryFilter { sender_id: text("test sender"), ..dead.clone() }, 2),
            (DeliveryFilter { sender_id: text("' OR 1=1 --"), ..all.clone() }, 0),
            (DeliveryFilter { since: Some(at(10)), ..dead.clone() }, 2),
            (DeliveryFilter { since: Some(at(11)), ..dead.clone() }, 1),
            (DeliveryFilter { until: Some(at(20)), ..dead.clone() }, 1),
            (DeliveryFilter { since: Some(at(11)), until: Some(at(20)), ..dead.clone() }, 0),
        ];
        for (filter, expected) in cases {
            assert_eq!(found(&db, &filter).await.len(), expected, "{filter:?}");
        }
        let shown = found(&db, &dead).await.remove(0);
        assert_eq!(shown.sender_id.as_deref(), Some("test sender"));
        assert_eq!((shown.data_stream_id.as_str(), shown.settled_at), ("dextesting", Some(at(10))));
        assert!(shown.is_complete);
    })
    .await;
}

#[tokio::test]
async fn pages_meet_and_do_not_overlap() {
    for_each_database(|db| async move {
        enqueue_uploads(&db, "a", 5).await;
        let (all, mut seen, mut after) = (DeliveryFilter::default(), Vec::new(), None);
        loop {
            let mut reader = db.reader().await.expect("a reader");
            let page = search(&mut reader.tx(), &access(), &all, after, 2).await.expect("a read");
            seen.extend(page.iter().map(|found| found.delivery.id));
            after = page.last().map(|found| found.delivery.id);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 5);
        assert!(seen.is_sorted());
    })
    .await;
}

#[tokio::test]
async fn d_06_what_has_ended_is_queued_again_once_and_what_is_under_way_is_left_alone() {
    for_each_database(|db| async move {
        let upload = enqueue_uploads(&db, "a", 1).await[0];
        let leased = claim(&db, "a", at(0), 1, LEASE).await.remove(0);
        let id = leased.id;
        assert!(!write!(db, access(), |access, tx| requeue(tx, access, id, at(1))));
        die(&db, &leased, 1).await;
        let elsewhere = Access::of_worker("other");
        assert!(!write!(db, elsewhere, |elsewhere, tx| requeue(tx, elsewhere, id, at(1))));
        assert!(write!(db, access(), |access, tx| requeue(tx, access, id, at(2))));
        assert_eq!(status(&db, upload).await, DeliveryStatus::Pending);
        assert!(!write!(db, access(), |access, tx| requeue(tx, access, id, at(3))));
        let again = claim(&db, "a", at(2), 1, LEASE).await.remove(0);
        assert_eq!((again.id, again.attempts), (id, 0));
    })
    .await;
}
