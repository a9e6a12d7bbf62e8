//! A target in trouble and the others: its circuit opens and closes, its transfers are cut, its order waits, and
//! nobody else notices.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::testing::{
    LEASE, MemorySource, access, at, enqueue_uploads, insert_upload, only_delivery, status, wanted, write,
};
use super::*;
use crate::auth::Access;
use crate::clock::ManualClock;
use crate::db::testing::for_each_database;
use crate::id::UploadId;
use crate::upload::{Source, SourceError};

/// Every upload has the same bytes.
struct SameBytes;

#[async_trait]
impl Sources for SameBytes {
    async fn open(&self, _: &Access, _: UploadId) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(MemorySource::new(b"what was uploaded")))
    }
}

/// A target that can be switched off, and counts what it is sent.
#[derive(Default)]
struct Switched {
    is_off: AtomicBool,
    calls: AtomicUsize,
}

impl Switched {
    fn off() -> Arc<Self> {
        let switched = Self::default();
        switched.is_off.store(true, Ordering::Relaxed);
        Arc::new(switched)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Destination for Switched {
    async fn deliver(&self, mut request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.is_off.load(Ordering::Relaxed) {
            return Err(DeliveryError::Full);
        }
        let length = request.source.length();
        while request.source.next().await?.is_some() {}
        let sha256 = request.source.sha256().unwrap_or_default();
        Ok(Delivered { location: request.path.to_owned(), length, sha256, remark: None })
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// A target that takes the first block and never more.
struct Stuck;

#[async_trait]
impl Destination for Stuck {
    async fn deliver(&self, mut request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        request.source.next().await?;
        std::future::pending().await
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

fn deliveries(
    db: &Db,
    clock: &Arc<ManualClock>,
    stall_timeout: Duration,
    targets: Vec<(&str, Arc<dyn Destination>)>,
) -> Arc<Deliveries> {
    let settings = WorkerSettings {
        concurrency: 2,
        concurrency_per_target: 2,
        concurrency_of: HashMap::from([("narrow".to_owned(), 1)]),
        breaker: BreakerSettings {
            failures: 5,
            pause: Duration::from_secs(10),
            longest_pause: Duration::from_mins(1),
        },
        stall_timeout,
        lease: LEASE,
        poll_interval: Duration::from_hours(1),
        name: "this gateway".to_owned(),
    };
    let targets = targets.into_iter().map(|(name, target)| (name.to_owned(), target)).collect();
    let schedule = Schedule::new(vec![Duration::ZERO; 50]);
    let clock = clock.clone();
    let sources = Arc::new(SameBytes);
    Arc::new(Deliveries::new(db.clone(), clock, sources, targets, schedule, settings, Arc::default()))
}

const PATIENT: Duration = Duration::from_hours(1);

#[tokio::test]
async fn d_05_w_12_a_target_that_fails_in_a_row_is_left_alone_then_probed_and_then_believed() {
    for_each_database(|db| async move {
        let (clock, target) = (Arc::new(ManualClock::new(at(1))), Switched::off());
        let deliveries = deliveries(&db, &clock, PATIENT, vec![("narrow", target.clone())]);
        let uploads = enqueue_uploads(&db, "narrow", 8).await;
        deliveries.run_due_work().await.expect("it works");
        assert_eq!((target.calls(), deliveries.is_resting("narrow")), (5, true));
        assert_eq!(deliveries.run_due_work().await.expect("it works"), 0, "nothing is claimed");

        clock.advance(Duration::from_secs(10));
        assert_eq!(deliveries.run_due_work().await.expect("it works"), 1, "the probe fails");
        clock.advance(Duration::from_secs(10));
        assert_eq!(deliveries.run_due_work().await.expect("it works"), 0, "the pause has doubled");
        clock.advance(Duration::from_secs(10));
        target.is_off.store(false, Ordering::Relaxed);
        assert_eq!(deliveries.run_due_work().await.expect("it works"), 8);
        assert!(!deliveries.is_resting("narrow"));
        for upload in uploads {
            assert_eq!(status(&db, upload).await, DeliveryStatus::Delivered);
        }
    })
    .await;
}

#[tokio::test]
async fn d_05_w_40_two_targets_work_on_while_one_is_dead_and_one_takes_nothing() {
    for_each_database(|db| async move {
        let clock = Arc::new(ManualClock::new(at(1)));
        let (dead, one, other) =
            (Switched::off(), Arc::new(Switched::default()), Arc::new(Switched::default()));
        let targets: Vec<(&str, Arc<dyn Destination>)> =
            vec![("dead", dead.clone()), ("stuck", Arc::new(Stuck)), ("one", one.clone()), ("other", other)];
        let deliveries = deliveries(&db, &clock, PATIENT, targets);
        // In order of age the troubled ones come first.
        let dead_uploads = enqueue_uploads(&db, "dead", 20).await;
        let stuck_uploads = enqueue_uploads(&db, "stuck", 20).await;
        let mut working = enqueue_uploads(&db, "one", 20).await;
        working.extend(enqueue_uploads(&db, "other", 20).await);
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        tracker.spawn(deliveries.clone().run(tracker.clone(), stop.clone()));
        for upload in &working {
            while status(&db, *upload).await != DeliveryStatus::Delivered {
                tokio::task::yield_now().await;
            }
        }
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        assert_eq!(one.calls(), 20);
        assert!(dead.calls() <= 6, "no more than until its circuit opened: {}", dead.calls());
        // D-10, W-37: a stop parks what was under way, and nothing is forgotten.
        for upload in stuck_uploads {
            let parked = only_delivery(&db, upload).await;
            assert_eq!((parked.status, parked.attempts), (DeliveryStatus::Pending, 0));
        }
        for upload in dead_uploads {
            assert!(status(&db, upload).await.is_under_way());
        }
    })
    .await;
}

#[tokio::test]
async fn a_transfer_that_does_not_move_is_cut_and_its_record_says_how_far_it_came() {
    for_each_database(|db| async move {
        let clock = Arc::new(ManualClock::new(at(1)));
        let deliveries = deliveries(&db, &clock, Duration::from_millis(20), vec![("stuck", Arc::new(Stuck))]);
        let upload = enqueue_uploads(&db, "stuck", 1).await[0];
        deliveries.run_due_work().await.expect("it works");
        let mut reader = db.reader().await.expect("a reader");
        let ended = attempts(&mut reader.tx(), &access(), upload).await.expect("a read");
        let AttemptOutcome::Failure { issue, read_bytes } = &ended[0].outcome else { panic!("it failed") };
        assert!(issue.contains("no progress"), "{issue}");
        assert_eq!(*read_bytes, Some(17));
        assert!(deliveries.is_resting("stuck"), "that is the target's fault");
    })
    .await;
}

#[tokio::test]
async fn d_08_deliveries_of_one_order_go_one_after_the_other_and_those_of_others_pass() {
    for_each_database(|db| async move {
        let clock = Arc::new(ManualClock::new(at(10)));
        let (one, other) = (Switched::off(), Arc::new(Switched::default()));
        let deliveries =
            deliveries(&db, &clock, PATIENT, vec![("one", one.clone()), ("other", other.clone())]);
        let mut ordered = Vec::new();
        for second in 0..3 {
            let upload = insert_upload(&db).await;
            let both = ["one", "other"].map(|target| NewDelivery {
                ordering_key: Some(format!("stream/{target}")),
                ..wanted(upload, target, "p")
            });
            write!(db, both, |both, tx| enqueue(tx, both, at(second)));
            ordered.push(upload);
        }
        deliveries.run_due_work().await.expect("it works");
        assert_eq!(other.calls(), 3, "another target has another order");
        assert_eq!(one.calls(), 5, "the first, again and again");
        let mut reader = db.reader().await.expect("a reader");
        for (upload, tried) in ordered.iter().zip([5, 0, 0]) {
            let ended = attempts(&mut reader.tx(), &access(), *upload).await.expect("a read");
            assert_eq!(ended.iter().filter(|attempt| attempt.target == "one").count(), tried);
        }
        drop(reader);
        one.is_off.store(false, Ordering::Relaxed);
        clock.advance(Duration::from_secs(10));
        deliveries.run_due_work().await.expect("it works");
        assert_eq!(one.calls(), 8);
    })
    .await;
}
