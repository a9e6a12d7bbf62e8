//! Buckets at real services: what an object is, parts, copies; and at a scripted one: what cannot be had from those.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::testing::{azure_bucket, open, s3_bucket, s3_settings};
use super::{Bucket, BucketError, Labels, Place};
use crate::outbound::OutboundError;
use crate::outbound::testing::{FakeServer, Reply};

const NAME: &str = "a folder/näme+1 (2) %41~.txt";

fn labels() -> Labels {
    Labels {
        media_type: Some("text/plain".to_owned()),
        metadata: vec![("sender_id".to_owned(), "test sender".to_owned())],
    }
}

async fn content(bucket: &Bucket, name: &str) -> Vec<u8> {
    let found = bucket.look(name).await.expect("an answer").expect("it is there");
    let bytes: Vec<Bytes> =
        bucket.read(name, 0..found.length).await.expect("it opens").try_collect().await.expect("it reads");
    bytes.concat()
}

/// Every bucket that there is; the servers end with the test.
macro_rules! on_each_bucket {
    ($(async fn $name:ident($bucket:ident) $body:block)*) => {
        mod on_s3 { use super::*; $(
            #[tokio::test]
            async fn $name() { let (_server, bucket) = s3_bucket(); let $bucket = &bucket; $body }
        )* }
        mod on_azure { use super::*; $(
            #[tokio::test]
            async fn $name() { let Some(bucket) = azure_bucket() else { return }; let $bucket = &bucket; $body }
        )* }
    };
}

