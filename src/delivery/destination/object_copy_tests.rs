//! W-40: what lies at the target's own service is copied there, however many objects it is, and goes the long way where
//! the service does not copy it.

use crate::digest::{Digest, Sha256};

use super::contract::TestTarget;
use super::object_tests::{Job, Target, parts_are_kept};
use super::{DeliveryError, MetadataPlace, ObjectDestination, ObjectSettings};
use crate::delivery::ClashPolicy;
use crate::delivery::testing::MemorySource;
use crate::outbound::bucket::testing::{open, s3_settings};
use crate::outbound::bucket::{Bucket, Labels, Place};
use crate::outbound::testing::{FakeServer, Received, Reply};
use crate::upload::{Stored, StoredBytes, Verifier};

const MIB: usize = 1024 * 1024;

/// The bytes of an upload, and how long the objects are that hold them.
struct Upload {
    content: Vec<u8>,
    objects: Vec<StoredBytes>,
}

impl Upload {
    fn of(lengths: &[usize]) -> Self {
        let content = (0..lengths.iter().sum::<usize>()).map(|n| n.to_le_bytes()[n % 3]).collect();
        let objects = lengths.iter().enumerate().map(|(n, length)| {
            let of = *length as u64;
            StoredBytes { name: format!("uploads/{n}"), of, range: 0..of }
        });
        Self { content, objects: objects.collect() }
    }

    /// One that must be gathered at S3: what is short goes with bytes of what follows.
    fn long() -> Self {
        Self::of(&[8 * MIB, 2 * MIB, 8 * MIB, MIB + 7])
    }

    async fn put_into(&self, bucket: &Bucket) {
        let mut rest = &self.content[..];
        for object in &self.objects {
            let (now, after) = rest.split_at(usize::try_from(object.of).expect("it is in memory"));
            let content = vec![now.to_vec().into()];
            bucket.put(&object.name, content, &Labels::default(), Place::Over).await.expect("it is written");
            rest = after;
        }
    }

    fn verifier(&self) -> Verifier {
        Verifier::of(self.content.len() as u64, Sha256::digest(&self.content).into())
    }

    fn stored(&self, bucket: Bucket) -> Stored {
        Stored { bucket, objects: self.objects.clone(), verifier: self.verifier() }
    }

    /// A source that fails when it is read.
    fn unreadable(&self, target: &Target) -> MemorySource {
        self.readable(target).failing_at(0)
    }

    fn readable(&self, target: &Target) -> MemorySource {
        MemorySource::new(&self.content).stored_as(self.stored(target.bucket()))
    }

    /// Whether the target has all of it, and nothing else but the store's objects.
    async fn is_at(&self, target: &Target, path: &str) {
        assert!(target.read(path).await.as_ref() == Some(&self.content));
        assert_eq!((target.paths().await.len(), target.parts()), (self.objects.len() + 1, 0));
    }
}

/// Nobody reads the bytes where the service can copy them: the source would fail.
#[tokio::test]
async fn w_40_what_lies_in_the_same_bucket_is_copied_there() {
    for target in Target::each() {
        for upload in [Upload::of(&[2 * MIB]), Upload::of(&[8 * MIB, 8 * MIB]), Upload::long()] {
            let destination = target.with(MetadataPlace::Auto, ClashPolicy::SuffixUploadId);
            upload.put_into(&target.bucket()).await;
            let job = Job::to("copied/file.txt");
            for _ in 0..2 {
                let delivered = job.attempt(&destination, upload.unreadable(&target)).await.expect("a copy");
                assert_eq!(delivered.length, upload.content.len() as u64);
                assert_eq!(delivered.sha256, <[u8; 32]>::from(Sha256::digest(&upload.content)));
                upload.is_at(&target, job.path).await;
            }
            let metadata = target.metadata(job.path).await;
            for wanted in ["sender_id", "cdex_sha256"] {
                assert!(metadata.iter().any(|(name, _)| name == wanted), "{wanted}: {metadata:?}");
            }

            let other = Job::to("copied/file.txt");
            let delivered = other.attempt(&destination, upload.unreadable(&target)).await;
            let location = delivered.expect("it goes beside").location;
            assert!(location.contains(&other.upload_id.to_string()), "{location}");
            target.bucket().remove(target.paths().await).await.expect("it goes");
        }
    }
}

/// A container of its own for uploads, and another for what is delivered, in one account.
#[tokio::test]
async fn w_40_what_lies_in_another_bucket_of_the_service_is_copied_too() {
    for target in Target::each() {
        let beside = open(target.beside(), Place::New);
        for upload in [Upload::of(&[2 * MIB]), Upload::long()] {
            upload.put_into(&beside).await;
            let source =
                MemorySource::new(&upload.content).failing_at(0).stored_as(upload.stored(beside.clone()));
            let job = Job::to("copied/file.txt");
            let destination = target.with(MetadataPlace::Auto, ClashPolicy::Overwrite);
            job.attempt(&destination, source).await.expect("it is copied");
            assert!(target.read(job.path).await.as_ref() == Some(&upload.content));
            assert_eq!(target.paths().await, [job.path]);
        }
    }
}

