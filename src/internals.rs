//! What the programs in `tests/benches` measure from inside: the scanner, the metadata codec, the writer and the
//! delivery worker, each as the gateway uses it. Compiled with the feature `internals` only, because the modules
//! it leads to are private. Nothing is measured here, and nothing in the gateway may call it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::{Access, DEFAULT_TENANT};
use crate::clock::{Clock, SystemClock};
use crate::db::{Db, DbError, DbSettings};
use crate::delivery::{
    Delivered, Deliveries, DeliveryError, DeliveryRequest, Destination, Schedule, WorkerSettings,
};
use crate::fhir::{ScanLimits, Scanner, Shape, Spool, SpoolError, Spooled};
use crate::id::UploadId;
use crate::upload::{MetadataMode, Source, SourceError, Sources, UploadMetadata};

/// Why a bench cannot go on.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a scan came to, so that a bench can see that it did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Bytes that stayed in memory.
    pub skeleton_bytes: usize,
    /// Bytes that were taken out, decoded.
    pub spooled_bytes: u64,
}

/// Scans a `$submit-attachment` body that arrives in chunks of one size. What it takes out is thrown away.
///
/// # Errors
/// The body breaks a rule of the scanner.
pub async fn scan(mut body: Bytes, chunk_bytes: usize) -> Result<Scan, Failure> {
    let mut spool = Discarded::default();
    let mut scanner = Scanner::new(ScanLimits::default(), Shape::Submission);
    while !body.is_empty() {
        let chunk = body.split_to(chunk_bytes.min(body.len()));
        scanner.feed(chunk, &mut spool).await?;
    }
    let skeleton = scanner.finish(&mut spool).await?.skeleton;
    Ok(Scan { skeleton_bytes: skeleton.len(), spooled_bytes: spool.length })
}

/// Reads an `Upload-Metadata` header and writes it again.
///
/// # Errors
/// The header breaks a rule of the codec.
pub fn recode_metadata(header: &[u8]) -> Result<String, Failure> {
    Ok(UploadMetadata::parse(header, MetadataMode::Strict)?.to_header())
}

/// A database that acknowledges what a loss of power cannot take.
pub struct Database {
    db: Db,
}

impl Database {
    /// Opens `sqlite:PATH` or `postgres://…` and brings its schema up to date.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let settings = DbSettings {
            url: url.to_owned(),
            connections: 8,
            busy_timeout: Duration::from_secs(30),
            durable: true,
            migrate: true,
            observe_group: |_| {},
        };
        Ok(Self { db: Db::open(&settings).await? })
    }

    /// Writes one audit row as a unit of its own.
    ///
    /// # Errors
    /// The database fails.
    pub async fn write_row(&self) -> Result<(), Failure> {
        let entry = Entry {
            tenant: DEFAULT_TENANT.to_owned(),
            owner: "anonymous".to_owned(),
            at: SystemClock.now(),
            action: "bench",
            outcome: AuditOutcome::Success,
            entity: None,
            detail: Vec::new(),
            request_id: None,
        };
        let written: Result<(), DbError> =
            self.db.write(entry, |entry, tx| Box::pin(async move { audit::record(tx, entry).await })).await;
        Ok(written?)
    }

    /// Runs the delivery worker until it has settled `count` deliveries, which must be due at one of `targets`.
    /// The targets say yes to everything, so that nothing but claiming and settling takes time.
    ///
    /// *Cancellation*: attempts under way go on; their leases end by themselves.
    pub async fn deliver(&self, targets: &[&str], count: usize) {
        let accepting = Arc::new(Accepting { left: AtomicUsize::new(count), done: Notify::new() });
        let destinations = targets
            .iter()
            .map(|target| ((*target).to_owned(), Arc::clone(&accepting) as Arc<dyn Destination>))
            .collect::<HashMap<_, _>>();
        // As `examples/gateway.toml` has it.
        let settings = WorkerSettings {
            concurrency: 16,
            concurrency_per_target: 4,
            lease: Duration::from_secs(15),
            poll_interval: Duration::from_secs(1),
            name: "bench".to_owned(),
        };
        let worker = Arc::new(Deliveries::new(
            self.db.clone(),
            Arc::new(SystemClock),
            Arc::new(Empty),
            destinations,
            Schedule::default(),
            settings,
        ));
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let stopping = async {
            accepting.done.notified().await;
            stop.cancel();
        };
        tokio::join!(worker.run(tracker.clone(), stop.clone()), stopping);
        // The last attempts were sent, so they are settled and not parked.
        tracker.close();
        tracker.wait().await;
    }

    /// Waits for the writes under way, then closes the connections.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// A spool that counts.
#[derive(Default)]
struct Discarded {
    length: u64,
}

#[async_trait]
impl Spool for Discarded {
    async fn begin(&mut self) -> Result<(), SpoolError> {
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), SpoolError> {
        self.length += bytes.len() as u64;
        Ok(())
    }

    async fn end(&mut self) -> Result<Spooled, SpoolError> {
        Ok(Spooled { id: UploadId::new(), length: self.length, sha256: [0; 32], sha1: [0; 20] })
    }

    async fn abort(&mut self) {}

    async fn read(&mut self, _: &Spooled, _: u64, _: usize) -> Result<Bytes, SpoolError> {
        Ok(Bytes::new())
    }

    async fn discard(&mut self, _: &Spooled) {}
}

/// A target that takes everything at once, and tells when it has had enough.
struct Accepting {
    left: AtomicUsize,
    done: Notify,
}

#[async_trait]
impl Destination for Accepting {
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
        Ok(Delivered { location: request.path.to_owned(), length: 0, sha256: [0; 32] })
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// An upload without bytes, and the store that has no other.
struct Empty;

#[async_trait]
impl Source for Empty {
    fn length(&self) -> u64 {
        0
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(None)
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        Some([0; 32])
    }
}

#[async_trait]
impl Sources for Empty {
    async fn open(&self, _: &Access, _: UploadId) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(Self))
    }
}
