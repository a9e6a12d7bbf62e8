//! Buckets against the contract of a destination, and what is their own: parts that go on after a crash, metadata and
//! sidecars, a service that says no.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::Value;

use super::contract::{DistantTarget, TestTarget, by_a_closed_line, contract_tests};
use super::testing::in_time;
use super::{Delivered, DeliveryRequest, Destination, MetadataPlace, ObjectDestination, ObjectSettings};
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::delivery::{ClashPolicy, DeliveryError, Retry};
use crate::id::{DeliveryId, UploadId};
use crate::outbound::bucket::testing::{S3Server, azure_settings, open, s3_settings};
use crate::outbound::bucket::{AzureSettings, BucketError, BucketSettings, Labels, Place, S3Settings};
use crate::outbound::testing::{FakeServer, Reply};

const MIB: usize = 1024 * 1024;

/// A bucket that can be looked into from outside.
pub(super) struct Target {
    pub(super) settings: BucketSettings,
    pub(super) server: Option<S3Server>,
}

impl Target {
    pub(super) fn s3() -> Self {
        let server = S3Server::start();
        Self { settings: s3_settings(server.endpoint()), server: Some(server) }
    }

    fn azure() -> Option<Self> {
        Some(Self { settings: azure_settings()?, server: None })
    }

    /// All that there are on this machine.
    pub(super) fn each() -> impl Iterator<Item = Self> {
        [Some(Self::s3()), Self::azure()].into_iter().flatten()
    }

    /// Another bucket at the same service.
    pub(super) fn beside(&self) -> BucketSettings {
        match (&self.server, &self.settings) {
            (Some(server), BucketSettings::S3(settings)) => {
                server.make("beside");
                BucketSettings::S3(S3Settings { bucket: "beside".to_owned(), ..settings.clone() })
            }
            _ => azure_settings().expect("there is an Azurite"),
        }
    }

    pub(super) fn with(&self, metadata: MetadataPlace, clash_policy: ClashPolicy) -> ObjectDestination {
        self.reading_back(metadata, clash_policy, self.server.is_none())
    }

    pub(super) fn reading_back(
        &self,
        metadata: MetadataPlace,
        clash_policy: ClashPolicy,
        read_back: bool,
    ) -> ObjectDestination {
        let completes = if clash_policy == ClashPolicy::Overwrite { Place::Over } else { Place::New };
        let bucket = open(self.settings.clone(), completes);
        ObjectDestination::new(ObjectSettings { bucket, clash_policy, metadata, read_back, copy: true })
    }

    pub(super) fn bucket(&self) -> crate::outbound::bucket::Bucket {
        open(self.settings.clone(), Place::Over)
    }

    pub(super) async fn metadata(&self, name: &str) -> Vec<(String, String)> {
        let mut metadata = self.bucket().look(name).await.expect("an answer").expect("it is there").metadata;
        metadata.sort();
        metadata
    }

    /// Waits until the service has ended what it has begun for an attempt that is dead; Azure cannot be asked.
    pub(super) fn settle(&self) {
        if let Some(server) = &self.server {
            server.settle();
        }
    }

    /// What lies in the service beside whole objects; Azure shows it to nobody.
    pub(super) fn parts(&self) -> usize {
        let Some(server) = &self.server else { return 0 };
        let root = server.folder().parent().expect("a bucket has a folder around it").to_owned();
        let names = std::fs::read_dir(root).expect("the folder is there");
        let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload")).count()
    }
}

impl TestTarget for Target {
    fn destination(&self, clash_policy: ClashPolicy) -> impl Destination {
        self.with(MetadataPlace::Auto, clash_policy)
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        let length = self.bucket().look(path).await.expect("an answer")?.length;
        let content: Vec<bytes::Bytes> = self
            .bucket()
            .read(path, 0..length)
            .await
            .expect("it opens")
            .try_collect()
            .await
            .expect("it reads");
        Some(content.concat())
    }

    async fn put(&self, path: &str, bytes: &[u8]) {
        let content = vec![bytes::Bytes::copy_from_slice(bytes)];
        self.bucket().put(path, content, &Labels::default(), Place::Over).await.expect("it is written");
    }

    async fn paths(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.bucket().list("").map_ok(|object| object.name).try_collect().await.expect("a listing");
        found.sort();
        found
    }

    async fn crash(&self, _: DeliveryId, _: i64, path: &str) {
        let id = self.bucket().begin(path, &Labels::default()).await.expect("it begins");
        self.bucket().put_part(path, &id, 0, vec!["con".into()]).await.expect("a part");
    }

