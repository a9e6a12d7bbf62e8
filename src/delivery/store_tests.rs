//! What the store promises, on both databases: one delivery per upload, target and path; one worker at a
//! time; a stale worker writes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::model::{AttemptOutcome, Cause, Delivery, DeliveryStatus, NewDelivery};
use super::store::{self, Repeated, STATEMENTS, Settlement};
use super::testing::{LEASE, access, at, claim, enqueue_uploads, insert_upload, only_delivery, status};
use super::testing::{wanted, write};
use super::{attempts, cancel, counts, enqueue, free_all_leases, list, repeat, requeue};
use crate::auth::Access;
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::report::{self, Report, Stage};

/// How `delivery` ends, at second 2.
async fn settlement(
    db: &Db,
    delivery: &Delivery,
    outcome: AttemptOutcome,
    next: DeliveryStatus,
) -> Settlement {
    let mut reader = db.reader().await.expect("a reader");
    let upload = store::carried_upload(&mut reader.tx(), delivery).await;
    let stream = upload.expect("a read").expect("the upload is there").stream;
    let copy = Stage::BlobFileCopy {
        file_destination_blob_url: String::new(),
        destination_name: "local".to_owned(),
    };
    Settlement {
        delivery: delivery.clone(),
        outcome,
        started_at: at(1),
        ended_at: at(2),
        next,
        due_at: at(100),
        report: Some((stream, Report::failure(copy, "why", at(1), at(2)))),
    }
}

async fn fail(db: &Db, delivery: &Delivery, next: DeliveryStatus) -> bool {
    let failure = AttemptOutcome::Failure { issue: "why".to_owned(), read_bytes: Some(1) };
    let settlement = settlement(db, delivery, failure, next).await;
    write!(db, settlement, |settlement, tx| store::settle(tx, settlement))
}

async fn succeed(db: &Db, delivery: &Delivery) -> bool {
    let success = AttemptOutcome::Success { location: "/x".to_owned(), size_bytes: 3, remark: None };
    let settlement = settlement(db, delivery, success, DeliveryStatus::Delivered).await;
    write!(db, settlement, |settlement, tx| store::settle(tx, settlement))
}

async fn ask_again(db: &Db, new: NewDelivery, seconds: u64) -> Repeated {
    let new = NewDelivery { cause: Cause::Manual, ..new };
    write!(db, new, |new, tx| repeat(tx, new, at(seconds)))
}

#[tokio::test]
async fn every_statement_prepares_on_the_databases_it_is_for() {
    for_each_database(|db| async move {
        let here = STATEMENTS.iter().filter(|(_, only)| only.is_none_or(|only| only == db.dialect()));
        assert_prepares(&db, &here.map(|(sql, _)| *sql).collect::<Vec<_>>()).await;
    })
    .await;
}