/// D-02: who asks for it again has it copied again, over the first.
#[tokio::test]
async fn d_02_a_copy_that_is_asked_for_again_is_made_anew() {
    for target in Target::each() {
        for policy in [ClashPolicy::Fail, ClashPolicy::Overwrite] {
            let (destination, upload) = (target.with(MetadataPlace::Auto, policy), Upload::long());
            upload.put_into(&target.bucket()).await;
            let mut job = Job::to("copied/file.bin");
            for delivered_before in 0..2 {
                job.delivered_before = delivered_before;
                job.progress = std::sync::Mutex::default();
                job.attempt(&destination, upload.unreadable(&target)).await.expect("it is copied");
                upload.is_at(&target, job.path).await;
            }
        }
    }
}

/// D-10: an attempt that dies between two parts is gone on with; what was copied is not looked for again.
#[tokio::test]
async fn d_10_parts_that_were_copied_survive_a_crash() {
    for target in Target::each() {
        let (destination, upload) =
            (target.with(MetadataPlace::Auto, ClashPolicy::Fail), Upload::of(&[6 * MIB; 6]));
        upload.put_into(&target.bucket()).await;
        let job = Job::to("copied/file.bin");
        tokio::select! {
            ended = job.attempt(&destination, upload.unreadable(&target)) => panic!("{ended:?}"),
            () = parts_are_kept(&job, 1) => {}
        }
        target.settle();
        let kept = job.kept().expect("what was begun is kept");
        assert_eq!(target.read(job.path).await, None, "D-03");
        target.bucket().remove(vec![upload.objects[0].name.clone()]).await.expect("it goes");
        job.attempt(&destination, upload.unreadable(&target)).await.expect("it goes on");
        assert_eq!(job.kept().expect("it is kept")["id"], kept["id"]);
        assert!(target.read(job.path).await.as_ref() == Some(&upload.content), "D-04");
        assert_eq!(target.parts(), 0);
    }
}

/// What was cut otherwise, by another version or over other objects, is not gone on with.
#[tokio::test]
async fn parts_that_do_not_fit_are_dropped_and_copied_anew() {
    for target in Target::each() {
        let (destination, upload) =
            (target.with(MetadataPlace::Auto, ClashPolicy::Fail), Upload::of(&[6 * MIB; 4]));
        upload.put_into(&target.bucket()).await;
        let (job, bucket) = (Job::to("copied/file.bin"), target.bucket());
        let id = bucket.begin(job.path, &Labels::default()).await.expect("it begins");
        let begin = Some(0..5 * MIB as u64 + 1);
        let part = bucket.copy_part((&bucket, &upload.objects[0].name), begin, job.path, &id, 0).await;
        let kept = serde_json::json!({
            "name": job.path, "id": id, "parts": [part.expect("it is copied")], "bytes": 5 * MIB + 1,
        });
        *job.progress.lock().expect("no test panics in here") = Some(kept.to_string().into_bytes());
        job.attempt(&destination, upload.unreadable(&target)).await.expect("it is copied");
        upload.is_at(&target, job.path).await;
    }
}

/// D-04: objects of the store that are not what was acknowledged, if as long, are no delivery.
#[tokio::test]
async fn d_04_a_copy_of_other_bytes_is_no_delivery() {
    for target in Target::each() {
        for upload in [Upload::of(&[2 * MIB]), Upload::long()] {
            let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
            upload.put_into(&target.bucket()).await;
            let last = upload.objects.last().expect("there is one");
            target.put(&last.name, &vec![b'?'; usize::try_from(last.of).expect("it is short")]).await;
            let job = Job::to("copied/file.txt");
            let error = job.attempt(&destination, upload.unreadable(&target)).await.expect_err("other bytes");
            assert!(matches!(error, DeliveryError::Source(_)), "{error:?}");
            assert_eq!(target.paths().await.len(), upload.objects.len());
        }
    }
}

/// What cannot be copied leaves nothing, and is sent.
#[tokio::test]
async fn w_40_what_the_service_cannot_copy_goes_the_long_way() {
    for target in Target::each() {
        for upload in [Upload::of(&[2 * MIB]), Upload::of(&[6 * MIB, 6 * MIB]), Upload::long()] {
            let destination = target.with(MetadataPlace::Auto, ClashPolicy::Fail);
            upload.put_into(&target.bucket()).await;
            let last = upload.objects.last().expect("there is one").name.clone();
            target.bucket().remove(vec![last]).await.expect("it goes");
            let job = Job::to("sent/file.bin");
            job.attempt(&destination, upload.readable(&target)).await.expect("it is sent");
            assert!(target.read(job.path).await.as_ref() == Some(&upload.content));
            assert_eq!(target.parts(), 0);
            target.bucket().remove(target.paths().await).await.expect("it goes");
        }
    }
}

