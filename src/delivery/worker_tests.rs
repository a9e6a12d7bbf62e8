//! The worker from claim to settlement: into real folders end to end, and against targets that fail, panic
//! and hang.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt::Ended;
use super::testing::write;
use super::testing::{
    LEASE, MemorySource, access, at, claim, enqueue_uploads, only_delivery, status, wanted,
};
use super::*;
use crate::auth::Access;
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::db::testing::for_each_database;
use crate::db::{DbError, Tx, on_db};
use crate::id::UploadId;
use crate::report;
use crate::upload::{Source, SourceError};

const CONTENT: &[u8] = b"what was uploaded";
/// What an attempt keeps in the middle.
const BEGUN: &[u8] = b"begun";

/// Every upload has the same bytes.
struct SameBytes;

#[async_trait]
impl Sources for SameBytes {
    async fn open(&self, _: &Access, _: UploadId) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(MemorySource::new(CONTENT)))
    }
}

/// No upload can be found.
struct NoBytes;

#[async_trait]
impl Sources for NoBytes {
    async fn open(&self, _: &Access, _: UploadId) -> Result<Box<dyn Source>, SourceError> {
        Err(SourceError::Missing)
    }
}

/// What a target in trouble does.
#[derive(Clone, Copy)]
enum Trouble {
    Full,
    Panics,
    Hangs,
    HangsInTheMiddle,
}

/// A target in trouble; `calls` gets a permit for each call, once it has kept what it keeps, and `given_up` what is to
/// be taken away.
struct Troubled {
    trouble: Trouble,
    calls: Semaphore,
    given_up: Mutex<Vec<Vec<u8>>>,
}

impl Troubled {
    fn by(trouble: Trouble) -> Arc<Self> {
        Arc::new(Self { trouble, calls: Semaphore::new(0), given_up: Mutex::default() })
    }
}