    fn lengths(&self) -> &'static [usize] {
        // What goes in one call, and what goes in parts.
        const LENGTHS: &[usize] = &[7, 8 * MIB + 7];
        LENGTHS
    }

    async fn clear(&self) {
        self.bucket().remove(self.paths().await).await.expect("it goes");
    }

    async fn at_rest(&self) {
        let Some(server) = &self.server else { return };
        in_time("the service to end its calls", async {
            while !server.is_settled() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    fn away(&self) -> (impl Destination, impl FnOnce()) {
        by_a_closed_line(self)
    }
}

impl DistantTarget for Target {
    fn url(&self) -> String {
        match &self.settings {
            BucketSettings::S3(settings) => settings.endpoint.clone().expect("it is not Amazon's"),
            BucketSettings::Azure(settings) => settings.endpoint.clone(),
        }
    }

    fn by(&self, url: String, clash_policy: ClashPolicy) -> impl Destination {
        let settings = match self.settings.clone() {
            BucketSettings::S3(settings) => {
                BucketSettings::S3(S3Settings { endpoint: Some(url), ..settings })
            }
            BucketSettings::Azure(settings) => {
                BucketSettings::Azure(AzureSettings { endpoint: url, ..settings })
            }
        };
        let there = Self { settings, server: None };
        there.reading_back(MetadataPlace::Auto, clash_policy, self.server.is_none())
    }
}

mod on_s3 {
    use super::*;
    contract_tests!(distant: Target::s3());
}

mod on_azure {
    use super::*;
    contract_tests!(distant: match Target::azure() {
        Some(target) => target,
        None => return,
    });
}

/// One delivery that can be attempted again and again.
pub(super) struct Job {
    pub(super) delivery_id: DeliveryId,
    pub(super) upload_id: UploadId,
    pub(super) path: &'static str,
    pub(super) manifest: &'static str,
    pub(super) delivered_before: u32,
    pub(super) progress: Mutex<Option<Vec<u8>>>,
}

impl Job {
    pub(super) fn to(path: &'static str) -> Self {
        Self {
            delivery_id: DeliveryId::new(),
            upload_id: UploadId::new(),
            path,
            manifest: r#"{"sender_id":"test sender"}"#,
            delivered_before: 0,
            progress: Mutex::default(),
        }
    }

    pub(super) async fn attempt(
        &self,
        to: &ObjectDestination,
        source: MemorySource,
    ) -> Result<Delivered, DeliveryError> {
        self.attempt_with(to, source, &MemoryProgress::of(&self.progress)).await
    }

    pub(super) async fn attempt_with(
        &self,
        to: &ObjectDestination,
        source: MemorySource,
        progress: &MemoryProgress<'_>,
    ) -> Result<Delivered, DeliveryError> {
        let request = DeliveryRequest {
            delivery_id: self.delivery_id,
            lease_epoch: 1,
            delivered_before: self.delivered_before,
            upload_id: self.upload_id,
            path: self.path,
            media_type: Some("text/plain"),
            headers: &[],
            timeout: None,
            manifest: self.manifest.as_bytes(),
            progress,
            source: Box::new(source),
        };
        to.deliver(request).await
    }

    pub(super) fn kept(&self) -> Option<Value> {
        let kept = self.progress.lock().expect("no test panics in here").clone()?;
        serde_json::from_slice(&kept).ok()
    }
}

/// What goes in parts.
pub(super) fn long() -> Vec<u8> {
    (0..20 * 1024 * 1024 + 7_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect()
}

/// D-10: an attempt that dies after any part is gone on with, and what was sent is not sent again.
#[tokio::test]
async fn d_10_parts_survive_a_crash_and_are_not_sent_twice() {
    for target in Target::each() {
        let destination = target.with(MetadataPlace::Auto, ClashPolicy::SuffixUploadId);
        let content = long();
        let job = Job::to("long/file.bin");
        // The source never goes on: the attempt is dropped in the middle, as a kill would.
        let halted = job.attempt(&destination, MemorySource::new(&content).stopping_at(17 * MIB));
        tokio::select! {
            ended = halted => panic!("it cannot end: {ended:?}"),
            () = parts_are_kept(&job, 2) => {}
        }
        let kept = job.kept().expect("what was begun is kept");
        assert_eq!(target.read(job.path).await, None, "D-03");
        let delivered = job.attempt(&destination, MemorySource::new(&content)).await.expect("it goes on");
        assert_eq!(delivered.length, content.len() as u64);
        assert!(target.read(job.path).await == Some(content), "D-04");
        let after = job.kept().expect("nobody forgets before the delivery is settled");
        assert_eq!(after["id"], kept["id"]);
        assert_eq!(
            after["parts"].as_array().expect("a list")[..2],
            kept["parts"].as_array().expect("a list")[..2]
        );
        assert_eq!(target.parts(), 0);
    }
}

pub(super) async fn parts_are_kept(job: &Job, count: usize) {
    loop {
        let parts = job.kept().and_then(|kept| Some(kept["parts"].as_array()?.len())).unwrap_or_default();
        if parts >= count {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// D-02: the answer to the last call was lost, or the process died before it could be written down.
#[tokio::test]
async fn d_02_an_object_that_an_earlier_attempt_completed_is_known_again() {
    for target in Target::each() {
        for policy in [ClashPolicy::Fail, ClashPolicy::Overwrite, ClashPolicy::SuffixUploadId] {
            let destination = target.with(MetadataPlace::Auto, policy);
            let job = Job::to("completed/file.bin");
            let first = job.attempt(&destination, MemorySource::new(long())).await.expect("it is delivered");
            let again = job.attempt(&destination, MemorySource::new(long())).await.expect("it is there");
            assert_eq!(first, again);
            target.bucket().remove(target.paths().await).await.expect("it goes");
        }
    }
}

#[tokio::test]
async fn parts_that_are_worth_nothing_are_given_up() {
    let target = Target::s3();
    let destination = target.with(MetadataPlace::Auto, ClashPolicy::Overwrite);
    let cases = [
        MemorySource::new(long()).promising_sha256([7; 32]),
        MemorySource::new(long()).promising_length(20 * MIB as u64),
        MemorySource::new(long()).promising_length(21 * MIB as u64),
    ];
    for source in cases {
        let job = Job::to("wrong/file.bin");
        let error = job.attempt(&destination, source).await.expect_err("a mismatch");
        assert!(
            matches!(error, DeliveryError::LengthMismatch { .. } | DeliveryError::HashMismatch),
            "{error:?}"
        );
        assert_eq!((target.parts(), target.paths().await.len(), job.kept()), (0, 0, None));
    }
}

/// D-07: somebody takes the name while the parts are on their way.
#[tokio::test]
async fn d_07_a_name_that_was_taken_meanwhile_stays_what_it_is() {
    for target in Target::each() {
        let destination = target.with(MetadataPlace::Auto, ClashPolicy::SuffixUploadId);
        let job = Job::to("taken/file.bin");
        let halted = job.attempt(&destination, MemorySource::new(long()).stopping_at(17 * MIB));
        tokio::select! {
            ended = halted => panic!("it cannot end: {ended:?}"),
            () = parts_are_kept(&job, 2) => {}
        }
        target.put(job.path, b"other").await;
        let delivered = job.attempt(&destination, MemorySource::new(long())).await.expect("it goes beside");
        assert!(delivered.location.contains(&job.upload_id.to_string()), "{}", delivered.location);
        assert_eq!(target.read(job.path).await.as_deref(), Some(&b"other"[..]));
        assert_eq!(target.parts(), 0);
    }
}

/// W-33 and D-09.
#[tokio::test]
async fn w_33_a_manifest_goes_with_the_object_or_beside_it() {
    for target in Target::each() {
        let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
        for (path, content) in [("short", b"x".to_vec()), ("long", long())] {
            let fits = Job::to(path);
            fits.attempt(&destination, MemorySource::new(&content)).await.expect("it is delivered");
            let metadata = target.metadata(path).await;
            assert!(metadata.contains(&("sender_id".to_owned(), "test sender".to_owned())), "{metadata:?}");
            assert!(metadata.contains(&("cdex_delivery_id".to_owned(), fits.delivery_id.to_string())));
        }
        assert_eq!(target.paths().await, ["long", "short"]);

        let unfit = Job { manifest: r#"{"sender_id":"test sender","name":"naïve"}"#, ..Job::to("unfit") };
        unfit.attempt(&destination, MemorySource::new(b"x")).await.expect("it is delivered");
        assert!(!target.metadata("unfit").await.iter().any(|(name, _)| name == "sender_id"));
        assert_eq!(target.read("unfit.meta.json").await.as_deref(), Some(unfit.manifest.as_bytes()));

        let beside = target.with(MetadataPlace::Sidecar, ClashPolicy::Fail);
        Job::to("beside").attempt(&beside, MemorySource::new(b"x")).await.expect("it is delivered");
        assert!(target.read("beside.meta.json").await.is_some());
    }
}

/// W-34: the location is the one that tools of the service take.
#[tokio::test]
async fn w_34_the_location_is_canonical() {
    let target = Target::s3();
    let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
    let delivered = Job::to("a b/c+(1).txt").attempt(&destination, MemorySource::new(b"x")).await;
    assert_eq!(delivered.expect("it is delivered").location, "s3://bucket/a b/c+(1).txt");
}

#[tokio::test]
async fn a_bucket_that_is_gone_fails_until_somebody_puts_it_back() {
    let target = Target::s3();
    let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
    let server = target.server.as_ref().expect("it is S3");
    let back = server.go_away();
    destination.check().await.expect_err("the bucket is gone");
    for content in [b"x".to_vec(), long()] {
        let error =
            Job::to("name").attempt(&destination, MemorySource::new(&content)).await.expect_err("it is gone");
        assert!(error.retry() == Retry::OnSchedule, "{error:?}");
    }
    back();
    Job::to("name").attempt(&destination, MemorySource::new(b"x")).await.expect("it is delivered");
}

/// D-05: the service says when.
#[tokio::test]
async fn d_05_a_throttled_target_is_asked_again_when_it_says() {
    let throttled =
        |_: &crate::outbound::testing::Received| Reply::new(503, "Retry-After: 40\r\n", "<Error/>");
    let server = FakeServer::start(throttled).await;
    let target = Target { settings: s3_settings(server.url()), server: None };
    let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
    for content in [b"x".to_vec(), long()] {
        let error =
            Job::to("name").attempt(&destination, MemorySource::new(&content)).await.expect_err("a refusal");
        assert_eq!(error.retry(), Retry::NotBefore(Duration::from_secs(40)), "{error:?}");
    }
}

/// D-04: a service that keeps other bytes than it was sent, and says that all is well.
#[tokio::test]
async fn d_04_bytes_that_the_service_changed_are_no_delivery() {
    let (kept, job) = (Mutex::new(String::new()), Job::to("name"));
    let label = format!("x-amz-meta-cdex_delivery_id: {}\r\n", job.delivery_id);
    let server = FakeServer::start(move |request| {
        let method = request.line().split(' ').next().unwrap_or_default().to_owned();
        let mut kept = kept.lock().expect("no test panics here");
        let fields = "ETag: \"x\"\r\nLast-Modified: Sun, 22 Nov 2026 06:00:00 GMT\r\n";
        match method.as_str() {
            "PUT" => {
                *kept = request.body.replace('c', "k");
                Reply::new(200, fields, "")
            }
            "GET" => {
                let range = format!("{fields}Content-Range: bytes 0-{}/{}\r\n", kept.len() - 1, kept.len());
                Reply::new(206, &range, &kept)
            }
            "HEAD" => Reply::new(200, &format!("{fields}{label}"), &kept),
            _ => Reply::new(404, "", ""),
        }
    })
    .await;
    let target = Target { settings: s3_settings(server.url()), server: None };
    let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
    let error = job.attempt(&destination, MemorySource::new(b"content")).await.expect_err("other bytes");
    assert!(matches!(error, DeliveryError::HashMismatch), "{error:?}");
    assert_eq!(server.lines().last().map(String::as_str), Some("DELETE /bucket/name"), "nobody may find it");
}

#[test]
fn what_can_help_is_told_by_kind() {
    let cases = [
        (BucketError::Name, Retry::Never),
        (BucketError::Settings, Retry::Never),
        (BucketError::NotFound, Retry::OnSchedule),
        (BucketError::Forbidden, Retry::OnSchedule),
        (BucketError::Failed, Retry::OnSchedule),
        (BucketError::Refused { status: 413, retry_after: None }, Retry::Never),
        (BucketError::Refused { status: 400, retry_after: None }, Retry::OnSchedule),
        (
            BucketError::Refused { status: 429, retry_after: Some(Duration::from_secs(3)) },
            Retry::NotBefore(Duration::from_secs(3)),
        ),
    ];
    for (error, expected) in cases {
        assert_eq!(DeliveryError::from(error).retry(), expected, "{error:?}");
    }
}
