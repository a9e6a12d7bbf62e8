//! What every [`BlobStore`] must do. Each implementation's tests call [`all`].

use bytes::Bytes;

use super::{BlobError, BlobStore, Segment, StorageKey, WantedHash};
use crate::digest::{ContentHash, Hasher};
use crate::id::UploadId;

/// Runs the whole contract; `open` opens the same store each time, as after a restart.
pub(crate) async fn all<S: BlobStore>(open: impl Fn() -> S) {
    appended_bytes_come_back(&open()).await;
    a_segment_has_the_hash_that_is_wanted(&open()).await;
    an_unacknowledged_tail_is_cut_off(&open()).await;
    an_abandoned_writer_writes_no_more(&open()).await;
    lost_bytes_are_noticed(&open()).await;
    blobs_that_are_whole_come_back_and_replace_what_was_there(&open()).await;
    only_what_was_there_before_the_start_is_left_over(&open).await;
    open().check().await.expect("a store that works says so");
}

fn key() -> StorageKey {
    StorageKey::new("tenant", "owner", UploadId::new())
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).expect("below 251")).collect()
}

async fn add(store: &impl BlobStore, key: &StorageKey, offset: u64, bytes: &[u8]) -> Segment {
    let mut writer = store.append(key, offset, WantedHash::Any).await.expect("it opens");
    for piece in bytes.chunks(700_001) {
        writer.write(Bytes::copy_from_slice(piece)).await.expect("it writes");
    }
    writer.checkpoint().await.expect("it syncs").expect("something was written")
}

fn hashed(mut hasher: Hasher, bytes: &[u8]) -> ContentHash {
    hasher.update(bytes);
    hasher.finish()
}

async fn a_segment_has_the_hash_that_is_wanted(store: &impl BlobStore) {
    let key = key();
    let mut writer = store.append(&key, 0, WantedHash::Sha256).await.expect("it opens");
    for piece in [&b"one"[..], b"two"] {
        writer.write(Bytes::from_static(piece)).await.expect("it writes");
        let segment = writer.checkpoint().await.expect("it syncs").expect("something was written");
        assert_eq!(segment.hash, hashed(Hasher::sha256(), piece));
    }
}

async fn content(store: &impl BlobStore, key: &StorageKey, offset: u64) -> Vec<u8> {
    let mut reader = store.read(key, offset).await.expect("it opens");
    let mut all = Vec::new();
    loop {
        let block = reader.next(300_000).await.expect("it reads");
        if block.is_empty() {
            return all;
        }
        all.extend_from_slice(&block);
    }
}

async fn appended_bytes_come_back(store: &impl BlobStore) {
    let (key, all) = (key(), bytes(5_000_000));
    let (first, second) = all.split_at(3_333_333);
    let one = add(store, &key, 0, first).await;
    let two = add(store, &key, one.end(), second).await;
    assert_eq!((one.first_byte, one.length), (0, 3_333_333));
    assert_eq!((two.first_byte, two.end()), (3_333_333, 5_000_000));
    for (segment, bytes) in [(one, first), (two, second)] {
        assert_eq!(segment.hash, hashed(segment.hash.hasher(), bytes));
    }
    assert!(content(store, &key, 0).await == all);
    assert!(content(store, &key, 4_999_990).await == all[4_999_990..]);
    store.remove(&key).await.expect("it goes");
    assert!(store.read(&key, 0).await.is_err());
    store.remove(&key).await.expect("removing what is gone is no error");
}

async fn blobs_that_are_whole_come_back_and_replace_what_was_there(store: &impl BlobStore) {
    let all: Vec<(StorageKey, Bytes)> = (1..40).map(|n| (key(), bytes(n * 1_000).into())).collect();
    // What an earlier try left, shorter or longer than it should be.
    add(store, &all[0].0, 0, &bytes(10)).await;
    add(store, &all[1].0, 0, &bytes(1_000_000)).await;
    for _ in 0..2 {
        store.store(all.clone()).await.expect("they are written");
        for (key, bytes) in &all {
            assert!(content(store, key, 0).await == **bytes);
        }
    }
    store.store(Vec::new()).await.expect("none is no error");
    for (key, _) in &all {
        store.remove(key).await.expect("it goes");
    }
}

async fn an_unacknowledged_tail_is_cut_off(store: &impl BlobStore) {
    let key = key();
    add(store, &key, 0, b"acknowledged, and a tail").await;
    add(store, &key, 12, b"!").await;
    assert_eq!(content(store, &key, 0).await, b"acknowledged!");
}

async fn an_abandoned_writer_writes_no_more(store: &impl BlobStore) {
    let key = key();
    let mut writer = store.append(&key, 0, WantedHash::Sha256).await.expect("it opens");
    writer.write(Bytes::from(bytes(3_000_000))).await.expect("it writes");
    writer.abandon().await;
    drop(writer);
    add(store, &key, 0, b"the next one").await;
    assert_eq!(content(store, &key, 0).await, b"the next one");
}

async fn lost_bytes_are_noticed(store: &impl BlobStore) {
    let key = key();
    assert!(matches!(
        store.append(&key, 5, WantedHash::Any).await,
        Err(BlobError::Short { expected: 5, found: 0 })
    ));
    add(store, &key, 0, b"abc").await;
    assert!(matches!(
        store.append(&key, 5, WantedHash::Any).await,
        Err(BlobError::Short { expected: 5, found: 3 })
    ));
    assert_eq!(content(store, &key, 0).await, b"abc");
}

async fn only_what_was_there_before_the_start_is_left_over<S: BlobStore>(open: &impl Fn() -> S) {
    let (old, new) = (key(), key());
    add(&open(), &old, 0, b"old").await;
    let store = open();
    add(&store, &new, 0, b"new").await;
    let left = store.left_over().await.expect("a listing");
    assert!(left.contains(&old) && !left.contains(&new), "{left:?}");
    assert_eq!(old.upload_id().map(|id| StorageKey::new("tenant", "owner", id)), Some(old));
}
