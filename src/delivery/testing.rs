//! What the tests of deliveries share: uploads to carry, and short ways to the store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::meter::Meter;
use super::model::{Cause, Delivery, DeliveryStatus, NewDelivery};
use super::{DeliveryError, Progress, enqueue, list, store};
use crate::auth::{Access, DEFAULT_TENANT};
use crate::clock::Timestamp;
use crate::db::{Db, DbError, on_db};
use crate::id::UploadId;
use crate::upload::{Source, SourceError, Stored};

/// The lease of the tests: long enough never to end by itself.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// What the gateway's workers may see.
pub(super) fn access() -> Access {
    Access::of_worker(DEFAULT_TENANT)
}

/// `seconds` after the beginning of time.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_nanos(0).after(Duration::from_secs(seconds))
}

/// Runs one store function that writes.
macro_rules! write {
    ($db:expr, $state:expr, |$borrowed:pat_param, $tx:ident| $body:expr) => {{
        let written: Result<_, crate::db::DbError> =
            $db.write($state, move |$borrowed, $tx| Box::pin(async move { $body.await })).await;
        written.expect("the unit is written")
    }};
}
pub(super) use write;

/// A finished upload.
pub(super) async fn insert_upload(db: &Db) -> UploadId {
    const INSERT: &str = "INSERT INTO upload (id, tenant, owner, door, state, upload_offset, manifest, \
         data_stream_id, data_stream_route, storage_key, lock_epoch, created_at, changed_at) \
         VALUES ($1, 'default', 'anonymous', 'tus', 'complete', 0, $2, 'dextesting', 'testevent1', 'k', 0, 0, 0)";
    const MANIFEST: &[u8] = br#"{"sender_id":"test sender","jurisdiction":"test-jurisdiction",
        "dex_ingest_datetime":"2025-05-05T14:03:22.1234567Z","received_filename":"name.txt"}"#;
    let id = UploadId::new();
    write!(db, id, |id, tx| async {
        on_db!(tx, conn => sqlx::query(INSERT).bind(id.to_string()).bind(MANIFEST).execute(conn).await.map(drop))?;
        Ok::<_, DbError>(())
    });
    id
}

/// An upload's way to `path` at `target`.
pub(super) fn wanted(upload_id: UploadId, target: &str, path: &str) -> NewDelivery {
    NewDelivery {
        tenant: DEFAULT_TENANT.to_owned(),
        owner: "anonymous".to_owned(),
        upload_id,
        target: target.to_owned(),
        path: path.to_owned(),
        cause: Cause::Route,
        trace: None,
        ordering_key: None,
        headers: Vec::new(),
        timeout: None,
        followed_by: None,
    }
}

/// Enqueues `count` uploads for `target`, due at the beginning of time.
pub(super) async fn enqueue_uploads(db: &Db, target: &str, count: usize) -> Vec<UploadId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = insert_upload(db).await;
        let new = wanted(id, target, "a/b.txt");
        write!(db, new, |new, tx| enqueue(tx, std::slice::from_ref(new), at(0)));
        ids.push(id);
    }
    ids
}

/// Leases up to `limit` deliveries to `target` that are due at `now`.
pub(super) async fn claim(
    db: &Db,
    target: &str,
    now: Timestamp,
    limit: u32,
    lease: Duration,
) -> Vec<Delivery> {
    write!(db, target.to_owned(), |target, tx| store::claim(tx, "worker", target, now, limit, lease))
}

/// The one delivery of `upload_id`.
pub(super) async fn only_delivery(db: &Db, upload_id: UploadId) -> Delivery {
    let mut reader = db.reader().await.expect("a reader");
    let mut found = list(&mut reader.tx(), &access(), upload_id).await.expect("a list");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Where the one delivery of `upload_id` stands.
pub(super) async fn status(db: &Db, upload_id: UploadId) -> DeliveryStatus {
    only_delivery(db, upload_id).await.status
}

/// What a delivery remembers, as one attempt finds it, outside of any database.
pub(super) struct MemoryProgress<'a> {
    kept: Option<Vec<u8>>,
    meter: Arc<Meter>,
    row: &'a Mutex<Option<Vec<u8>>>,
}

impl<'a> MemoryProgress<'a> {
    /// For an attempt that begins now.
    pub(super) fn of(row: &'a Mutex<Option<Vec<u8>>>) -> Self {
        Self { kept: row.lock().expect("no test panics in here").clone(), meter: Arc::default(), row }
    }
}

#[async_trait]
impl Progress for MemoryProgress<'_> {
    fn kept(&self) -> Option<&[u8]> {
        self.kept.as_deref()
    }

    async fn keep(&self, state: Vec<u8>) -> Result<(), DeliveryError> {
        *self.row.lock().expect("no test panics in here") = Some(state);
        Ok(())
    }

    fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

/// An upload in memory, which can fail in the ways a stored one can.
#[derive(Debug, Clone)]
pub(super) struct MemorySource {
    bytes: Bytes,
    at: usize,
    length: u64,
    sha256: [u8; 32],
    fails_at: Option<usize>,
    stops_at: Option<usize>,
    stop: Arc<Notify>,
    stored: Option<Stored>,
}

impl MemorySource {
    /// A faultless one.
    pub(super) fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        let (length, sha256) = (bytes.len() as u64, Sha256::digest(&bytes).into());
        Self {
            bytes,
            at: 0,
            length,
            sha256,
            fails_at: None,
            stops_at: None,
            stop: Arc::default(),
            stored: None,
        }
    }

    /// SHA-256 of the bytes it has.
    pub(super) fn real_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// The same, but it claims another length.
    pub(super) fn promising_length(self, length: u64) -> Self {
        Self { length, ..self }
    }

    /// The same, but it claims another SHA-256.
    pub(super) fn promising_sha256(self, sha256: [u8; 32]) -> Self {
        Self { sha256, ..self }
    }

    /// The same, but it fails when this many bytes were read.
    pub(super) fn failing_at(self, at: usize) -> Self {
        Self { fails_at: Some(at), ..self }
    }

    /// The same, and it is an object of a bucket.
    pub(super) fn stored_as(self, stored: Stored) -> Self {
        Self { stored: Some(stored), ..self }
    }

    /// The same, but it never goes on when this many bytes were read.
    pub(super) fn stopping_at(self, at: usize) -> Self {
        Self { stops_at: Some(at), ..self }
    }

    /// Tells that it stops.
    pub(super) fn stop(&self) -> Arc<Notify> {
        self.stop.clone()
    }
}

#[async_trait]
impl Source for MemorySource {
    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.fails_at == Some(self.at) {
            return Err(SourceError::Truncated);
        }
        if self.stops_at == Some(self.at) {
            self.stop.notify_one();
            std::future::pending::<()>().await;
        }
        let limits = [self.fails_at, self.stops_at, Some(self.at + (1 << 20)), Some(self.bytes.len())];
        let end = limits.into_iter().flatten().filter(|&limit| limit > self.at).min().unwrap_or(self.at);
        let end = end.min(self.bytes.len());
        let block = self.bytes.slice(self.at..end);
        self.at = end;
        Ok((!block.is_empty()).then_some(block))
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        Some(self.sha256)
    }

    fn stored(&self) -> Option<Stored> {
        self.stored.clone()
    }
}
