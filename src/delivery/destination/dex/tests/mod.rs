//! Deliveries to another DEX that fails as it is told, over real sockets: what is sent twice, what is resumed, and what
//! is never complete over there.

mod contract;
mod progress;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::SystemClock;
use crate::delivery::Retry;
use crate::delivery::dex_target::DexCredential;
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::id::{DeliveryId, UploadId};
use crate::outbound::Reach;
use crate::outbound::testing::{Received, Reply};
use crate::outbound::tus::Locations;
use crate::outbound::tus::testing::{FakeTus, Fault, HASTY, State};

const CONTENT: &[u8] = b"0123456789abcdefghij";

/// A DEX: a tus server that tells at `/info` what became of its uploads.
async fn dex() -> FakeTus {
    FakeTus::start_with(info).await
}

/// What a DEX without targets says.
fn info(request: &Received, state: &State) -> Option<Reply> {
    let id: usize = request.line().strip_prefix("GET /info/")?.parse().expect("an id of the server");
    let upload = &state.uploads[id];
    let status = if upload.content.len() == upload.length { "Complete" } else { "In Progress" };
    Some(Reply::json(&json!({ "upload_status": { "status": status }, "deliveries": null })))
}

fn destination(fake: &FakeTus, change: impl FnOnce(&mut DexTarget)) -> DexDestination {
    let mut target = DexTarget {
        url: fake.create_url(),
        info_url: Some(format!("{}/info", fake.url())),
        login: DexCredential::None,
        chunk_bytes: 7,
        locations: Locations::AsIs,
        wait_for: WaitFor::Complete,
        expected_targets: Vec::new(),
        metadata: Vec::new(),
        reach: Reach::Everywhere,
    };
    change(&mut target);
    let clock: SharedClock = Arc::new(SystemClock);
    DexDestination::with_patience(target, &clock, HASTY, HASTY).expect("TLS can be set up")
}

/// One delivery that can be attempted again and again.
#[derive(Default)]
struct Job(Mutex<Option<Vec<u8>>>);

impl Job {
    async fn attempt(
        &self,
        destination: &DexDestination,
        source: MemorySource,
    ) -> Result<Delivered, DeliveryError> {
        self.attempt_with(destination, source, &MemoryProgress::of(&self.0)).await
    }

    async fn attempt_with(
        &self,
        destination: &DexDestination,
        source: MemorySource,
        progress: &dyn Progress,
    ) -> Result<Delivered, DeliveryError> {
        let request = DeliveryRequest {
            delivery_id: DeliveryId::new(),
            lease_epoch: 1,
            delivered_before: 0,
            upload_id: UploadId::new(),
            path: "not/used",
            media_type: None,
            headers: &[],
            timeout: None,
            manifest: br#"{"data_stream_id":"a","sender_id":"b"}"#,
            progress,
            source: Box::new(source),
        };
        destination.deliver(request).await
    }

    fn kept(&self) -> Kept {
        let kept = self.0.lock().expect("no test panics in here");
        serde_json::from_slice(kept.as_deref().expect("something was kept")).expect("it can be read")
    }

    fn keep(&self, kept: &Kept) {
        let kept = serde_json::to_vec(kept).expect("JSON");
        *self.0.lock().expect("no test panics in here") = Some(kept);
    }
}

fn source() -> MemorySource {
    MemorySource::new(CONTENT)
}

/// Waits until so many bytes of the first upload have arrived.
async fn arrived(fake: &FakeTus, bytes: usize) {
    while fake.state().uploads.first().is_none_or(|upload| upload.content.len() < bytes) {
        tokio::task::yield_now().await;
    }
}

