//! A gateway without its edge, for the tests of the use cases: real files, a real database, and a clock that is turned
//! by hand.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::receive_upload::{CreateRequest, Creation};
use super::rules::{DexRules, LiveRules};
use super::submit_attachment::{Answer, RunningKeys, SubmitError, SubmitRequest};
use super::*;
use crate::agenda::{self, Item};
use crate::audit::{self, AuditOutcome};
use crate::auth::Caller;
use crate::cdex::OwnUploads;
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::config::{Config, FhirMappingConfig, Validation};
use crate::db::DbError;
use crate::delivery::{
    BreakerSettings, Destination, FileDestination, FileSettings, Routing, Schedule, WorkerSettings,
};
use crate::id::UploadId;
use crate::manifest::StreamConfigs;
pub(super) use crate::manifest::testing::manifest;
use crate::upload::{AppendRequest, Ended, Expiry, FileBlobs, Journal, UploadSettings, Uploads};

/// A gateway without its edge.
pub(super) struct Gateway {
    pub(super) exchange: Arc<Exchange>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) folder: tempfile::TempDir,
}

impl Gateway {
    pub(super) fn new(db: &Db) -> Self {
        Self::with(db, |_| {})
    }

    pub(super) fn with(db: &Db, change: impl FnOnce(&mut Exchange)) -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder"), db, None, change)
    }

    /// One whose small uploads go through a journal, which is redeemed up to the number that the database says.
    pub(super) async fn with_journal(folder: tempfile::TempDir, db: &Db) -> Self {
        let mut reader = db.reader().await.expect("a reader");
        let known = Uploads::journals(&mut reader.tx()).await.expect("it reads");
        drop(reader);
        let found = known.into_iter().find(|(id, _)| folder.path().join(id).is_dir());
        let (id, redeemed) = if let Some(found) = found {
            found
        } else {
            let id = UploadId::new().to_string();
            let inserted = db.write(id.clone(), |id, tx| Box::pin(Uploads::insert_journal(tx, id)));
            inserted.await.map_err(|error: DbError| error).expect("it is inserted");
            (id, 0)
        };
        let journal = Journal::open(folder.path().join(&id), &id, false, redeemed).expect("it opens");
        Self::within(folder, db, Some(journal), |_| {})
    }

    fn within(
        folder: tempfile::TempDir,
        db: &Db,
        journal: Option<Journal>,
        change: impl FnOnce(&mut Exchange),
    ) -> Self {
        let start = Timestamp::parse_rfc3339("2026-05-05T14:03:22Z").expect("an instant");
        let clock = Arc::new(ManualClock::new(start));
        let blobs = FileBlobs::open(folder.path().join("uploads"), false).expect("the store opens");
        let tracker = TaskTracker::new();
        let settings = UploadSettings {
            max_bytes: 1 << 30,
            checkpoint_bytes: 1 << 20,
            checkpoint_interval: Duration::from_hours(1),
            expiry: Expiry::new(Duration::from_hours(24), &std::collections::BTreeMap::new()),
        };
        let uploads = Uploads::new(db.clone(), clock.clone(), Arc::new(blobs), settings, tracker.clone());
        let uploads = Arc::new(match journal {
            Some(journal) => uploads.with_journal(journal),
            None => uploads,
        });
        let local = FileDestination::new(FileSettings {
            root: folder.path().join("delivered"),
            clash_policy: crate::delivery::ClashPolicy::SuffixUploadId,
            metadata_sidecar: false,
            durable: false,
        });
        let destinations: HashMap<String, Arc<dyn Destination>> =
            HashMap::from([("local".to_owned(), Arc::new(local) as Arc<dyn Destination>)]);
        let worker = WorkerSettings {
            concurrency: 4,
            concurrency_per_target: 2,
            concurrency_of: HashMap::new(),
            breaker: BreakerSettings {
                failures: u32::MAX,
                pause: Duration::from_secs(10),
                longest_pause: Duration::from_mins(5),
            },
            stall_timeout: Duration::from_mins(5),
            lease: Duration::from_secs(15),
            poll_interval: Duration::from_secs(1),
            name: "test".to_owned(),
        };
        let schedule = Schedule::new(vec![Duration::ZERO]);
        let deliveries = crate::delivery::Deliveries::new(
            db.clone(),
            clock.clone(),
            uploads.clone(),
            destinations,
            schedule,
            worker,
            Arc::default(),
        );
        let mut exchange = Exchange {
            db: db.clone(),
            clock: clock.clone(),
            uploads,
            deliveries: Arc::new(deliveries),
            rules: LiveRules::new(DexRules {
                streams: StreamConfigs::built_in(),
                routing: Routing::built_in(),
            }),
            mapping: FhirMapping::new(&FhirMappingConfig::default()),
            profiles: Profiles::built_in().expect("the built-in profiles load"),
            upstream: None,
            partners: partners(&(clock.clone() as SharedClock)),
            agenda: Arc::default(),
            awaiting: submit_answer::Awaiting::default(),
            endpoints: discover_endpoint::Endpoints::default(),
            has_subscribers: AtomicBool::new(false),
            signatures: Signatures::default(),
            forward: forward_push::ForwardRules::default(),
            screening: Screening::noting(),
            reports: Arc::new(Publisher::new(db.clone(), clock.clone(), Vec::new(), Duration::from_secs(1))),
            retention: Retention::default(),
            declared: Declared::new(start),
            last_check: check_health::LastCheck::default(),
            settings: ExchangeSettings {
                fhir_base: "http://gateway.example/fhir".into(),
                upload_store_name: "File Storage".to_owned(),
                refuse_unrouted: false,
                terminate_during_delivery: false,
                payload_limit_bytes: 1 << 20,
                scan: ScanLimits { inline_data_bytes: 100, ..ScanLimits::default() },
                idempotency: Duration::from_hours(1),
                rest: RestSettings {
                    scan: ScanLimits::default(),
                    update_creates: true,
                    require_if_match: false,
                    validation: Validation::Structure,
                    partners: HashMap::new(),
                    page_size: 20,
                    max_page_size: 1000,
                    bundle_entries: 100,
                },
                export: export_data::tests::settings(folder.path()),
                identifier: Some(("http://payer.example/ids".to_owned(), "payer-1".to_owned())),
            },
            running: RunningKeys::default(),
            reading: Semaphore::new(4),
            collecting: Semaphore::new(4),
            tracker,
            stopping: CancellationToken::new(),
        };
        change(&mut exchange);
        Self { exchange: Arc::new(exchange), clock, folder }
    }

    pub(super) async fn submit_as(&self, body: &[u8], key: Option<&str>) -> Result<Answer, SubmitError> {
        let request = SubmitRequest {
            caller: Caller::anonymous(),
            request_id: "request-1".to_owned(),
            idempotency_key: key.map(str::to_owned),
            own_uploads: OwnUploads { origins: vec!["http://gateway.example".to_owned()] },
            declared: None,
        };
        self.exchange.submit_attachment(request, body_of(body)).await
    }

    pub(super) async fn submit(&self, body: &Value) -> Result<Answer, SubmitError> {
        self.submit_as(body.to_string().as_bytes(), None).await
    }

    pub(super) async fn create(&self, length: u64) -> UploadId {
        self.create_as(CreateRequest { length: Some(length), fields: manifest(), is_partial: false }).await
    }

    pub(super) async fn create_as(&self, request: CreateRequest) -> UploadId {
        match self.exchange.create_upload(&Caller::anonymous(), request).await.expect("it writes") {
            Creation::Created { id, .. } => id,
            refused => panic!("{refused:?}"),
        }
    }

    pub(super) async fn append(&self, id: UploadId, offset: u64, bytes: &[u8]) -> u64 {
        let declared = Some(bytes.len() as u64);
        let request =
            AppendRequest { declared, ..AppendRequest::new(Caller::anonymous().access(), id, offset) };
        let reception = self.exchange.append_upload(request, body_of(bytes)).await.expect("it appends");
        assert!(matches!(reception.ended, Ended::Whole));
        reception.offset
    }

    /// Does all that is due on the agenda.
    pub(super) async fn run_agenda(&self) {
        loop {
            let now = self.clock.now();
            let taken: Result<Vec<Item>, DbError> = self
                .exchange
                .db
                .write((), move |(), tx| Box::pin(agenda::take(tx, now, Duration::from_mins(1), 10)))
                .await;
            let taken = taken.expect("items are taken");
            if taken.is_empty() {
                return;
            }
            for item in taken {
                Box::pin(self.exchange.follow(item)).await;
            }
        }
    }

    pub(super) async fn deliver(&self) -> usize {
        self.exchange.deliveries.run_due_work().await.expect("the worker works")
    }

    pub(super) async fn audit(&self) -> Vec<(AuditOutcome, Option<String>)> {
        let mut reader = self.exchange.db.reader().await.expect("a reader");
        let access = Caller::anonymous().access();
        let entries = audit::list(&mut reader.tx(), &access, 100).await.expect("a list");
        entries.into_iter().map(|entry| (entry.outcome, entry.detail)).collect()
    }

    pub(super) async fn stages(&self, id: UploadId) -> Vec<String> {
        let reports = self.exchange.reports_of(&Caller::anonymous().access(), id).await.expect("a list");
        reports.into_iter().map(|report| report.stage).collect()
    }

    /// All files below the folder `name`, with their contents.
    pub(super) fn files(&self, name: &str) -> Vec<Vec<u8>> {
        fn walk(folder: &std::path::Path, found: &mut Vec<Vec<u8>>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => walk(&path, found),
                    path => found.push(std::fs::read(path).expect("it reads")),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.folder.path().join(name), &mut found);
        found.sort();
        found
    }
}

