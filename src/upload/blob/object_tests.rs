//! The contract of a blob store on buckets of S3 and Azure, and what only objects can go through: crashes between one
//! call and the next.

use super::*;
use crate::id::UploadId;
use crate::outbound::bucket::testing::{azure_bucket, s3_bucket};
use crate::upload::blob::contract;

/// A key, as an upload has one.
fn key() -> StorageKey {
    StorageKey::new("tenant", "owner", UploadId::new())
}

async fn put(store: &ObjectBlobs, key: &StorageKey, first_byte: u64, content: &[u8]) {
    let span = Span { first_byte, end: first_byte + content.len() as u64 };
    store.folder(key).put(span, vec![Bytes::copy_from_slice(content)]).await.expect("it is written");
}

async fn append(store: &ObjectBlobs, key: &StorageKey, offset: u64, content: &[u8]) {
    let mut writer = store.append(key, offset, WantedHash::Any).await.expect("it opens");
    writer.write(Bytes::copy_from_slice(content)).await.expect("it writes");
    let segment = writer.checkpoint().await.expect("it is kept").expect("something was written");
    assert!(segment.hash.sha256().is_some(), "whoever lets the service copy it is told {:?}", segment.hash);
}

async fn content(store: &ObjectBlobs, key: &StorageKey) -> Vec<u8> {
    let mut reader = store.read(key, 0).await.expect("it opens");
    let mut all = Vec::new();
    loop {
        match reader.next(1000).await.expect("it reads") {
            block if block.is_empty() => return all,
            block => all.extend_from_slice(&block),
        }
    }
}

async fn objects(store: &ObjectBlobs, key: &StorageKey) -> Vec<Span> {
    let mut spans = store.folder(key).spans().await.expect("a listing");
    spans.sort_unstable();
    spans
}

#[tokio::test]
async fn s3_keeps_the_contract_of_a_blob_store() {
    let (_server, bucket) = s3_bucket();
    contract::all(|| ObjectBlobs::new(bucket.clone(), "uploads/here", None)).await;
    contract::all(|| ObjectBlobs::new(bucket.clone(), "", None)).await;
}

#[tokio::test]
async fn azure_keeps_the_contract_of_a_blob_store() {
    let Some(bucket) = azure_bucket() else { return };
    contract::all(|| ObjectBlobs::new(bucket.clone(), "uploads", None)).await;
}

#[tokio::test]
async fn a_blob_longer_than_an_object_comes_back_whole() {
    let (_server, bucket) = s3_bucket();
    let (store, key) = (ObjectBlobs::new(bucket, "", None), key());
    let all: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    append(&store, &key, 0, &all).await;
    assert!(content(&store, &key).await == all);
    assert_eq!(objects(&store, &key).await.len(), 3);
}

/// Where the bytes lie, for whoever copies them: also where a crash left more than one object over the same.
#[tokio::test]
async fn a_blob_says_which_bytes_of_which_objects_it_is() {
    let (_server, bucket) = s3_bucket();
    let (store, key) = (ObjectBlobs::new(bucket.clone(), "uploads", None), key());
    for (first_byte, bytes) in [(0, &b"acknow"[..]), (6, b"led"), (4, b"owledged")] {
        put(&store, &key, first_byte, bytes).await;
    }
    let mut reader = store.read(&key, 0).await.expect("it opens");
    let (in_bucket, objects) = reader.objects().expect("it is in a bucket");
    assert_eq!(in_bucket.location("x"), bucket.location("x"));
    let told: Vec<_> = objects.iter().map(|object| (object.of, object.range.clone())).collect();
    assert_eq!(told, [(6, 0..6), (8, 2..8)]);
    assert!(objects.iter().all(|object| object.name.starts_with(&format!("uploads/{key}/"))));
    reader.next(1).await.expect("it reads");
    assert!(reader.objects().is_none(), "something was read");
}

/// Whatever calls of an append a crash let through, the next one begins where the database says.
#[tokio::test]
async fn every_moment_of_a_crash_leaves_the_acknowledged_bytes() {
    let (_server, bucket) = s3_bucket();
    let store = ObjectBlobs::new(bucket, "", None);
    let pieces: [&[(u64, &[u8])]; 5] = [
        // An object that was never acknowledged, and one after it that overtook its neighbour.
        &[(0, b"acknow"), (6, b"ledged"), (12, b"lost")],
        &[(0, b"acknowledged"), (16, b"lost")],
        // Put together, and the old ones not removed, or not all of them.
        &[(0, b"acknow"), (6, b"led"), (9, b"ged"), (6, b"ledged")],
        &[(0, b"acknow"), (6, b"led"), (6, b"ledged"), (9, b"ged"), (0, b"acknowledged")],
        // An object that reaches beyond what was acknowledged.
        &[(0, b"acknow"), (6, b"ledged, and more")],
    ];
    for left in pieces {
        let key = key();
        for (first_byte, bytes) in left {
            put(&store, &key, *first_byte, bytes).await;
        }
        append(&store, &key, 12, b"!").await;
        assert_eq!(content(&store, &key).await, b"acknowledged!", "{left:?}");
        let ends: Vec<u64> = objects(&store, &key).await.iter().map(|span| span.end).collect();
        assert!(ends.is_sorted() && ends.last() == Some(&13), "{ends:?}");
    }
}

#[tokio::test]
async fn many_small_appends_become_one_object_and_stay_what_they_are() {
    let (_server, bucket) = s3_bucket();
    let (store, key) = (ObjectBlobs::new(bucket, "", None), key());
    let mut expected = Vec::new();
    for number in 0..100_u32 {
        let piece = number.to_string().repeat(10);
        append(&store, &key, expected.len() as u64, piece.as_bytes()).await;
        expected.extend_from_slice(piece.as_bytes());
        assert!(objects(&store, &key).await.len() <= MANY);
    }
    assert!(content(&store, &key).await == expected);
}

#[tokio::test]
async fn what_another_gateway_may_still_be_receiving_is_not_left_over() {
    let (_server, bucket) = s3_bucket();
    let key = key();
    append(&ObjectBlobs::new(bucket.clone(), "", None), &key, 0, b"x").await;
    let long_ago = ObjectBlobs::new(bucket.clone(), "", Some(Timestamp::from_nanos(0)));
    assert_eq!(long_ago.left_over().await.expect("a listing"), []);
    let alone = ObjectBlobs::new(bucket, "", None);
    assert_eq!(alone.left_over().await.expect("a listing"), [key]);
    assert_eq!(alone.left_over().await.expect("an answer"), [], "it is asked once");
}

#[tokio::test]
async fn a_mark_stays_as_it_is() {
    let (_server, bucket) = s3_bucket();
    let store = ObjectBlobs::new(bucket, "prefix", None);
    assert_eq!(store.marked().await.expect("an answer"), None);
    store.mark("one").await.expect("it is marked");
    store.mark("other").await.expect("a marked store is left alone");
    assert_eq!(store.marked().await.expect("an answer").as_deref(), Some("one"));
    assert_eq!(store.left_over().await.expect("a listing"), []);
}