/// What S3 says of a beginning.
const BEGUN: &str = "<InitiateMultipartUploadResult><UploadId>a/b</UploadId></InitiateMultipartUploadResult>";

/// A bucket of the scripted service, where one object is to be copied or several.
struct Scripted {
    server: FakeServer,
    target: Target,
    destination: ObjectDestination,
}

impl Scripted {
    async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let server = FakeServer::start(script).await;
        let target = Target { settings: s3_settings(server.url()), server: None };
        let destination = target.reading_back(MetadataPlace::Auto, ClashPolicy::Overwrite, false);
        Self { server, target, destination }
    }

    /// Request lines with the names of objects that were to be copied.
    fn copies(&self) -> Vec<String> {
        let seen = self.server.seen();
        let copies = seen.iter().filter_map(|request| {
            Some(format!("{} {}", request.line(), request.header("x-amz-copy-source")?))
        });
        copies.collect()
    }
}

/// The target's key may not read what the store's key has written.
#[tokio::test]
async fn w_40_where_the_service_may_not_copy_the_bytes_go_the_long_way() {
    let bucket = Scripted::start(|request| {
        let is_copy = request.header("x-amz-copy-source").is_some();
        match request.line().split(' ').next() {
            _ if is_copy => Reply::new(403, "", ""),
            Some("HEAD") => Reply::new(404, "", ""),
            Some("POST") => Reply::new(200, "", BEGUN),
            _ => Reply::new(200, "ETag: \"x\"\r\n", ""),
        }
    })
    .await;
    let upload = Upload::of(&[MIB]);
    let job = Job::to("name");
    job.attempt(&bucket.destination, upload.readable(&bucket.target))
        .await
        .expect_err("a HEAD knows nothing");
    assert_eq!(bucket.copies(), ["PUT /bucket/name?partNumber=1&uploadId=a%2Fb bucket/uploads/0"]);
    let lines = bucket.server.lines();
    let sent = lines.iter().position(|line| line == "PUT /bucket/name").expect("the bytes are sent");
    assert_eq!(lines[sent - 1], "DELETE /bucket/name?uploadId=a%2Fb", "nothing is left");
}

/// A key that may write and look, and neither read nor remove: what it made is written again, and counts.
#[tokio::test]
async fn what_may_not_be_read_is_sent_anew() {
    let job = Job::to("name");
    let fields = "ETag: \"x\"\r\nLast-Modified: Sun, 22 Nov 2026 06:00:00 GMT\r\n";
    let label = format!("{fields}x-amz-meta-cdex_delivery_id: {}\r\n", job.delivery_id);
    let content = "c".repeat(MIB);
    let bucket = Scripted::start(move |request| match request.line().split(' ').next() {
        Some("HEAD") => Reply::new(200, &label, &content),
        Some("GET" | "DELETE") => Reply::new(403, "", ""),
        _ => Reply::new(200, "ETag: \"x\"\r\n", ""),
    })
    .await;
    let upload = Upload::of(&[MIB]);
    job.attempt(&bucket.destination, upload.readable(&bucket.target)).await.expect("it is sent");
    let lines = bucket.server.lines();
    assert!(lines.contains(&"GET /bucket/name".to_owned()) && lines.contains(&"PUT /bucket/name".to_owned()));
}

/// D-07: where the service does not look before it completes, another delivery may have taken the name meanwhile.
#[tokio::test]
async fn d_07_what_another_delivery_has_made_meanwhile_is_not_taken_away() {
    let content = "o".repeat(MIB);
    let bucket = Scripted::start(move |request| {
        let is_begun = request.line().contains("?uploads");
        let fields = "ETag: \"x\"\r\nLast-Modified: Sun, 22 Nov 2026 06:00:00 GMT\r\n";
        let others = format!("{fields}x-amz-meta-cdex_delivery_id: another\r\n");
        match request.line().split(' ').next() {
            Some("HEAD") => Reply::new(200, &others, &content),
            Some("GET") => {
                let range = format!("{fields}Content-Range: bytes 0-{}/{MIB}\r\n", MIB - 1);
                Reply::new(206, &range, &content)
            }
            Some("POST") if is_begun => Reply::new(200, "", BEGUN),
            Some("POST") => Reply::new(
                200,
                "",
                "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>",
            ),
            _ => Reply::new(200, "ETag: \"x\"\r\n", "<CopyPartResult><ETag>x</ETag></CopyPartResult>"),
        }
    })
    .await;
    let upload = Upload::of(&[MIB]);
    let job = Job::to("name");
    let delivered = job.attempt(&bucket.destination, upload.readable(&bucket.target)).await;
    delivered.expect("it is sent after its copy was not what was received");
    let lines = bucket.server.lines();
    let read = lines.iter().position(|line| line == "GET /bucket/name").expect("it was compared");
    assert!(lines[read..].contains(&"PUT /bucket/name".to_owned()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.starts_with("DELETE")), "{lines:?}");
}

