//! Tests that every destination must pass, whatever is behind it. A destination's own tests implement
//! [`TestTarget`] and expand [`contract_tests!`].

use std::future::Future;
use std::sync::Mutex;

use super::{Delivered, DeliveryRequest, Destination};
use crate::delivery::ClashPolicy;
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::delivery::{DeliveryError, Retry};
use crate::id::{DeliveryId, UploadId};
use crate::upload::SourceError;

/// A target that can be looked into from outside.
pub(super) trait TestTarget {
    /// The destination in front of it.
    fn destination(&self, clash_policy: ClashPolicy) -> impl Destination;
    /// What is at `path`.
    fn read(&self, path: &str) -> impl Future<Output = Option<Vec<u8>>>;
    /// Puts something at `path`, as somebody else would.
    fn put(&self, path: &str, bytes: &[u8]) -> impl Future<Output = ()>;
    /// Everything that is there, finished or not.
    fn paths(&self) -> impl Future<Output = Vec<String>>;
    /// Leaves what an attempt leaves that was killed half-way through this request.
    fn crash(&self, delivery_id: DeliveryId, lease_epoch: i64, path: &str) -> impl Future<Output = ()>;
}

/// Expands one test for each rule of the contract on the targets that `$fresh` makes.
macro_rules! contract_tests {
    ($fresh:expr) => {
        contract_tests!($fresh;
            an_upload_arrives_whole_however_deep_its_path_and_however_large_it_is,
            the_same_delivery_twice_leaves_what_once_leaves,
            another_upload_with_the_same_bytes_gets_a_name_of_its_own,
            a_crashed_attempt_leaves_nothing_after_the_next_one,
            a_source_that_fails_leaves_nothing,
            bytes_that_are_not_the_promised_ones_leave_nothing,
            other_content_at_the_path_is_treated_as_the_policy_says,
            a_path_that_leads_out_of_the_target_is_refused,
            a_delivery_that_is_given_up_shows_nothing,
        );
    };
    ($fresh:expr; $($rule:ident,)*) => {
        $(#[tokio::test]
        async fn $rule() {
            crate::delivery::destination::contract::$rule(&$fresh).await;
        })*
    };
}
pub(super) use contract_tests;

/// One delivery that can be attempted again and again.
struct Job {
    delivery_id: DeliveryId,
    upload_id: UploadId,
    path: String,
    progress: Mutex<Option<Vec<u8>>>,
}

impl Job {
    fn to(path: &str) -> Self {
        Self {
            delivery_id: DeliveryId::new(),
            upload_id: UploadId::new(),
            path: path.to_owned(),
            progress: Mutex::default(),
        }
    }

    async fn attempt(
        &self,
        destination: &impl Destination,
        lease_epoch: i64,
        source: MemorySource,
    ) -> Result<Delivered, DeliveryError> {
        let request = DeliveryRequest {
            delivery_id: self.delivery_id,
            lease_epoch,
            delivered_before: 0,
            upload_id: self.upload_id,
            path: &self.path,
            media_type: None,
            headers: &[],
            timeout: None,
            manifest: br#"{"sender_id":"test sender"}"#,
            progress: &MemoryProgress::of(&self.progress),
            source: Box::new(source),
        };
        destination.deliver(request).await
    }
}

/// D-03, D-04
pub(super) async fn an_upload_arrives_whole_however_deep_its_path_and_however_large_it_is(
    target: &impl TestTarget,
) {
    let destination = target.destination(ClashPolicy::Fail);
    destination.check().await.expect("the target answers");
    let deep = "a/".repeat(20) + "name.bin";
    for (path, length) in [("empty", 0), ("2025/05/05/one", 1), (deep.as_str(), 3_500_000)] {
        let bytes: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
        let source = MemorySource::new(bytes.clone());
        let sha256 = source.real_sha256();
        let delivered = Job::to(path).attempt(&destination, 1, source).await.expect("it is delivered");
        assert_eq!((delivered.length, delivered.sha256), (u64::from(length), sha256));
        assert!(delivered.location.ends_with(path), "{}", delivered.location);
        assert_eq!(target.read(path).await, Some(bytes));
    }
    assert_eq!(target.paths().await.len(), 3);
}

/// D-02
pub(super) async fn the_same_delivery_twice_leaves_what_once_leaves(target: &impl TestTarget) {
    let policies = [ClashPolicy::Fail, ClashPolicy::Overwrite, ClashPolicy::SuffixUploadId];
    for (number, policy) in (1..).zip(policies) {
        let destination = target.destination(policy);
        let job = Job::to(&format!("twice/name-{number}.txt"));
        let first = job.attempt(&destination, 1, MemorySource::new(b"content")).await.expect("once");
        let second = job.attempt(&destination, 2, MemorySource::new(b"content")).await.expect("twice");
        assert_eq!(first, second);
        assert_eq!(target.paths().await.len(), number);
    }
}

/// D-07, W-10
pub(super) async fn another_upload_with_the_same_bytes_gets_a_name_of_its_own(target: &impl TestTarget) {
    let destination = target.destination(ClashPolicy::SuffixUploadId);
    let [one, other] = [Job::to("same/name.txt"), Job::to("same/name.txt")];
    one.attempt(&destination, 1, MemorySource::new(b"content")).await.expect("it is delivered");
    let first = other.attempt(&destination, 1, MemorySource::new(b"content")).await.expect("beside it");
    assert!(first.location.contains(&other.upload_id.to_string()), "{}", first.location);
    assert_eq!(target.paths().await.len(), 2);
}

