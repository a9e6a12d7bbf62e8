//! The states of a delivery: which changes are refused, and that the store agrees with the model whatever
//! the order of events.

use proptest::prelude::*;

use super::model::{AttemptOutcome, DeliveryStatus};
use super::store::{self, Repeated, Settlement};
use super::testing::{LEASE, access, at, claim, enqueue_uploads, status, wanted, write};
use super::{cancel, free_all_leases, hold, release, repeat};
use crate::db::Db;
use crate::db::testing::settings;

use DeliveryStatus::{Cancelled, Dead, Delivered, Held, Leased, Pending, Waiting};

#[test]
fn only_these_changes_are_allowed() {
    let after =
        |change: fn(DeliveryStatus) -> bool| DeliveryStatus::ALL.into_iter().filter(move |s| change(*s));
    assert!(after(|s| s.claim(false).is_ok()).eq([Pending, Waiting]));
    assert!(after(|s| s.claim(true).is_ok()).eq([Pending, Leased, Waiting]));
    assert!(after(|s| s.repeat().is_ok()).eq([Delivered, Dead, Cancelled, Held]));
    assert!(after(|s| s.cancel().is_ok()).eq([Pending, Leased, Waiting, Held]));
    assert!(after(|s| s.hold().is_ok()).eq([Pending]));
    assert!(after(|s| s.release().is_ok()).eq([Held]));
    assert!(after(|s| Leased.settle(s).is_ok()).eq([Pending, Waiting, Delivered, Dead]));
    assert!(after(|s| s.settle(Delivered).is_ok()).eq([Leased, Cancelled]));
    assert!(after(|s| s.settle(Waiting).is_ok()).eq([Leased]));
    for status in DeliveryStatus::ALL {
        assert_eq!(DeliveryStatus::parse(status.as_str()), Some(status));
    }
    let refused = Delivered.claim(true).expect_err("a delivered one is not taken");
    assert_eq!(refused.to_string(), "a delivery that is delivered cannot be leased");
}

/// What can happen to a delivery.
#[derive(Debug, Clone, Copy)]
enum Event {
    Claim,
    Settle(DeliveryStatus),
    SettleStale,
    Park,
    Cancel,
    Hold,
    Release,
    Repeat,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Claim),
        4 => prop::sample::select(vec![Waiting, Delivered, Dead]).prop_map(Event::Settle),
        1 => Just(Event::SettleStale),
        1 => Just(Event::Park),
        1 => Just(Event::Cancel),
        2 => Just(Event::Hold),
        2 => Just(Event::Release),
        2 => Just(Event::Repeat),
        1 => Just(Event::Restart),
    ]
}

/// Applies the events to one delivery in a database and to the model, and compares after each.
async fn compare(events: Vec<Event>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("gateway.db").display());
    let db = Db::open(&settings(url)).await.expect("the database opens");
    let upload = enqueue_uploads(&db, "a", 1).await[0];
    let (mut model, mut attempts) = (Pending, 0);
    let mut held = None;
    for event in events {
        // Once given back or never used, a delivery is pending; after a failed attempt it is waiting.
        let idle = if attempts == 0 { Pending } else { Waiting };
        match event {
            Event::Claim => {
                let taken = claim(&db, "a", at(9), 1, LEASE).await;
                assert_eq!(taken.len(), usize::from(model.claim(false).is_ok()), "{event:?}");
                if let Some(taken) = taken.into_iter().next() {
                    (model, held) = (Leased, Some(taken));
                }
            }
            Event::Settle(next) => {
                let Some(delivery) = held.clone() else { continue };
                let settled = settle(&db, delivery, next).await;
                assert_eq!(settled, model.settle(next).is_ok(), "{event:?}");
                if settled {
                    (model, attempts) = (next, attempts + 1);
                }
            }
            Event::SettleStale => {
                let Some(mut delivery) = held.clone() else { continue };
                delivery.lease_epoch -= 1;
                assert!(!settle(&db, delivery, Delivered).await);
            }
            Event::Park => {
                let Some(delivery) = held.clone() else { continue };
                let parked = write!(db, delivery, |delivery, tx| store::park(tx, delivery, at(0)));
                assert_eq!(parked, model.settle(idle).is_ok(), "{event:?}");
                model = model.settle(idle).unwrap_or(model);
            }
            Event::Cancel => {
                let called_off = write!(db, (), |(), tx| cancel(tx, &access(), upload, at(0)));
                assert_eq!(called_off == 1, model.cancel().is_ok(), "{event:?}");
                model = model.cancel().unwrap_or(model);
            }
            Event::Hold => {
                let held = write!(db, (), |(), tx| hold(tx, &access(), upload, at(0)));
                assert_eq!(held == 1, model.hold().is_ok(), "{event:?}");
                model = model.hold().unwrap_or(model);
            }
            Event::Release => {
                let released = write!(db, (), |(), tx| release(tx, &access(), upload, at(0)));
                assert_eq!(released == 1, model.release().is_ok(), "{event:?}");
                model = model.release().unwrap_or(model);
            }
            Event::Repeat => {
                let new = wanted(upload, "a", "a/b.txt");
                let asked = write!(db, new, |new, tx| repeat(tx, new, at(0)));
                assert_eq!(matches!(asked, Repeated::Queued(_)), model.repeat().is_ok(), "{event:?}");
                if model.repeat().is_ok() {
                    (model, attempts) = (Pending, 0);
                }
            }
            Event::Restart => {
                let freed = write!(db, (), |(), tx| free_all_leases(tx, at(0)));
                assert_eq!(freed == 1, model == Leased, "{event:?}");
                if model == Leased {
                    (model, held) = (idle, None);
                }
            }
        }
        assert_eq!(status(&db, upload).await, model, "{event:?}");
    }
    db.close().await;
}

async fn settle(db: &Db, delivery: super::Delivery, next: DeliveryStatus) -> bool {
    let outcome = if next == Delivered {
        AttemptOutcome::Success { location: "/x".to_owned(), size_bytes: 0, remark: None }
    } else {
        AttemptOutcome::Failure { issue: "why".to_owned(), read_bytes: None }
    };
    let settlement = Settlement {
        delivery,
        outcome,
        started_at: at(0),
        ended_at: at(0),
        next,
        due_at: at(0),
        report: None,
    };
    write!(db, settlement, |settlement, tx| store::settle(tx, settlement))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_the_model_whatever_the_order_of_events(
        events in prop::collection::vec(event(), 1..24)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(compare(events));
    }
}
