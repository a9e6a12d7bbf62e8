//! What a bucket holds already: read again, written anew when a delivery is asked for again, dropped when it is given
//! up.

use std::sync::Mutex;

use super::contract::TestTarget;
use super::object_tests::{Job, Target, long};
use super::{DeliveryError, Destination, MetadataPlace};
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::delivery::{ClashPolicy, Progress};
use crate::outbound::bucket::{Labels, Place};

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

/// D-04: nobody knows how an earlier attempt made what is there; it may be a copy that was never compared.
#[tokio::test]
async fn d_04_what_an_earlier_attempt_left_is_read_and_compared() {
    let target = Target::s3();
    let destination = target.reading_back(MetadataPlace::Auto, ClashPolicy::Fail, false);
    for (path, content) in [("short", b"content".to_vec()), ("long", long())] {
        let job = Job::to(path);
        job.attempt(&destination, MemorySource::new(&content)).await.expect("it is delivered");
        let labels = Labels { media_type: None, metadata: target.metadata(path).await };
        let other = vec![bytes::Bytes::from(vec![b'?'; content.len()])];
        target.bucket().put(path, other, &labels, Place::Over).await.expect("it is written");
        let found = job.attempt(&destination, MemorySource::new(&content)).await.expect_err("other bytes");
        assert!(matches!(found, DeliveryError::HashMismatch), "{found:?}");
        assert_eq!(target.paths().await, Vec::<String>::new(), "nobody may find it");
        job.attempt(&destination, MemorySource::new(&content)).await.expect("it is delivered");
        assert!(target.read(path).await.as_ref() == Some(&content));
        target.bucket().remove(vec![path.to_owned()]).await.expect("it goes");
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
    assert!(destination.keeps_leftovers());
    let back = target.server.as_ref().expect("it runs").go_away();
    destination.give_up(&kept).await.expect_err("nobody can say that they are gone");
    back();
    destination.give_up(&kept).await.expect("they go");
    assert_eq!(target.parts(), 0);
}