on_each_bucket! {
    async fn an_object_comes_back_with_what_went_along(bucket) {
        assert_eq!(bucket.look(NAME).await, Ok(None));
        bucket.put(NAME, vec!["con".into(), "tent".into()], &labels(), Place::New).await.expect("it is written");
        let found = bucket.look(NAME).await.expect("an answer").expect("it is there");
        assert_eq!((found.name.as_str(), found.length), (NAME, 7));
        assert_eq!(found.metadata, labels().metadata);
        assert_eq!(content(bucket, NAME).await, b"content");
        let names: Vec<String> = bucket.list("a folder").map_ok(|object| object.name).try_collect().await.expect("a list");
        assert_eq!(names, [NAME]);
        bucket.remove(vec![NAME.to_owned(), "absent".to_owned()]).await.expect("it goes");
        assert_eq!(bucket.look(NAME).await, Ok(None));
        bucket.check("a folder").await.expect("an empty folder is no failure");
    }

    async fn a_new_object_never_takes_the_place_of_another(bucket) {
        bucket.put(NAME, vec!["one".into()], &labels(), Place::New).await.expect("it is written");
        let second = bucket.put(NAME, vec!["other".into()], &labels(), Place::New).await;
        assert_eq!(second, Err(BucketError::Exists));
        assert_eq!(content(bucket, NAME).await, b"one");
        bucket.put(NAME, vec!["other".into()], &labels(), Place::Over).await.expect("it replaces");
        assert_eq!(content(bucket, NAME).await, b"other");
    }

    async fn parts_become_an_object_with_what_goes_along_and_not_before(bucket) {
        let id = bucket.begin(NAME, &labels()).await.expect("it begins");
        let first = vec![Bytes::from(vec![7; 5 << 20])];
        let parts = vec![
            bucket.put_part(NAME, &id, 0, first).await.expect("a part"),
            bucket.put_part(NAME, &id, 1, vec!["end".into()]).await.expect("a part"),
        ];
        assert_eq!(bucket.look(NAME).await, Ok(None));
        bucket.complete(NAME, &id, &parts, &labels()).await.expect("it is completed");
        let found = bucket.look(NAME).await.expect("an answer").expect("it is there");
        assert_eq!((found.length, &found.metadata), ((5 << 20) + 3, &labels().metadata));
        assert!(content(bucket, NAME).await.ends_with(b"\x07end"));
    }

    async fn parts_are_not_completed_over_another_object(bucket) {
        bucket.put(NAME, vec!["other".into()], &Labels::default(), Place::New).await.expect("it is written");
        let id = bucket.begin(NAME, &labels()).await.expect("it begins");
        let parts = vec![bucket.put_part(NAME, &id, 0, vec!["mine".into()]).await.expect("a part")];
        assert_eq!(bucket.complete(NAME, &id, &parts, &labels()).await, Err(BucketError::Exists));
        assert_eq!(content(bucket, NAME).await, b"other");
        bucket.abort(NAME, &id).await.expect("it is given up");
    }

    async fn parts_can_be_objects_that_are_there_or_bytes_of_them(bucket) {
        let long: Vec<u8> = (0..(6 << 20) + 9_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        bucket.put("from/long +1", vec![long.clone().into()], &Labels::default(), Place::New).await.expect("it is written");
        bucket.put("from/short", vec!["short".into()], &Labels::default(), Place::New).await.expect("it is written");
        let id = bucket.begin(NAME, &labels()).await.expect("it begins");
        let mut parts = vec![
            bucket.copy_part((bucket, "from/long +1"), Some(5..(5 << 20) + 6), NAME, &id, 0).await.expect("a part"),
            bucket.put_part(NAME, &id, 1, vec![long.clone().into()]).await.expect("a part"),
            bucket.copy_part((bucket, "from/long +1"), None, NAME, &id, 2).await.expect("a part"),
        ];
        let absent = bucket.copy_part((bucket, "from/absent"), None, NAME, &id, 3).await.expect_err("there is none");
        assert!(!absent.is_of_a_moment(), "{absent:?}");
        parts.push(bucket.copy_part((bucket, "from/short"), None, NAME, &id, 3).await.expect("a part"));
        bucket.complete(NAME, &id, &parts, &labels()).await.expect("it is completed");
        let expected = [&long[5..(5 << 20) + 6], &long, &long, b"short"].concat();
        assert!(content(bucket, NAME).await == expected);
        let found = bucket.look(NAME).await.expect("an answer").expect("it is there");
        assert_eq!(found.metadata, labels().metadata);
    }

    async fn what_cannot_be_a_name_is_none(bucket) {
        for name in ["", "/a", "a/", "a//b", "a/../b", "a/./b", "a\nb", &"x".repeat(1025)] {
            assert_eq!(bucket.look(name).await, Err(BucketError::Name), "{name:?}");
        }
    }
}

#[tokio::test]
async fn a_location_is_what_other_programs_take() {
    let (_server, bucket) = s3_bucket();
    assert_eq!(bucket.location("a b/c+d.txt"), "s3://bucket/a b/c+d.txt");
    let Some(bucket) = azure_bucket() else { return };
    let location = bucket.location("a b/c+d.txt");
    assert!(
        location.starts_with("http://127.0.0.1:") && location.ends_with("/a%20b/c%2Bd.txt"),
        "{location}"
    );
}

#[tokio::test]
async fn wrong_credentials_and_a_bucket_that_is_gone_are_told_apart() {
    let (server, _) = s3_bucket();
    let super::BucketSettings::S3(settings) = s3_settings(server.endpoint()) else { panic!("it is S3") };
    let stranger =
        super::S3Settings { secret_access_key: crate::config::Secret::new("wrong"), ..settings.clone() };
    let stranger = open(super::BucketSettings::S3(stranger), Place::New);
    assert_eq!(stranger.check("").await, Err(BucketError::Forbidden));
    let gone = open(
        super::BucketSettings::S3(super::S3Settings { bucket: "gone".to_owned(), ..settings }),
        Place::New,
    );
    assert_eq!(gone.check("").await, Err(BucketError::NotFound));
}

/// W-31: what a service says in words stays there.
#[tokio::test]
async fn a_service_that_asks_for_a_pause_is_not_asked_again_and_its_words_are_not_repeated() {
    let server = FakeServer::start(|_| {
        Reply::new(503, "Retry-After: 17\r\n", "<Error><Code>SlowDown</Code>secret</Error>")
    })
    .await;
    let bucket = open(s3_settings(server.url()), Place::New);
    let error =
        bucket.put("name", vec!["x".into()], &Labels::default(), Place::Over).await.expect_err("a refusal");
    assert_eq!(error, BucketError::Refused { status: 503, retry_after: Some(Duration::from_secs(17)) });
    assert_eq!(server.seen().len(), 1);
    assert_eq!(error.to_string(), "the storage service answered with status 503");
}

/// The calls that are put together here are repeated like those of the client crate.
#[tokio::test]
async fn a_copy_is_asked_for_again_in_a_moment_of_trouble() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = FakeServer::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::new(503, "", "<Error/>"),
        1 => Reply::new(500, "", ""),
        2 => Reply::new(200, "", "<CopyPartResult><ETag>\"a\"</ETag></CopyPartResult>"),
        3 => Reply::new(501, "", ""),
        _ => Reply::new(200, "", "<Error><Code>InternalError</Code></Error>"),
    })
    .await;
    let bucket = open(s3_settings(server.url()), Place::New);
    let copied = async || bucket.copy_part((&bucket, "from"), None, "to", "id", 0).await;
    assert_eq!(copied().await.as_deref(), Ok("\"a\""));
    assert_eq!(copied().await, Err(BucketError::Refused { status: 501, retry_after: None }));
    assert_eq!(server.seen().len(), 4, "who cannot is not asked again");
    assert_eq!(copied().await, Err(BucketError::Failed), "an error in a 200");
}

#[tokio::test]
async fn a_failure_of_the_moment_is_asked_again_and_then_told() {
    let server = FakeServer::start(|_| Reply::new(500, "", "")).await;
    let bucket = open(s3_settings(server.url()), Place::New);
    assert_eq!(bucket.look("name").await, Err(BucketError::Failed));
    assert_eq!(server.seen().len(), 3);
    let nobody = open(s3_settings("http://127.0.0.1:9"), Place::New);
    assert_eq!(nobody.look("name").await, Err(BucketError::Outbound(OutboundError::Connect)));
}
