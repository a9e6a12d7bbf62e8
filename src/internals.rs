//! What the programs in `tests/benches` measure from inside: the scanner, the metadata codec, the writer, the delivery
//! worker and the repository, each as the gateway uses it. Compiled with the feature `internals` only, because the
//! modules it leads to are private. Nothing is measured here, and nothing in the gateway may call it.

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

use crate::audit::{self, AuditOutcome};
use crate::auth::{Access, Caller, DEFAULT_TENANT};
use crate::clock::{Clock, SystemClock};
use crate::db::{Db, DbError, DbSettings};
use crate::delivery::{
    BreakerSettings, Delivered, Deliveries, DeliveryError, DeliveryRequest, Destination, Schedule,
    WorkerSettings,
};
use crate::fhir::{ScanLimits, Scanner, Shape, Spool, SpoolError, Spooled};
use crate::id::UploadId;
use crate::repository::criteria::{self, Criterion, EntryTest, Order};
use crate::repository::entry::{Entry, Space};
use crate::repository::{self, Draft, Precondition, Search};
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
        let entry = audit::Entry {
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
            concurrency_of: HashMap::new(),
            breaker: BreakerSettings {
                failures: 5,
                pause: Duration::from_secs(10),
                longest_pause: Duration::from_mins(5),
            },
            stall_timeout: Duration::from_mins(5),
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
            Arc::default(),
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

    /// Creates documents, all in one unit.
    ///
    /// # Errors
    /// The database fails.
    pub async fn create_documents(&self, documents: &[Document], entries: usize) -> Result<(), Failure> {
        let drafts = documents.iter().map(|document| (document.draft(entries), Precondition::None));
        let drafts: Vec<_> = drafts.collect();
        let created: Result<(), DbError> = self
            .db
            .write(drafts, |drafts, tx| {
                Box::pin(async move {
                    let access = Caller::anonymous().access();
                    repository::keep(tx, &access, drafts, true, SystemClock.now()).await.map(drop)
                })
            })
            .await;
        Ok(created?)
    }

    /// Searches `DocumentReference?patient=…&type=…&_sort=-date&_count=10`; gives how many are on the page.
    ///
    /// # Errors
    /// The database fails.
    pub async fn search_documents(&self, patient: usize, type_code: &str) -> Result<usize, Failure> {
        let is = |code, value: String| {
            let value = criteria::Bytes::Equal(value.into_bytes());
            Criterion::Has(Document::space_of(code), vec![EntryTest { value, extra: criteria::Bytes::Any }])
        };
        let conditions = vec![
            is("patient", format!("Patient/patient-{patient}")),
            is("type", format!("{type_code}\0http://loinc.org")),
        ];
        let search = Search {
            types: vec![Space::of_type(DEFAULT_TENANT, DOCUMENT_REFERENCE)],
            criterion: Criterion::All(conditions),
            order: vec![(Order::Values(vec![vec![Document::space_of("date")]]), true)],
            count: 10,
            after: None,
            count_to: 1000,
        };
        let mut reader = self.db.reader().await?;
        let access = Caller::anonymous().access();
        Ok(repository::search(&mut reader.tx(), &access, &search).await?.resources.len())
    }

    /// Waits for the writes under way, then closes the connections.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

const DOCUMENT_REFERENCE: &str = "DocumentReference";

/// A DocumentReference, like others of its patient but for its number and date.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// Its number; the greater, the later.
    pub number: usize,
    /// How many patients there are documents of, in turn.
    pub patients: usize,
}

impl Document {
    /// The codes of types: each patient has documents of all.
    pub const TYPES: [&str; 5] = ["11506-3", "34133-9", "18842-5", "28570-0", "11488-4"];

    /// Its text, about a kilobyte.
    pub fn text(self) -> String {
        let Self { number, patients } = self;
        let (patient, code) = (number % patients, Self::TYPES[number / patients % Self::TYPES.len()]);
        let category = r#"[{"coding":[{"system":"http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category","code":"clinical-note","display":"Clinical Note"}]}]"#;
        format!(
            r#"{{"resourceType":"{DOCUMENT_REFERENCE}","identifier":[{{"system":"urn:example:documents","value":"{number}"}}],
"status":"current","docStatus":"final","type":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"Note"}}]}},
"category":{category},"subject":{{"reference":"Patient/patient-{patient}","display":"Somebody"}},"date":"2025-01-01T00:00:00Z",
"author":[{{"reference":"Practitioner/practitioner-{}"}}],"custodian":{{"reference":"Organization/organization-{}"}},
"description":"A note of a bench, which says nothing in particular about anybody and is about as long as others.",
"content":[{{"attachment":{{"contentType":"application/pdf","url":"Binary/binary-{number}","size":48213,
"hash":"2jmj7l5rSw0yVb/vlWAYkK/YBwk=","title":"note.pdf"}},"format":{{"system":
"http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode","code":"urn:ihe:iti:xds:2017:mimeTypeSufficient"}}}}],
"context":{{"period":{{"start":"2025-01-01","end":"2025-01-02"}}}}}}"#,
            number % 500,
            number % 50,
        )
    }

    /// What it is found by, as rows: space, value, extra. Twelve, or with more of no meaning `count`.
    pub fn rows(self, count: usize) -> Vec<(i64, Vec<u8>, Vec<u8>)> {
        let rows = self.entries(count).into_iter();
        rows.map(|entry| (entry.space.as_i64(), entry.value, entry.extra.unwrap_or_default())).collect()
    }

    /// The number of a parameter's space.
    pub fn space(code: &str) -> i64 {
        Self::space_of(code).as_i64()
    }

    fn space_of(code: &str) -> Space {
        Space::of(DEFAULT_TENANT, DOCUMENT_REFERENCE, code)
    }

    fn entries(self, count: usize) -> Vec<Entry> {
        let Self { number, patients } = self;
        let patient = format!("Patient/patient-{}", number % patients);
        let code = Self::TYPES[number / patients % Self::TYPES.len()];
        let texts = [
            ("identifier", format!("{number}\0urn:example:documents")),
            ("status", "current".to_owned()),
            ("doc-status", "final".to_owned()),
            ("type", format!("{code}\0http://loinc.org")),
            ("category", "clinical-note\0http://hl7.org/fhir/us/core/CodeSystem/category".to_owned()),
            ("subject", patient.clone()),
            ("patient", patient),
            ("author", format!("Practitioner/practitioner-{}", number % 500)),
            ("custodian", format!("Organization/organization-{}", number % 50)),
            ("contenttype", "application/pdf".to_owned()),
        ];
        let entry = |code, value, extra| Entry { space: Self::space_of(code), value, extra };
        let mut entries: Vec<Entry> =
            texts.into_iter().map(|(code, text)| entry(code, text.into_bytes(), None)).collect();
        let day = |number: usize| (number as u64).to_be_bytes().to_vec();
        for code in ["date", "period"] {
            entries.push(entry(code, day(number), Some(day(number + 1))));
        }
        for n in entries.len()..count {
            entries.push(entry("related", format!("DocumentReference/{n}-{number}").into_bytes(), None));
        }
        entries
    }

    fn draft(self, count: usize) -> Draft {
        Draft {
            resource_type: DOCUMENT_REFERENCE,
            id: uuid::Uuid::now_v7().to_string(),
            text: self.text().into(),
            entries: self.entries(count),
            bytes: None,
            errands: Vec::new(),
        }
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
        Ok(Delivered { location: request.path.to_owned(), length: 0, sha256: [0; 32], remark: None })
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