pub(super) fn body_of(bytes: &[u8]) -> Body {
    // In small pieces, so that every boundary is crossed.
    let pieces: Vec<_> = bytes.chunks(37).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

fn identifier(name: &str, value: &str) -> Value {
    json!({ "name": name, "valueIdentifier": { "value": value } })
}

pub(super) fn submission(contents: &[Value]) -> Value {
    let mut parameter = vec![
        identifier("TrackingId", "T1"),
        json!({ "name": "AttachTo", "valueCode": "claim" }),
        identifier("OrganizationId", "1407071236"),
        identifier("MemberId", "ZZMEMBER"),
        json!({ "name": "ServiceDate", "valueDateTime": "2026-05-01" }),
    ];
    for content in contents {
        parameter.push(json!({ "name": "Attachment", "part": [{ "name": "Content", "resource": content }] }));
    }
    json!({ "resourceType": "Parameters", "parameter": parameter })
}

#[expect(clippy::needless_pass_by_value, reason = "every call makes its argument on the spot")]
pub(super) fn document(attachment: Value) -> Value {
    json!({ "resourceType": "DocumentReference", "status": "current", "content": [{ "attachment": attachment }] })
}

pub(super) fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// Nobody to exchange with.
fn partners(clock: &SharedClock) -> Arc<Partners> {
    let config = Config::defaults_in(std::path::Path::new("/srv/gateway")).expect("the defaults are sound");
    Arc::new(Partners::new(Vec::new(), config.policy, clock).expect("no partners"))
}