/// D-03, W-11
pub(super) async fn a_crashed_attempt_leaves_nothing_after_the_next_one(target: &impl TestTarget) {
    let job = Job::to("crashed/name.txt");
    target.crash(job.delivery_id, 1, &job.path).await;
    assert_eq!(target.read(&job.path).await, None);
    let destination = target.destination(ClashPolicy::Fail);
    job.attempt(&destination, 2, MemorySource::new(b"content")).await.expect("it is delivered");
    assert_eq!(target.paths().await, ["crashed/name.txt"]);
    assert_eq!(target.read(&job.path).await.as_deref(), Some(&b"content"[..]));
}

/// D-04, W-04
pub(super) async fn a_source_that_fails_leaves_nothing(target: &impl TestTarget) {
    let destination = target.destination(ClashPolicy::Overwrite);
    for fails_at in [0, 3, 7] {
        let source = MemorySource::new(b"content").failing_at(fails_at);
        let outcome = Job::to("failed/name.txt").attempt(&destination, 1, source).await;
        assert!(matches!(outcome, Err(DeliveryError::Source(SourceError::Truncated))), "{outcome:?}");
        assert_eq!(target.paths().await, [""; 0]);
    }
}

/// D-04, W-04
pub(super) async fn bytes_that_are_not_the_promised_ones_leave_nothing(target: &impl TestTarget) {
    let destination = target.destination(ClashPolicy::Overwrite);
    let cases = [
        MemorySource::new(b"content").promising_length(6),
        MemorySource::new(b"content").promising_length(8),
        MemorySource::new(b"content").promising_sha256([7; 32]),
    ];
    for source in cases {
        let error = Job::to("wrong/name.txt").attempt(&destination, 1, source).await.expect_err("a mismatch");
        let known = matches!(error, DeliveryError::LengthMismatch { .. } | DeliveryError::HashMismatch);
        assert!(known && error.retry() == Retry::OnSchedule, "{error:?}");
        assert_eq!(target.paths().await, [""; 0]);
    }
}

/// D-07, W-10
pub(super) async fn other_content_at_the_path_is_treated_as_the_policy_says(target: &impl TestTarget) {
    let job = Job::to("taken/name.v1.txt");
    target.put(&job.path, b"other").await;
    let new = || MemorySource::new(b"newer");

    let refused = job.attempt(&target.destination(ClashPolicy::Fail), 1, new()).await;
    let refused = refused.expect_err("the path is taken");
    assert!(matches!(refused, DeliveryError::PathTaken) && refused.retry() == Retry::Never);
    assert_eq!(target.paths().await, ["taken/name.v1.txt"]);
    assert_eq!(target.read(&job.path).await.as_deref(), Some(&b"other"[..]));

    let beside = format!("taken/name.v1_{}.txt", job.upload_id);
    for lease_epoch in [2, 3] {
        let destination = target.destination(ClashPolicy::SuffixUploadId);
        let delivered = job.attempt(&destination, lease_epoch, new()).await.expect("it goes beside");
        assert!(delivered.location.ends_with(&beside), "{}", delivered.location);
        assert_eq!(target.read(&job.path).await.as_deref(), Some(&b"other"[..]));
        assert_eq!(target.read(&beside).await.as_deref(), Some(&b"newer"[..]));
        assert_eq!(target.paths().await.len(), 2);
    }

    job.attempt(&target.destination(ClashPolicy::Overwrite), 4, new()).await.expect("it replaces");
    assert_eq!(target.read(&job.path).await.as_deref(), Some(&b"newer"[..]));
    assert_eq!(target.paths().await.len(), 2);
}

/// W-05
pub(super) async fn a_path_that_leads_out_of_the_target_is_refused(target: &impl TestTarget) {
    let destination = target.destination(ClashPolicy::Overwrite);
    for path in ["", "/", "/etc/x", "..", "../x", "a/../../x", "a//x", "a/./x", "a/", "a\0b", "a/.part-x"] {
        let outcome = Job::to(path).attempt(&destination, 1, MemorySource::new(b"content")).await;
        let error = outcome.expect_err("the path is refused");
        assert!(matches!(error, DeliveryError::PathRefused) && error.retry() == Retry::Never, "{path:?}");
    }
    assert_eq!(target.paths().await, [""; 0]);
}

/// D-03, W-11
pub(super) async fn a_delivery_that_is_given_up_shows_nothing(target: &impl TestTarget) {
    let destination = target.destination(ClashPolicy::Fail);
    let job = Job::to("given/up.txt");
    let source = MemorySource::new(b"content").stopping_at(3);
    let attempt = job.attempt(&destination, 1, source);
    // The source never goes on; the attempt is dropped in the middle of it.
    let halted = futures_util::FutureExt::now_or_never(attempt);
    assert!(halted.is_none(), "{halted:?}");
    assert_eq!(target.read(&job.path).await, None);
    job.attempt(&destination, 2, MemorySource::new(b"content")).await.expect("the next one delivers");
    assert_eq!(target.read(&job.path).await.as_deref(), Some(&b"content"[..]));
}
