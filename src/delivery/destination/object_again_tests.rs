//! What a bucket holds already: read again, copied where it lies, and written anew when a delivery is asked for again.

use std::sync::Mutex;

use super::contract::TestTarget;
use super::object_tests::{Job, Target, long};
use super::{DeliveryError, Destination, MetadataPlace};
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::delivery::{ClashPolicy, Progress};
use crate::outbound::bucket::testing::s3_settings;
use crate::outbound::bucket::{Labels, Place};
use crate::outbound::testing::{FakeServer, Reply};
use crate::upload::Stored;

/// Reading again is a transfer, too: what arrives of it is a sign of life, and no call is longer than a range.
#[tokio::test]
async fn what_is_read_back_comes_in_ranges_that_each_are_a_sign_of_life() {
    for target in Target::each() {
        let mut signs = Vec::new();
        for (path, read_back) in [("sent", false), ("read", true)] {
            let destination = target.reading_back(MetadataPlace::Auto, ClashPolicy::Fail, read_back);
            let job = Job::to(path);
            let progress = MemoryProgress::of(&job.progress);
            job.attempt_with(&destination, MemorySource::new(long()), &progress)
                .await
                .expect("it is delivered");
            signs.push(progress.meter().signs());
        }
        assert!(signs[1] >= signs[0] + 3, "{signs:?}");
    }
}

/// D-02: who asks for a delivery that was made wants it made anew, also where an object of its length has its name.
#[tokio::test]
async fn d_02_a_delivery_that_is_asked_for_again_is_written_anew_once() {
    for target in Target::each() {
        for policy in [ClashPolicy::Fail, ClashPolicy::Overwrite, ClashPolicy::SuffixUploadId] {
            for content in [b"content".to_vec(), long()] {
                let destination = target.with(MetadataPlace::Auto, policy);
                let mut job = Job::to("anew/file.bin");
                job.attempt(&destination, MemorySource::new(&content)).await.expect("it is delivered");
                // Somebody changes it, and leaves what it says of itself.
                let metadata = target.metadata(job.path).await;
                let labels = Labels { media_type: None, metadata };
                let other = vec![bytes::Bytes::from(vec![b'?'; content.len()])];
                target.bucket().put(job.path, other, &labels, Place::Over).await.expect("it is written");

                job.delivered_before = 1;
                job.progress = Mutex::default();
                for _ in 0..2 {
                    job.attempt(&destination, MemorySource::new(&content)).await.expect("it is delivered");
                    assert!(target.read(job.path).await.as_ref() == Some(&content), "{policy:?}");
                }
                assert_eq!(target.paths().await, [job.path], "{policy:?}");
                target.bucket().remove(target.paths().await).await.expect("it goes");
            }
        }
    }
}

/// What a dead delivery has begun is dropped: S3 would keep it, and bill it, for ever.
#[tokio::test]
async fn parts_of_a_delivery_that_is_given_up_are_dropped() {
    let target = Target::s3();
    let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
    let job = Job::to("dead/file.bin");
    let half = MemorySource::new(long()).failing_at(17 << 20);
    job.attempt(&destination, half).await.expect_err("it breaks off");
    assert_ne!(target.parts(), 0);
    let kept = job.progress.lock().expect("no test panics in here").clone().expect("it was begun");
    assert!(destination.give_up(&kept).await);
    assert_eq!(target.parts(), 0);
    assert!(!destination.give_up(b"").await);
}

/// D-04: an object of the store that is not what was acknowledged, if as long, is no delivery.
#[tokio::test]
async fn d_04_a_copy_of_other_bytes_is_no_delivery() {
    for target in Target::each() {
        let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
        target.put("uploads/one", b"CONTENT").await;
        let sha256 = MemorySource::new(b"content").real_sha256();
        let stored = Stored { bucket: target.bucket(), name: "uploads/one".to_owned(), sha256 };
        let source = MemorySource::new(b"content").failing_at(0).stored_as(stored);
        let job = Job::to("copied/file.txt");
        let error = job.attempt(&destination, source).await.expect_err("it is not what was uploaded");
        assert!(matches!(error, DeliveryError::Source(_)), "{error:?}");
        assert_eq!(target.paths().await, ["uploads/one"]);
    }
}

/// W-40: the target's key may not read what the store's key has written.
#[tokio::test]
async fn w_40_where_the_service_may_not_copy_the_bytes_go_the_long_way() {
    let server = FakeServer::start(|request| {
        let is_source = request.line().ends_with("/uploads/one");
        let is_copy = request.header("x-amz-copy-source").is_some();
        match request.line().split(' ').next() {
            _ if is_source || is_copy => Reply::new(403, "", ""),
            Some("HEAD") => Reply::new(404, "", ""),
            _ => Reply::new(200, "ETag: \"x\"\r\n", ""),
        }
    })
    .await;
    let target = Target { settings: s3_settings(server.url()), server: None };
    let destination = target.reading_back(MetadataPlace::Auto, ClashPolicy::Overwrite, false);
    let sha256 = MemorySource::new(b"").real_sha256();
    let stored = Stored { bucket: target.bucket(), name: "uploads/one".to_owned(), sha256 };
    let source = MemorySource::new(b"").stored_as(stored);
    Job::to("name").attempt(&destination, source).await.expect("it is delivered");
    assert!(server.seen().iter().any(|request| {
        request.line() == "PUT /bucket/name" && request.header("x-amz-copy-source").is_none()
    }));
}