#[async_trait]
impl Destination for Troubled {
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        if let Trouble::HangsInTheMiddle = self.trouble {
            request.progress.keep(BEGUN.to_vec()).await?;
        }
        self.calls.add_permits(1);
        match self.trouble {
            Trouble::Full => Err(DeliveryError::Full),
            Trouble::Panics => panic!("a target of this test panics"),
            Trouble::Hangs | Trouble::HangsInTheMiddle => std::future::pending().await,
        }
    }

    fn keeps_leftovers(&self) -> bool {
        true
    }

    /// The first time it is away.
    async fn give_up(&self, kept: &[u8]) -> Result<(), DeliveryError> {
        let mut given_up = self.given_up.lock().expect("no test panics in here");
        given_up.push(kept.to_vec());
        if given_up.len() > 1 { Ok(()) } else { Err(DeliveryError::Full) }
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

struct Bench {
    deliveries: Arc<Deliveries>,
    clock: Arc<ManualClock>,
}

/// Deliveries to `targets` with three attempts each, the second after a minute and the third after an hour.
fn bench_with(
    db: &Db,
    sources: impl Sources + 'static,
    lease: Duration,
    targets: Vec<(&str, Arc<dyn Destination>)>,
) -> Bench {
    let clock = Arc::new(ManualClock::new(at(1)));
    let settings = WorkerSettings {
        concurrency: 4,
        concurrency_per_target: 2,
        concurrency_of: HashMap::new(),
        breaker: BreakerSettings {
            failures: 5,
            pause: Duration::from_secs(10),
            longest_pause: Duration::from_mins(5),
        },
        stall_timeout: Duration::from_mins(5),
        lease,
        poll_interval: Duration::from_hours(1),
        name: "this gateway".to_owned(),
    };
    let schedule = Schedule::new([0, 60, 3600].map(Duration::from_secs).to_vec());
    let targets: HashMap<_, _> =
        targets.into_iter().map(|(name, target)| (name.to_owned(), target)).collect();
    let deliveries = Deliveries::new(
        db.clone(),
        clock.clone(),
        Arc::new(sources),
        targets,
        schedule,
        settings,
        Arc::default(),
    );
    Bench { deliveries: Arc::new(deliveries), clock }
}

fn bench(db: &Db, targets: Vec<(&str, Arc<dyn Destination>)>) -> Bench {
    bench_with(db, SameBytes, LEASE, targets)
}

fn folder(root: &Path) -> Arc<dyn Destination> {
    Arc::new(FileDestination::new(FileSettings {
        root: root.to_path_buf(),
        clash_policy: ClashPolicy::SuffixUploadId,
        metadata_sidecar: false,
        durable: true,
    }))
}

async fn attempts_of(db: &Db, upload: UploadId) -> Vec<Attempt> {
    let mut reader = db.reader().await.expect("a reader");
    attempts(&mut reader.tx(), &access(), upload).await.expect("a read")
}

async fn reports_of(db: &Db, upload: UploadId) -> Vec<serde_json::Value> {
    let mut reader = db.reader().await.expect("a reader");
    let reports = report::list(&mut reader.tx(), &access(), upload).await.expect("a read");
    reports.iter().map(|report| serde_json::from_slice(&report.body).expect("JSON")).collect()
}

#[tokio::test]
async fn what_is_due_is_delivered_reported_and_delivered_again_when_asked_for() {
    for_each_database(|db| async move {
        let root = tempfile::tempdir().expect("a temporary folder");
        let bench = bench(&db, vec![("local", folder(root.path()))]);
        let upload = enqueue_uploads(&db, "local", 1).await[0];
        let file = root.path().join("a/b.txt");
        for round in 1..=2 {
            assert_eq!(bench.deliveries.run_due_work().await.expect("it works"), 1);
            assert_eq!(std::fs::read(&file).expect("the file is there"), CONTENT);
            let delivery = only_delivery(&db, upload).await;
            assert_eq!(delivery.status, DeliveryStatus::Delivered);
            assert_eq!(delivery.location.as_deref(), file.to_str());
            let reports = reports_of(&db, upload).await;
            assert_eq!(reports.len(), round);
            assert_eq!(reports[round - 1]["stage_info"]["status"], "SUCCESS");
            assert_eq!(reports[round - 1]["content"]["file_destination_blob_url"].as_str(), file.to_str());
            assert_eq!(attempts_of(&db, upload).await.len(), round);

            std::fs::remove_file(&file).expect("somebody removes it");
            let again = NewDelivery { cause: Cause::Manual, ..wanted(upload, "local", "a/b.txt") };
            let asked = write!(db, again, |again, tx| repeat(tx, again, at(1)));
            assert_eq!(asked, Repeated::Queued(delivery.id));
        }
    })
    .await;
}

/// D-05, D-06, W-12
#[tokio::test]
async fn a_failing_target_is_tried_by_the_schedule_and_then_given_up() {
    for_each_database(|db| async move {
        for trouble in [Trouble::Full, Trouble::Panics] {
            let bench = bench(&db, vec![("local", Troubled::by(trouble))]);
            let upload = enqueue_uploads(&db, "local", 1).await[0];
            // The longest that jitter makes of each delay.
            for (attempt, wait) in [(1, 72), (2, 4320), (3, 0)] {
                assert_eq!(bench.deliveries.run_due_work().await.expect("it works"), 1);
                assert_eq!(attempts_of(&db, upload).await.len(), attempt);
                assert_eq!(bench.deliveries.run_due_work().await.expect("it works"), 0, "not due yet");
                bench.clock.advance(Duration::from_secs(wait));
            }
            assert_eq!(status(&db, upload).await, DeliveryStatus::Dead);
            let reports = reports_of(&db, upload).await;
            assert_eq!(reports.len(), 3);
            for report in reports {
                assert_eq!(report["stage_info"]["status"], "FAILURE");
                assert_eq!(report["stage_info"]["issues"].as_array().map(Vec::len), Some(1));
                assert_eq!(report["sender_id"], "test sender");
                assert_eq!(report["content"]["file_destination_blob_url"], "");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_can_never_succeed_is_given_up_at_once() {
    for_each_database(|db| async move {
        let root = tempfile::tempdir().expect("a temporary folder");
        let unconfigured = enqueue_uploads(&db, "no such target", 3).await;
        let missing = enqueue_uploads(&db, "local", 1).await;
        let bench = bench_with(&db, NoBytes, LEASE, vec![("local", folder(root.path()))]);
        assert_eq!(bench.deliveries.run_due_work().await.expect("it works"), 4);
        for upload in unconfigured.into_iter().chain(missing) {
            assert_eq!(status(&db, upload).await, DeliveryStatus::Dead);
            assert_eq!(reports_of(&db, upload).await.len(), 1);
        }
    })
    .await;
}

/// W-40
#[tokio::test]
async fn a_target_that_hangs_does_not_hold_up_the_others() {
    for_each_database(|db| async move {
        let root = tempfile::tempdir().expect("a temporary folder");
        let hanging = Troubled::by(Trouble::Hangs);
        let bench = bench(&db, vec![("hanging", hanging.clone()), ("local", folder(root.path()))]);
        let stuck = enqueue_uploads(&db, "hanging", 9).await;
        let uploads = enqueue_uploads(&db, "local", 9).await;
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        tracker.spawn(Arc::clone(&bench.deliveries).run(tracker.clone(), stop.clone()));
        for upload in &uploads {
            while status(&db, *upload).await != DeliveryStatus::Delivered {
                tokio::task::yield_now().await;
            }
        }
        drop(hanging.calls.acquire_many(2).await.expect("two attempts hang"));

        // A stop gives the leases back and counts no attempt.
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        for upload in stuck {
            let parked = only_delivery(&db, upload).await;
            assert_eq!((parked.status, parked.attempts), (DeliveryStatus::Pending, 0));
            assert!(attempts_of(&db, upload).await.is_empty());
        }
        assert_eq!(hanging.calls.available_permits(), 2, "no more than the target's slots");
    })
    .await;
}

/// What one attempt of a delivery to this target comes to that is not its own any more, because it was called off or
/// because the lease was freed.
async fn attempt_too_late(db: &Db, bench: Bench, is_called_off: bool) -> (Ended, DeliveryStatus, usize) {
    let upload = enqueue_uploads(db, "local", 1).await[0];
    let leased = claim(db, "local", at(0), 1, LEASE).await.remove(0);
    let lost = if is_called_off {
        write!(db, (), |(), tx| cancel(tx, &access(), upload, at(1)))
    } else {
        write!(db, (), |(), tx| free_all_leases(tx, at(1)))
    };
    assert_eq!(lost, 1);
    let ended = bench.deliveries.attempt(leased, 0, &CancellationToken::new()).await.expect("it ends");
    let stands = (ended, status(db, upload).await, attempts_of(db, upload).await.len());
    // The next one is alone.
    write!(db, (), |(), tx| cancel(tx, &access(), upload, at(1)));
    stands
}

/// W-24, T-28: it stops and writes nothing, but what the target has is not said to be called off.
#[tokio::test]
async fn an_attempt_whose_lease_is_lost_writes_nothing_unless_it_was_called_off_too_late() {
    for_each_database(|db| async move {
        let root = tempfile::tempdir().expect("a temporary folder");
        let soon = Duration::from_millis(30);
        for is_called_off in [true, false] {
            let nothing = if is_called_off {
                (Ended::CalledOff, DeliveryStatus::Cancelled, 0)
            } else {
                (Ended::LeaseLost, DeliveryStatus::Pending, 0)
            };
            let delivered = (Ended::Settled(DeliveryStatus::Delivered), DeliveryStatus::Delivered, 1);
            let hangs = bench_with(&db, SameBytes, soon, vec![("local", Troubled::by(Trouble::Hangs))]);
            assert_eq!(attempt_too_late(&db, hangs, is_called_off).await, nothing);
            let fails = bench_with(&db, NoBytes, LEASE, vec![("local", folder(root.path()))]);
            assert_eq!(attempt_too_late(&db, fails, is_called_off).await, nothing);
            let succeeds = bench(&db, vec![("local", folder(root.path()))]);
            let expected = if is_called_off { delivered } else { nothing };
            assert_eq!(attempt_too_late(&db, succeeds, is_called_off).await, expected);
        }
    })
    .await;
}

/// T-28: what an attempt has begun at a target does not stay there once its delivery is called off, or dead.
#[tokio::test]
async fn what_nobody_goes_on_with_is_taken_away_from_its_target_even_if_that_is_away_for_a_while() {
    for_each_database(|db| async move {
        for is_called_off in [true, false] {
            let target = Troubled::by(Trouble::HangsInTheMiddle);
            let bench = bench_with(&db, SameBytes, LEASE, vec![("local", target.clone())]);
            let tidy = async |given_up: usize| {
                bench.deliveries.tidy_once().await.expect("a round");
                assert_eq!(*target.given_up.lock().expect("no test panics in here"), vec![BEGUN; given_up]);
            };
            let upload = enqueue_uploads(&db, "local", 1).await[0];
            tokio::select! {
                settled = bench.deliveries.run_due_work() => panic!("it never ends: {settled:?}"),
                begun = target.calls.acquire() => begun.expect("it is never closed").forget(),
            }
            bench.clock.advance(2 * LEASE);
            tidy(0).await;
            let ended = bench.clock.now();
            if is_called_off {
                write!(db, (), |(), tx| cancel(tx, &access(), upload, ended));
            } else {
                write!(db, upload, |upload, tx| kill(tx, *upload, ended));
            }
            // Whoever is at work on it may not have heard yet.
            tidy(0).await;
            bench.clock.advance(LEASE);
            tidy(1).await;
            tidy(2).await;
            tidy(2).await;
        }
    })
    .await;
}

/// As if its last attempt had failed.
async fn kill(tx: &mut Tx<'_>, upload: UploadId, now: Timestamp) -> Result<(), DbError> {
    const KILL: &str = "UPDATE delivery SET status = 'dead', settled_at = $2 WHERE upload_id = $1";
    on_db!(tx, conn => {
        sqlx::query(KILL).bind(upload.to_string()).bind(now.as_nanos()).execute(conn).await.map(drop)
    })?;
    Ok(())
}