/// What is short, or would mostly be sent, is sent, and so is everything where the operator says so.
#[tokio::test]
async fn what_is_not_worth_while_is_not_copied() {
    let target = Target::s3();
    let cases: [(&[usize], bool); 4] = [
        (&[MIB - 1], true),
        (&[MIB; 9], true),
        (&[3 * MIB, 3 * MIB, 3 * MIB, 3 * MIB, 6 * MIB], true),
        (&[8 * MIB, 8 * MIB], false),
    ];
    for (lengths, copy) in cases {
        let upload = Upload::of(lengths);
        upload.put_into(&target.bucket()).await;
        let destination = ObjectDestination::new(ObjectSettings {
            bucket: open(target.settings.clone(), Place::New),
            clash_policy: ClashPolicy::Fail,
            metadata: MetadataPlace::Auto,
            read_back: false,
            copy,
        });
        let job = Job::to("sent");
        let refused = job.attempt(&destination, upload.unreadable(&target)).await.expect_err("it is read");
        assert!(matches!(refused, DeliveryError::Source(_)), "{refused:?}");
    }
}

/// A service that is in trouble is waited for once, if the attempt got further.
#[tokio::test]
async fn a_copy_that_is_interrupted_twice_goes_the_long_way() {
    let upload = Upload::of(&[6 * MIB, 6 * MIB, 6 * MIB]);
    let bucket = Scripted::start(|request| {
        let line = request.line();
        let method = line.split(' ').next().unwrap_or_default();
        match method {
            "POST" if line.contains("?uploads") => Reply::new(200, "", BEGUN),
            "PUT" if line.contains("partNumber=1&") && request.header("x-amz-copy-source").is_some() => {
                Reply::new(200, "", "<CopyPartResult><ETag>&quot;one&quot;</ETag></CopyPartResult>")
            }
            "PUT" => Reply::new(503, "Retry-After: 40\r\n", "<Error/>"),
            "DELETE" => Reply::new(204, "", ""),
            _ => Reply::new(404, "", ""),
        }
    })
    .await;
    let job = Job::to("name");
    let first = job.attempt(&bucket.destination, upload.unreadable(&bucket.target)).await;
    assert!(matches!(first, Err(DeliveryError::Bucket(_))), "{first:?}");
    assert_eq!(job.kept().expect("it is kept")["parts"], serde_json::json!(["\"one\""]));
    let copies = bucket.copies();
    let part =
        |number, name| format!("PUT /bucket/name?partNumber={number}&uploadId=a%2Fb bucket/uploads/{name}");
    assert!(copies.contains(&part(1, 0)) && copies.contains(&part(2, 1)), "{copies:?}");

    let second = job.attempt(&bucket.destination, upload.unreadable(&bucket.target)).await;
    assert!(matches!(second, Err(DeliveryError::Source(_))), "the source was read: {second:?}");
    assert!(!bucket.copies()[copies.len()..].contains(&part(1, 0)), "it was copied before");
    assert!(bucket.server.lines().contains(&"DELETE /bucket/name?uploadId=a%2Fb".to_owned()));
}

/// What an earlier attempt has sent after it could not be copied is gone on with, although it might be copied now.
#[tokio::test]
async fn parts_that_were_sent_are_not_given_up_for_a_copy() {
    for target in Target::each() {
        let (destination, upload) = (target.with(MetadataPlace::Auto, ClashPolicy::Fail), Upload::long());
        let job = Job::to("sent/file.bin");
        let halted = job.attempt(&destination, upload.readable(&target).stopping_at(17 * MIB));
        tokio::select! {
            ended = halted => panic!("it cannot end: {ended:?}"),
            () = parts_are_kept(&job, 2) => {}
        }
        let kept = job.kept().expect("what was begun is kept");
        upload.put_into(&target.bucket()).await;
        job.attempt(&destination, upload.readable(&target)).await.expect("it goes on");
        let after = job.kept().expect("it is kept");
        assert_eq!((&after["id"], &after["part_bytes"]), (&kept["id"], &kept["part_bytes"]));
        assert!(kept["part_bytes"].is_u64(), "{kept}");
        upload.is_at(&target, job.path).await;
    }
}