/// D-02
#[tokio::test]
async fn enqueueing_twice_leaves_one_delivery_per_upload_target_and_path() {
    for_each_database(|db| async move {
        let id = insert_upload(&db).await;
        let new = vec![wanted(id, "a", "p"), wanted(id, "a", "q"), wanted(id, "b", "p")];
        for _ in 0..2 {
            write!(db, new.clone(), |new, tx| enqueue(tx, new, at(0)));
        }
        write!(db, (), |(), tx| enqueue(tx, &[], at(0)));
        let mut reader = db.reader().await.expect("a reader");
        let found = list(&mut reader.tx(), &access(), id).await.expect("a list");
        let found: BTreeSet<_> = found.iter().map(|d| (d.target.as_str(), d.path.as_str())).collect();
        assert_eq!(found, BTreeSet::from([("a", "p"), ("a", "q"), ("b", "p")]));
        let elsewhere = list(&mut reader.tx(), &Access::of_worker("other"), id).await.expect("a list");
        assert!(elsewhere.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_claim_takes_what_is_due_at_its_target_and_no_more_than_its_limit() {
    for_each_database(|db| async move {
        enqueue_uploads(&db, "a", 3).await;
        enqueue_uploads(&db, "b", 1).await;
        let mut reader = db.reader().await.expect("a reader");
        let mut due = store::targets_due(&mut reader.tx(), at(0)).await.expect("a read");
        due.sort();
        assert_eq!(due, ["a", "b"]);
        assert_eq!(claim(&db, "a", at(0), 2, LEASE).await.len(), 2);
        assert_eq!(claim(&db, "a", at(0), 2, LEASE).await.len(), 1);
        assert_eq!(claim(&db, "a", at(0), 2, LEASE).await.len(), 0);
        assert_eq!(store::targets_due(&mut reader.tx(), at(0)).await.expect("a read"), ["b"]);
    })
    .await;
}

/// W-13
#[tokio::test]
async fn concurrent_claims_never_take_the_same_delivery() {
    for_each_database(|db| async move {
        enqueue_uploads(&db, "a", 40).await;
        let claims = join_all((0..8).map(|_| claim(&db, "a", at(0), 5, LEASE))).await;
        let taken: Vec<_> = claims.into_iter().flatten().map(|delivery| delivery.id).collect();
        assert_eq!(taken.len(), taken.iter().collect::<BTreeSet<_>>().len(), "one was taken twice");
        // A claimer that ran while others held locks may have skipped rows; nothing is left behind.
        let rest = claim(&db, "a", at(0), 40, LEASE).await;
        assert_eq!(taken.len() + rest.len(), 40);
    })
    .await;
}

/// W-13, W-24
#[tokio::test]
async fn a_lease_that_ended_makes_the_delivery_due_again_and_its_worker_writes_nothing_more() {
    for_each_database(|db| async move {
        let upload = enqueue_uploads(&db, "a", 1).await[0];
        let stale = claim(&db, "a", at(0), 1, Duration::ZERO).await.remove(0);
        // In 2100 by our clock: on PostgreSQL the database's clock alone says that the lease is over.
        let fresh = claim(&db, "a", at(4_102_444_800), 1, LEASE).await.remove(0);
        assert_eq!((stale.id, stale.lease_epoch + 1), (fresh.id, fresh.lease_epoch));

        assert!(!succeed(&db, &stale).await);
        assert!(!write!(db, stale.clone(), |stale, tx| store::renew(tx, stale, at(0), LEASE)));
        assert!(!write!(db, stale, |stale, tx| store::park(tx, stale, at(0))));
        let mut reader = db.reader().await.expect("a reader");
        assert!(attempts(&mut reader.tx(), &access(), upload).await.expect("a read").is_empty());
        assert!(report::list(&mut reader.tx(), &access(), upload).await.expect("a read").is_empty());
        assert_eq!(status(&db, upload).await, DeliveryStatus::Leased);

        assert!(write!(db, fresh.clone(), |fresh, tx| store::renew(tx, fresh, at(0), LEASE)));
        assert!(succeed(&db, &fresh).await);
        assert!(!succeed(&db, &fresh).await, "a settled delivery is not settled again");
        assert_eq!(status(&db, upload).await, DeliveryStatus::Delivered);
    })
    .await;
}

/// W-17
#[tokio::test]
async fn a_settlement_writes_the_state_the_attempt_and_a_report_with_the_whole_envelope() {
    for_each_database(|db| async move {
        let upload = enqueue_uploads(&db, "a", 1).await[0];
        let first = claim(&db, "a", at(0), 1, LEASE).await.remove(0);
        assert!(fail(&db, &first, DeliveryStatus::Waiting).await);
        assert!(claim(&db, "a", at(99), 1, LEASE).await.is_empty(), "it is not due yet");
        let second = claim(&db, "a", at(100), 1, LEASE).await.remove(0);
        assert_eq!(second.attempts, 1);
        assert!(succeed(&db, &second).await);

        let delivery = only_delivery(&db, upload).await;
        assert_eq!((delivery.status, delivery.location.as_deref()), (DeliveryStatus::Delivered, Some("/x")));
        let mut reader = db.reader().await.expect("a reader");
        let ended = attempts(&mut reader.tx(), &access(), upload).await.expect("a read");
        assert_eq!(ended.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
        assert!(matches!(&ended[0].outcome, AttemptOutcome::Failure { issue, read_bytes: Some(1) } if issue == "why"));
        assert!(matches!(&ended[1].outcome, AttemptOutcome::Success { size_bytes: 3, .. }));

        let reports = report::list(&mut reader.tx(), &access(), upload).await.expect("a read");
        assert_eq!(reports.len(), 2);
        let failure: serde_json::Value = serde_json::from_slice(&reports[0].body).expect("JSON");
        let fields =
            ["sender_id", "data_stream_id", "data_stream_route", "jurisdiction", "dex_ingest_datetime"];
        assert_eq!(
            fields.map(|name| failure[name].as_str().expect("a text")),
            ["test sender", "dextesting", "testevent1", "test-jurisdiction", "2025-05-05T14:03:22.1234567Z"]
        );
        let counted = counts(&mut reader.tx(), &access()).await.expect("a read");
        assert_eq!(counted, [(DeliveryStatus::Delivered, 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_repeat_queues_what_has_ended_and_leaves_alone_what_is_under_way() {
    for_each_database(|db| async move {
        let upload = enqueue_uploads(&db, "a", 1).await[0];
        let new = wanted(upload, "a", "a/b.txt");
        assert_eq!(ask_again(&db, new.clone(), 1).await, Repeated::AlreadyUnderWay);
        let leased = claim(&db, "a", at(0), 1, LEASE).await.remove(0);
        assert_eq!(ask_again(&db, new.clone(), 1).await, Repeated::AlreadyUnderWay);
        assert!(fail(&db, &leased, DeliveryStatus::Dead).await);

        assert_eq!(ask_again(&db, new, 7).await, Repeated::Queued(leased.id));
        let again = claim(&db, "a", at(7), 1, LEASE).await.remove(0);
        assert_eq!((again.cause, again.attempts), (Cause::Manual, 0), "the schedule begins anew");
        assert!(succeed(&db, &again).await);
        let mut reader = db.reader().await.expect("a reader");
        let ended = attempts(&mut reader.tx(), &access(), upload).await.expect("a read");
        let ended: Vec<_> = ended.iter().map(|attempt| (attempt.number, attempt.cause)).collect();
        assert_eq!(ended, [(1, Cause::Route), (2, Cause::Manual)]);

        let elsewhere = wanted(upload, "a", "another/path.txt");
        assert!(matches!(ask_again(&db, elsewhere, 8).await, Repeated::Queued(id) if id != leased.id));
    })
    .await;
}

/// W-24
#[tokio::test]
async fn a_start_frees_all_leases_and_their_workers_write_nothing_more() {
    for_each_database(|db| async move {
        let uploads = enqueue_uploads(&db, "a", 2).await;
        let stale = claim(&db, "a", at(0), 1, LEASE).await.remove(0);
        assert_eq!(write!(db, (), |(), tx| free_all_leases(tx, at(3))), 1);
        assert!(!succeed(&db, &stale).await);
        for upload in uploads {
            assert_eq!(status(&db, upload).await, DeliveryStatus::Pending);
        }
        assert_eq!(claim(&db, "a", at(3), 9, LEASE).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_parked_delivery_is_due_at_once_and_counts_no_attempt() {
    for_each_database(|db| async move {
        let upload = enqueue_uploads(&db, "a", 1).await[0];
        let leased = claim(&db, "a", at(0), 1, LEASE).await.remove(0);
        assert!(write!(db, leased, |leased, tx| store::park(tx, leased, at(5))));
        let parked = only_delivery(&db, upload).await;
        assert_eq!((parked.status, parked.attempts), (DeliveryStatus::Pending, 0));
        assert_eq!(claim(&db, "a", at(5), 1, LEASE).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_delivery_is_lost_to_the_worker_that_has_it_unless_it_is_made_by_then() {
    for_each_database(|db| async move {
        for (followed_by, expected) in
            [(None, DeliveryStatus::Delivered), (Some("Task/1".to_owned()), DeliveryStatus::Cancelled)]
        {
            // Whoever follows it was told.
            let upload = insert_upload(&db).await;
            let new = NewDelivery { followed_by, ..wanted(upload, "b", "p") };
            write!(db, new, |new, tx| enqueue(tx, std::slice::from_ref(new), at(0)));
            let leased = claim(&db, "b", at(0), 1, LEASE).await.remove(0);
            assert_eq!(write!(db, (), |(), tx| cancel(tx, &access(), upload, at(1))), 1);
            assert_eq!(succeed(&db, &leased).await, expected == DeliveryStatus::Delivered);
            assert_eq!(status(&db, upload).await, expected);
        }
        let upload = enqueue_uploads(&db, "a", 1).await[0];
        let leased = claim(&db, "a", at(0), 1, LEASE).await.remove(0);
        assert_eq!(write!(db, (), |(), tx| cancel(tx, &Access::of_worker("other"), upload, at(1))), 0);
        assert_eq!(write!(db, (), |(), tx| cancel(tx, &access(), upload, at(1))), 1);
        assert!(!fail(&db, &leased, DeliveryStatus::Waiting).await);
        assert_eq!(status(&db, upload).await, DeliveryStatus::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn what_an_attempt_keeps_is_there_for_the_next_one_until_the_upload_is_delivered() {
    for_each_database(|db| async move {
        let upload_id = enqueue_uploads(&db, "local", 1).await[0];
        let first = claim(&db, "local", at(0), 1, LEASE).await.remove(0);
        assert_eq!(first.progress, None);
        let keep = async |delivery: &Delivery, state: &[u8]| -> bool {
            let row = ((delivery.id, delivery.lease_epoch), state.to_vec());
            write!(db, row, |(lease, state), tx| store::keep_progress(tx, *lease, state))
        };
        assert!(keep(&first, b"half").await);
        assert!(fail(&db, &first, DeliveryStatus::Waiting).await);
        assert!(!keep(&first, b"stale").await, "the lease is over");

        let second = claim(&db, "local", at(100), 1, LEASE).await.remove(0);
        assert_eq!(second.progress.as_deref(), Some(&b"half"[..]));
        assert!(fail(&db, &second, DeliveryStatus::Dead).await);
        // F-11: a dead delivery that somebody asks for again goes on where it was, and a delivered one begins anew.
        assert_eq!(
            ask_again(&db, wanted(upload_id, "local", "a/b.txt"), 200).await,
            Repeated::Queued(first.id)
        );
        let third = claim(&db, "local", at(200), 1, LEASE).await.remove(0);
        assert_eq!(third.progress.as_deref(), Some(&b"half"[..]));
        assert!(fail(&db, &third, DeliveryStatus::Dead).await);
        assert!(write!(db, access(), |access, tx| requeue(tx, access, first.id, at(300))));
        let fourth = claim(&db, "local", at(300), 1, LEASE).await.remove(0);
        assert_eq!(fourth.progress.as_deref(), Some(&b"half"[..]));
        assert!(succeed(&db, &fourth).await);
        assert!(write!(db, access(), |access, tx| requeue(tx, access, first.id, at(400))));
        assert_eq!(claim(&db, "local", at(400), 1, LEASE).await.remove(0).progress, None);
    })
    .await;
}