/// F-02, F-04, F-09, F-10
#[tokio::test]
async fn f_09_an_upload_is_sent_in_chunks_and_delivered_when_the_other_side_says_complete() {
    let fake = dex().await;
    let destination = destination(&fake, |target| target.metadata = vec![("sender_id".into(), "c".into())]);
    destination.check().await.expect("it answers");
    for content in [CONTENT, b"", b"x"] {
        let source = MemorySource::new(content);
        let sha256 = source.real_sha256();
        let delivered = Job::default().attempt(&destination, source).await.expect("it is delivered");
        assert_eq!((delivered.length, delivered.sha256), (content.len() as u64, sha256));
        let uploads = fake.complete();
        let last = uploads.last().expect("an upload");
        assert_eq!(last.content.as_bytes(), content);
        assert_eq!(delivered.location, format!("{}/{}", fake.create_url(), uploads.len() - 1));
    }
    let metadata = &fake.complete()[0].metadata;
    assert!(metadata.contains("sender_id Yw==") && metadata.contains("meta_ext_uploadid "), "{metadata}");
}

/// F-05, F-06, F-11: wherever the line, the other side or we break, one upload becomes complete.
#[tokio::test]
async fn f_06_f_11_whatever_breaks_at_whichever_step_one_upload_becomes_complete() {
    let faults = || [Fault::Cut(3), Fault::Mute, Fault::status(500), Fault::status(423), Fault::status(409)];
    for method in ["POST", "PATCH", "HEAD"] {
        for fault in faults() {
            for before in 0..3 {
                let fake = dex().await;
                let told = format!("{method} {fault:?} after {before}");
                let destination = destination(&fake, |_| {});
                let job = Job::default();
                if before > 0 {
                    // The first attempt is dropped in the middle, as by a crash.
                    tokio::select! {
                        _ = job.attempt(&destination, source().stopping_at(before * 7)) => panic!("{told}"),
                        () = arrived(&fake, before * 7) => {}
                    }
                }
                // More failures than one attempt bears.
                fake.fail(method, (0..6).map(|_| fault.clone()));
                let mut attempts = 0;
                let delivered = loop {
                    attempts += 1;
                    assert!(attempts < 12, "{told}");
                    match job.attempt(&destination, source()).await {
                        Ok(delivered) => break delivered,
                        Err(error) => assert_eq!(error.retry(), Retry::OnSchedule, "{told}: {error}"),
                    }
                };
                assert_eq!(delivered.length, 20, "{told}");
                let complete = fake.complete();
                assert_eq!((complete.len(), complete[0].content.as_bytes()), (1, CONTENT), "{told}");
            }
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let status = prop::sample::select(vec![408, 409, 423, 429, 460, 500, 502, 503, 507]);
    prop_oneof![(0_usize..9).prop_map(Fault::Cut), Just(Fault::Mute), status.prop_map(Fault::status)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// F-05, F-11: any failures of the line and the other side, and any of ours, in any order.
    #[test]
    fn f_11_no_series_of_failures_makes_two_of_one_upload(
        faults in prop::collection::vec((prop::sample::select(vec!["POST", "PATCH", "HEAD"]), fault()), 0..16),
        ours in prop::collection::vec(0_usize..20, 0..4),
        chunk_bytes in 1_usize..30,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let complete = runtime.block_on(async {
            let fake = dex().await;
            let destination = destination(&fake, |target| target.chunk_bytes = chunk_bytes);
            let job = Job::default();
            for (method, fault) in faults {
                fake.fail(method, [fault]);
            }
            for fails_at in ours {
                let _ = job.attempt(&destination, source().failing_at(fails_at)).await;
            }
            // Each attempt meets at least one of the failures, or delivers.
            for _ in 0..20 {
                if job.attempt(&destination, source()).await.is_ok() {
                    return fake.complete();
                }
            }
            panic!("it is never delivered");
        });
        prop_assert_eq!(complete.len(), 1);
        prop_assert_eq!(complete[0].content.as_bytes(), CONTENT);
    }
}

/// F-06
#[tokio::test]
async fn f_06_the_url_is_remembered_before_the_first_byte() {
    let fake = dex().await;
    let job = Job::default();
    fake.fail("PATCH", (0..9).map(|_| Fault::status(500)));
    fake.fail("HEAD", (0..9).map(|_| Fault::status(500)));
    job.attempt(&destination(&fake, |_| {}), source()).await.expect_err("it is given up for now");
    let kept = job.kept();
    let url = format!("{}/0", fake.create_url());
    assert_eq!(kept, Kept { url: Some(url), is_sent: false, is_second: false });
    assert!(fake.state().uploads[0].content.is_empty());
}

/// F-05, F-11: after all bytes were acknowledged nothing is sent again, whatever became of the settlement.
#[tokio::test]
async fn f_11_what_was_acknowledged_in_whole_is_not_sent_again() {
    let fake = dex().await;
    let job = Job::default();
    let first = job.attempt(&destination(&fake, |_| {}), source()).await.expect("it is delivered");
    let requests = fake.seen().len();
    let second = job.attempt(&destination(&fake, |_| {}), source()).await.expect("it was delivered");
    assert_eq!(first, second);
    let lines: Vec<String> =
        fake.seen()[requests..].iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(lines, ["GET /info/0"]);
}

/// F-05
#[tokio::test]
async fn f_05_an_upload_that_is_lost_is_begun_anew_once() {
    for at in [0, 1] {
        let fake = dex().await;
        let destination = destination(&fake, |_| {});
        let job = Job::default();
        let url = format!("{}/0", fake.create_url());
        job.keep(&Kept { url: Some(url), ..Kept::default() });
        fake.state().uploads.push(crate::outbound::tus::testing::FakeUpload {
            length: CONTENT.len(),
            is_gone: at == 0,
            ..Default::default()
        });
        if at == 1 {
            // It is lost while bytes are on their way: what was read is read again by the next attempt.
            fake.fail("PATCH", [Fault::status(404)]);
            let lost = job.attempt(&destination, source()).await.expect_err("it is lost");
            assert_eq!(lost.retry(), Retry::OnSchedule);
        }
        job.attempt(&destination, source()).await.expect("it is delivered");
        assert_eq!(fake.complete().len(), 1);
        assert!(job.kept().is_second);
    }
    let fake = dex().await;
    let job = Job::default();
    job.keep(&Kept { url: Some(format!("{}/0", fake.create_url())), is_second: true, ..Kept::default() });
    fake.state().uploads.push(crate::outbound::tus::testing::FakeUpload {
        length: CONTENT.len(),
        is_gone: true,
        ..Default::default()
    });
    let lost = job.attempt(&destination(&fake, |_| {}), source()).await.expect_err("it is lost twice");
    assert!(matches!(lost, DeliveryError::LostTwice) && lost.retry() == Retry::Never);
    // Whoever asks for it again wants it sent.
    job.attempt(&destination(&fake, |_| {}), source()).await.expect("it is delivered");
    assert_eq!(fake.complete().len(), 1);
}

/// F-11: an upload that is gone because it was complete is not sent again.
#[tokio::test]
async fn f_11_info_is_asked_before_a_lost_upload_is_begun_anew() {
    let fake = dex().await;
    let job = Job::default();
    job.keep(&Kept { url: Some(format!("{}/0", fake.create_url())), ..Kept::default() });
    fake.state().uploads.push(crate::outbound::tus::testing::FakeUpload {
        content: String::from_utf8_lossy(CONTENT).into_owned(),
        length: CONTENT.len(),
        is_gone: true,
        ..Default::default()
    });
    let delivered = job.attempt(&destination(&fake, |_| {}), source()).await.expect("it was delivered");
    assert!(delivered.location.ends_with("/files/0"));
    assert!(!fake.methods().contains(&"POST".to_owned()));
}

/// A DEX that has an upload in whole and does not show it any more, where `/info` is asked `hidden` times before it
/// says so.
async fn dex_that_is_slow_to_tell(hidden: usize, status: u16) -> (FakeTus, Job) {
    let asked = AtomicUsize::new(0);
    let fake = FakeTus::start_with(move |request, state| {
        request.line().strip_prefix("GET /info/")?;
        if asked.fetch_add(1, Ordering::Relaxed) < hidden {
            return Some(Reply::new(status, "", ""));
        }
        info(request, state)
    })
    .await;
    fake.state().uploads.push(crate::outbound::tus::testing::FakeUpload {
        content: String::from_utf8_lossy(CONTENT).into_owned(),
        length: CONTENT.len(),
        is_gone: true,
        ..Default::default()
    });
    let job = Job::default();
    job.keep(&Kept { url: Some(format!("{}/0", fake.create_url())), ..Kept::default() });
    (fake, job)
}

/// F-09, F-11: an id that is not visible yet, or a server in trouble, does not mean that the upload was lost.
#[tokio::test]
async fn f_09_f_11_a_lost_upload_is_asked_after_until_the_answer_is_known() {
    for status in [404, 500, 503] {
        let (fake, job) = dex_that_is_slow_to_tell(3, status).await;
        job.attempt(&destination(&fake, |_| {}), source()).await.expect("it was delivered");
        assert!(!fake.methods().contains(&"POST".to_owned()), "{status}");
    }
    for status in [401, 403, 500, 503] {
        let (fake, job) = dex_that_is_slow_to_tell(4, status).await;
        let unknown = job.attempt(&destination(&fake, |_| {}), source()).await.expect_err("nobody knows");
        assert_eq!(unknown.retry(), Retry::OnSchedule, "{status}");
        job.attempt(&destination(&fake, |_| {}), source()).await.expect("it was delivered");
        assert!(!fake.methods().contains(&"POST".to_owned()), "{status}");
    }
}

/// F-05: a server that has lost acknowledged bytes gets them again, from an attempt that can read them.
#[tokio::test]
async fn a_server_that_falls_back_gets_the_bytes_again() {
    let fake = dex().await;
    let job = Job::default();
    let destination = destination(&fake, |_| {});
    fake.fail("PATCH", [Fault::Answer(Reply::new(204, "Upload-Offset: 7\r\n", "")), Fault::status(500)]);
    let lost = job.attempt(&destination, source()).await.expect_err("the bytes were given up");
    assert!(matches!(lost, DeliveryError::Rewound) && lost.retry() == Retry::OnSchedule);
    job.attempt(&destination, source()).await.expect("it is delivered");
    assert_eq!(fake.complete()[0].content.as_bytes(), CONTENT);
}

/// F-07
#[tokio::test]
async fn f_07_a_refused_manifest_is_told_to_the_sender_and_not_to_the_log() {
    let fake = dex().await;
    let body =
        r#"{"upload_id":"x","validation_errors":["validation failure","sender_id had disallowed value ZZ"]}"#;
    fake.fail("POST", [Fault::Answer(Reply::new(400, "Content-Type: text/plain\r\n", body))]);
    let error = Job::default().attempt(&destination(&fake, |_| {}), source()).await.expect_err("refused");
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(error.to_string(), "the server answered with status 400 and a reason");
    assert_eq!(
        error.issue(),
        "the server answered with status 400 and a reason: sender_id had disallowed value ZZ"
    );
}

/// F-01, F-08
#[tokio::test]
async fn f_08_who_is_not_let_in_waits_for_somebody_and_who_may_not_gives_up() {
    for (status, retry) in [(401, Retry::OnSchedule), (403, Retry::Never), (413, Retry::Never)] {
        let fake = dex().await;
        fake.fail("POST", [Fault::status(status)]);
        let error = Job::default().attempt(&destination(&fake, |_| {}), source()).await.expect_err("refused");
        assert_eq!(error.retry(), retry, "{status}");
    }
    let fake = dex().await;
    fake.fail("POST", [Fault::Answer(Reply::new(503, "Retry-After: 90\r\n", ""))]);
    let error = Job::default().attempt(&destination(&fake, |_| {}), source()).await.expect_err("not now");
    assert_eq!(error.retry(), Retry::NotBefore(Duration::from_secs(90)));
}

/// F-01: several deliveries whose token has ended fetch one new one.
#[tokio::test]
async fn f_01_deliveries_whose_token_has_ended_share_the_next_one() {
    let issued = AtomicUsize::new(0);
    let fake = FakeTus::start_with(move |request, state| {
        if request.line().starts_with("POST /oauth") {
            let number = issued.fetch_add(1, Ordering::Relaxed);
            let (token, refresh) = (format!("t{number}"), format!("r{number}"));
            return Some(Reply::json(&json!({
                "access_token": token, "token_type": "bearer", "expires_in": 3600, "refresh_token": refresh,
            })));
        }
        info(request, state)
    })
    .await;
    fake.state().authorization = Some("Bearer t0".to_owned());
    let login = crate::auth::DexLogin {
        url: format!("{}/oauth", fake.url()),
        username: "u".to_owned(),
        password: crate::config::Secret::new("p"),
    };
    let destination = destination(&fake, |target| target.login = DexCredential::Login(login));
    Job::default().attempt(&destination, source()).await.expect("it is delivered");
    fake.state().authorization = Some("Bearer t1".to_owned());
    let jobs: Vec<Job> = (0..8).map(|_| Job::default()).collect();
    let all = jobs.iter().map(|job| job.attempt(&destination, source()));
    for delivered in futures_util::future::join_all(all).await {
        delivered.expect("it is delivered");
    }
    let logins = |path: &str| fake.seen().iter().filter(|request| request.line() == path).count();
    assert_eq!((logins("POST /oauth"), logins("POST /oauth/refresh")), (1, 1));
    assert_eq!(fake.complete().len(), 9);
}

/// F-09: what has arrived is not sent again while the other side is still at it.
#[tokio::test]
async fn f_09_a_delivery_waits_for_the_other_side_over_attempts_and_sends_nothing_twice() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let fake = FakeTus::start_with(move |request, _| {
        request.line().strip_prefix("GET /info/")?;
        let number = counter.fetch_add(1, Ordering::Relaxed);
        // Not visible yet, broken, complete, delivered to one of two, to both.
        let delivery = |name: &str| json!({ "name": name, "status": "SUCCESS" });
        let deliveries = match number {
            0 => return Some(Reply::new(404, "", "")),
            1 => return Some(Reply::new(500, "", "")),
            2..6 => json!(null),
            6 => json!([delivery("edav")]),
            _ => json!([delivery("edav"), delivery("ehdi")]),
        };
        Some(Reply::json(&json!({ "upload_status": { "status": "Complete" }, "deliveries": deliveries })))
    })
    .await;
    let destination = destination(&fake, |target| {
        target.wait_for = WaitFor::Delivered;
        target.expected_targets = ["edav", "ehdi"].map(str::to_owned).to_vec();
    });
    let job = Job::default();
    let waiting = job.attempt(&destination, source()).await.expect_err("it is not delivered yet");
    assert!(matches!(waiting, DeliveryError::NotYet { wanted: "delivered", .. }), "{waiting}");
    assert_eq!(waiting.retry(), Retry::OnSchedule);
    assert!(job.kept().is_sent);
    job.attempt(&destination, source()).await.expect("it is delivered");
    assert_eq!(fake.methods().iter().filter(|method| *method == "PATCH").count(), 3);
}

/// F-12
#[tokio::test]
async fn f_12_a_manifest_that_cannot_be_kept_there_is_not_sent() {
    let fake = dex().await;
    let destination = destination(&fake, |target| target.metadata = vec![("a-b".into(), "c".into())]);
    let error = Job::default().attempt(&destination, source()).await.expect_err("it is not sent");
    assert!(matches!(error, DeliveryError::Manifest(_)) && error.retry() == Retry::Never);
    assert!(fake.seen().is_empty());
}
