//! Tests that every destination must pass, whatever is behind it. A destination's own tests implement
//! [`TestTarget`] and expand [`contract_tests!`].

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use super::testing::{Line, Trouble, WAIT, in_time};
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
    /// Lengths of uploads that go different ways to it.
    fn lengths(&self) -> &'static [usize];
    /// Takes away all that is there.
    fn clear(&self) -> impl Future<Output = ()>;
    /// Waits until it has ended what it has begun for attempts that are dead, as far as it can be asked.
    fn at_rest(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }
    /// A destination in front of it that cannot be reached until what comes with it is called.
    fn away(&self) -> (impl Destination, impl FnOnce());
}

/// A target on a socket: a line to it can be put under the calls.
pub(super) trait DistantTarget: TestTarget {
    /// The URL of its service.
    fn url(&self) -> String;
    /// The destination in front of it, which reaches the service by another URL.
    fn by(&self, url: String, clash_policy: ClashPolicy) -> impl Destination;
}

/// A distant target that is away, as [`TestTarget::away`] says.
pub(super) fn by_a_closed_line(target: &impl DistantTarget) -> (impl Destination, impl FnOnce()) {
    let line = Line::closed(&target.url());
    (target.by(line.url(), ClashPolicy::Fail), move || line.open())
}

/// Expands one test for each rule of the contract on the targets that `$fresh` makes.
macro_rules! contract_tests {
    (distant: $fresh:expr) => {
        contract_tests!($fresh);
        contract_tests!($fresh;
            a_kill_at_any_call_leaves_one_whole_object,
            a_target_that_goes_away_at_any_call_gets_one_whole_object,
            a_target_that_is_throttled_at_any_call_is_left_alone_for_as_long_as_it_says,
            a_service_that_hangs_holds_up_only_its_own_attempt,
        );
    };
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
            a_target_that_is_gone_is_delivered_to_once_it_is_back,
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

/// Bytes of which no part looks like the next.
fn content(length: usize) -> Vec<u8> {
    b"abcdefghijklmnopqrstuvw".iter().copied().cycle().take(length).collect()
}

/// Nothing but this content is there, once what a dropped attempt had staged is gone.
async fn assert_is_all(target: &impl TestTarget, path: &str, content: &[u8]) {
    in_time("one object and no other", async {
        while target.paths().await.len() != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(target.read(path).await.as_deref() == Some(content), "other bytes are at {path}");
}

/// D-03, W-11: however much of its bytes was read.
pub(super) async fn a_delivery_that_is_given_up_shows_nothing(target: &impl TestTarget) {
    for &length in target.lengths() {
        let content = content(length);
        for stops_at in [0, 1, length / 2, length - 1, length] {
            target.clear().await;
            let job = Job::to("given/up.txt");
            let source = MemorySource::new(&content).stopping_at(stops_at);
            let stop = source.stop();
            let destination = target.destination(ClashPolicy::Fail);
            // The source never goes on; the attempt is dropped in the middle of it.
            tokio::select! {
                ended = job.attempt(&destination, 1, source) => panic!("it cannot end: {ended:?}"),
                () = in_time("the source to be read", stop.notified()) => {}
            }
            drop(destination);
            target.at_rest().await;
            assert_eq!(target.read(&job.path).await, None, "{stops_at} of {length}");
            let destination = target.destination(ClashPolicy::Fail);
            let next = job.attempt(&destination, 2, MemorySource::new(&content)).await;
            next.expect("the next one delivers");
            assert_is_all(target, &job.path, &content).await;
        }
    }
}

/// Nobody listens, or a folder cannot be made.
pub(super) async fn a_target_that_is_gone_is_delivered_to_once_it_is_back(target: &impl TestTarget) {
    let (destination, come_back) = target.away();
    destination.check().await.expect_err("it is gone");
    let job = Job::to("gone/name.txt");
    for lease_epoch in [1, 2] {
        let outcome = job.attempt(&destination, lease_epoch, MemorySource::new(b"content")).await;
        let error = outcome.expect_err("it is gone");
        assert_eq!(error.retry(), Retry::OnSchedule, "{error:?}");
        assert_eq!(target.paths().await, [""; 0]);
    }
    come_back();
    destination.check().await.expect("it is back");
    job.attempt(&destination, 3, MemorySource::new(b"content")).await.expect("it is delivered");
    assert_is_all(target, &job.path, b"content").await;
}

/// Wherever the process dies: after half of any call, and after any call whose answer it does not see.
pub(super) async fn a_kill_at_any_call_leaves_one_whole_object(target: &impl DistantTarget) {
    for (&length, trouble) in both(target.lengths(), [Trouble::Half, Trouble::Mute]) {
        let (line, content) = (Line::to(&target.url()), content(length));
        for call in 1.. {
            target.clear().await;
            let job = Job::to("killed/name.bin");
            let destination = target.by(line.url(), ClashPolicy::Fail);
            line.meet(call, trouble);
            let ended = tokio::select! {
                ended = job.attempt(&destination, 1, MemorySource::new(&content)) => Some(ended),
                () = line.met() => None,
            };
            // The process is gone, and its connections with it.
            drop(destination);
            line.go_on();
            if let Some(ended) = ended {
                ended.expect("it has fewer calls, and is delivered");
                assert!(call > 1, "none of its calls was seen");
                break;
            }
            line.quiet().await;
            target.at_rest().await;
            let seen = target.read(&job.path).await;
            assert!(
                seen.is_none_or(|seen| seen == content),
                "half of it is seen: {trouble:?} at call {call} of {length}"
            );
            let destination = target.by(line.url(), ClashPolicy::Fail);
            let next = job.attempt(&destination, 2, MemorySource::new(&content)).await;
            next.unwrap_or_else(|error| panic!("{trouble:?} at call {call} of {length}: {error:?}"));
            assert_is_all(target, &job.path, &content).await;
        }
    }
}

/// Each of these lengths in each of these troubles.
fn both<const N: usize>(
    lengths: &'static [usize],
    troubles: [Trouble; N],
) -> impl Iterator<Item = (&'static usize, Trouble)> {
    lengths.iter().flat_map(move |length| troubles.map(|trouble| (length, trouble)))
}

/// Has each call of an attempt, and all after it, get into trouble. The error is to be as `judge` says, and the next
/// attempt delivers.
async fn recovers_at_any_call<const N: usize>(
    target: &impl DistantTarget,
    troubles: [Trouble; N],
    judge: impl Fn(&DeliveryError),
) {
    for (&length, trouble) in both(target.lengths(), troubles) {
        let (line, content) = (Line::to(&target.url()), content(length));
        let destination = target.by(line.url(), ClashPolicy::Fail);
        for call in 1.. {
            target.clear().await;
            let job = Job::to("troubled/name.bin");
            line.meet(call, trouble);
            let ended = job.attempt(&destination, 1, MemorySource::new(&content)).await;
            let is_met = line.has_met();
            line.go_on();
            if !is_met {
                ended.expect("it has fewer calls, and is delivered");
                assert!(call > 1, "none of its calls was seen");
                break;
            }
            judge(&ended.expect_err("nothing helps from that call on"));
            let next = job.attempt(&destination, 2, MemorySource::new(&content)).await;
            next.unwrap_or_else(|error| panic!("{trouble:?} at call {call} of {length}: {error:?}"));
            assert_is_all(target, &job.path, &content).await;
        }
    }
}

/// The answer to any call is lost, and nothing is to be had after it.
pub(super) async fn a_target_that_goes_away_at_any_call_gets_one_whole_object(target: &impl DistantTarget) {
    recovers_at_any_call(target, [Trouble::HangUp], |error| {
        assert_eq!(error.retry(), Retry::OnSchedule, "{error:?}");
    })
    .await;
}

/// Whichever call is the first to be refused for a while.
pub(super) async fn a_target_that_is_throttled_at_any_call_is_left_alone_for_as_long_as_it_says(
    target: &impl DistantTarget,
) {
    recovers_at_any_call(target, [Trouble::Refuse(429), Trouble::Refuse(503)], |error| {
        // Another DEX that has all bytes is only asked what became of them: that it said when is not kept.
        let expected = match error {
            DeliveryError::NotYet { .. } => Retry::OnSchedule,
            _ => Retry::NotBefore(WAIT),
        };
        assert_eq!(error.retry(), expected, "{error:?}");
    })
    .await;
}

/// While any call of one delivery waits for its answer another one is made, by the same destination.
pub(super) async fn a_service_that_hangs_holds_up_only_its_own_attempt(target: &impl DistantTarget) {
    for &length in target.lengths() {
        let (line, content) = (Line::to(&target.url()), content(length));
        let destination = target.by(line.url(), ClashPolicy::Fail);
        for call in 1.. {
            target.clear().await;
            let [slow, other] = [Job::to("held/slow.bin"), Job::to("held/other.bin")];
            line.meet(call, Trouble::Hold);
            let mut held = std::pin::pin!(slow.attempt(&destination, 1, MemorySource::new(&content)));
            tokio::select! {
                ended = &mut held => {
                    ended.expect("it has fewer calls, and is delivered");
                    assert!(call > 1, "none of its calls was seen");
                    break;
                }
                () = line.met() => {}
            }
            let made = tokio::select! {
                ended = &mut held => panic!("it cannot end: {ended:?}"),
                made = other.attempt(&destination, 1, MemorySource::new(b"x")) => made,
            };
            made.expect("it waits for nobody");
            line.go_on();
            held.await.expect("it is delivered after all");
            assert_eq!(target.paths().await.len(), 2, "call {call} of {length}");
        }
    }
}
