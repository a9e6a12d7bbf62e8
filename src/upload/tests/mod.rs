//! What an append promises, over real files and on both databases.

use std::sync::Arc;
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::SystemClock;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::fhir::Spool;
use crate::manifest::testing::manifest;
use crate::manifest::{StreamConfigs, verify};

mod checkpoints;

struct Store {
    uploads: Uploads,
    tracker: TaskTracker,
    folder: tempfile::TempDir,
}

fn open(db: &Db, folder: tempfile::TempDir, checkpoint_bytes: u64) -> Store {
    let blobs = FileBlobs::open(folder.path().join("uploads"), true).expect("the store opens");
    let settings = UploadSettings {
        max_bytes: 1000,
        checkpoint_bytes,
        checkpoint_interval: Duration::from_hours(1),
        expiry: Expiry::default(),
    };
    let tracker = TaskTracker::new();
    let uploads = Uploads::new(db.clone(), Arc::new(SystemClock), Arc::new(blobs), settings, tracker.clone());
    Store { uploads, tracker, folder }
}

fn fresh(db: &Db, checkpoint_bytes: u64) -> Store {
    open(db, tempfile::tempdir().expect("a temporary folder"), checkpoint_bytes)
}

fn access() -> Access {
    crate::auth::Caller::anonymous().access()
}

impl Store {
    async fn create(&self, length: u64) -> UploadId {
        let (id, now) = (UploadId::new(), self.uploads.clock.now());
        let manifest =
            verify(&StreamConfigs::built_in(), manifest().ingested(id, now)).expect("a good manifest");
        let upload = Upload::new(("default", "anonymous"), id, Door::Tus, Some(length), manifest, now);
        self.uploads
            .db
            .write(upload, |upload, tx| Box::pin(Uploads::insert(tx, std::slice::from_ref(upload))))
            .await
            .map_err(|error: DbError| error)
            .expect("it is inserted");
        id
    }

    /// Appends pieces and commits what the append leaves to its caller.
    async fn append(
        &self,
        id: UploadId,
        offset: u64,
        pieces: Vec<Result<Bytes, ()>>,
    ) -> Result<Ended<()>, UploadError> {
        self.append_as(AppendRequest::new(access(), id, offset), pieces).await
    }

    async fn append_as(
        &self,
        request: AppendRequest,
        pieces: Vec<Result<Bytes, ()>>,
    ) -> Result<Ended<()>, UploadError> {
        let appended = self.uploads.append(request, stream::iter(pieces), &CancellationToken::new()).await?;
        let full = appended.fills();
        let Appended { upload, tail, ended, lock, .. } = appended;
        if full {
            let now = self.uploads.clock.now();
            let done = self
                .uploads
                .db
                .write((upload, tail), move |(upload, tail), tx| {
                    Box::pin(Uploads::complete(tx, upload, tail, now))
                })
                .await;
            assert!(done.map_err(|error: DbError| error)?, "it is completed once");
        } else {
            self.uploads.advance(&upload, &tail).await?;
        }
        drop(lock);
        Ok(ended)
    }

    async fn offset(&self, id: UploadId) -> u64 {
        self.uploads.find(&access(), id).await.expect("it reads").expect("it exists").offset
    }

    async fn content(&self, id: UploadId) -> Result<(Vec<u8>, Option<[u8; 32]>), SourceError> {
        let mut source = self.uploads.open(&access(), id).await?;
        let mut all = Vec::new();
        while let Some(block) = source.next().await? {
            all.extend_from_slice(&block);
        }
        Ok((all, source.sha256()))
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        fn walk(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found
    }
}

/// An append that says what its body hashes to.
fn checked(id: UploadId, offset: u64, body: &[u8]) -> AppendRequest {
    let digest = base64_simd::STANDARD.encode_to_string(Sha256::digest(body));
    let checksum = UploadChecksum::parse(format!("sha256 {digest}").as_bytes()).expect("a checksum");
    let checksum = Some(ExpectedChecksum::Known(checksum, std::sync::Arc::default()));
    AppendRequest { checksum, ..AppendRequest::new(access(), id, offset) }
}

#[expect(clippy::unnecessary_wraps, reason = "a body is made of results")]
fn piece(bytes: &[u8]) -> Result<Bytes, ()> {
    Ok(Bytes::copy_from_slice(bytes))
}

/// What was noted for removal while nobody was sure of it stays if it has come to be.
#[tokio::test]
async fn bytes_of_an_upload_that_is_there_are_not_removed() {
    for_each_database(|db| async move {
        let store = fresh(&db, 4);
        let id = store.create(3).await;
        let upload = store.uploads.find(&access(), id).await.expect("it reads").expect("it exists");
        store.append(id, 0, vec![piece(b"abc")]).await.expect("it is taken");
        store.uploads.remove_later(&upload);
        store.uploads.remove_left().await;
        store.uploads.remove_bytes(&upload).await.expect("there is nothing to do");
        assert_eq!(store.content(id).await.expect("it reads").0, b"abc");
    })
    .await;
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

#[tokio::test]
async fn an_upload_in_pieces_comes_back_whole() {
    for_each_database(|db| async move {
        let store = fresh(&db, 4);
        let id = store.create(11).await;
        assert!(matches!(store.append(id, 0, vec![piece(b"hello"), piece(b" ")]).await, Ok(Ended::Whole)));
        assert_eq!(store.offset(id).await, 6);
        assert!(matches!(store.content(id).await, Err(SourceError::Missing)), "it is not complete");
        assert!(matches!(store.append(id, 6, vec![piece(b"world")]).await, Ok(Ended::Whole)));
        let (content, sha256) = store.content(id).await.expect("it is complete");
        assert_eq!(content, b"hello world");
        assert_eq!(sha256, Some(Sha256::digest(b"hello world").into()));
        // T-36: a complete upload takes nothing, and that is no error.
        assert!(matches!(store.append(id, 11, vec![piece(b"more")]).await, Ok(Ended::Whole)));
        assert_eq!(store.content(id).await.expect("still").0, b"hello world");
    })
    .await;
}

/// T-05
#[tokio::test]
async fn a_stale_offset_is_refused_and_changes_nothing() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let id = store.create(10).await;
        store.append(id, 0, vec![piece(b"abcd")]).await.expect("it appends");
        for offset in [0, 3, 5, 10] {
            let refused = store.append(id, offset, vec![piece(b"x")]).await;
            assert!(
                matches!(refused, Err(UploadError::OffsetMismatch { expected: 4, got }) if got == offset),
                "{refused:?}"
            );
        }
        assert_eq!(store.offset(id).await, 4);
    })
    .await;
}

/// T-07
#[tokio::test]
async fn a_broken_body_keeps_its_prefix() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let id = store.create(10).await;
        let ended = store.append(id, 0, vec![piece(b"abc"), Err(()), piece(b"never")]).await;
        assert!(matches!(ended, Ok(Ended::Broken(()))), "{ended:?}");
        assert_eq!(store.offset(id).await, 3);
        store.append(id, 3, vec![piece(b"defghij")]).await.expect("it resumes");
        assert_eq!(store.content(id).await.expect("whole").0, b"abcdefghij");
    })
    .await;
}

#[tokio::test]
async fn bytes_beyond_the_length_are_refused_and_the_offset_stays_consistent() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let id = store.create(4).await;
        let ended = store.append(id, 0, vec![piece(b"abc"), piece(b"def")]).await;
        assert!(matches!(ended, Ok(Ended::BeyondLength)), "{ended:?}");
        let offset = store.offset(id).await;
        assert!(offset < 4, "an overflowing body must not complete the upload: {offset}");
        store
            .append(id, offset, vec![piece(&b"abcd"[usize::try_from(offset).expect("small")..])])
            .await
            .expect("ok");
        assert_eq!(store.content(id).await.expect("whole").0, b"abcd");
    })
    .await;
}

/// T-26
#[tokio::test]
async fn a_body_with_a_checksum_counts_as_a_whole_or_not_at_all() {
    for_each_database(|db| async move {
        // Checkpoints come in the middle of the body.
        let store = fresh(&db, 4);
        let id = store.create(12).await;
        store.append(id, 0, vec![piece(b"abc")]).await.expect("it appends");
        let sent = |pieces: &[&[u8]]| pieces.iter().map(|bytes| piece(bytes)).collect::<Vec<_>>();
        let refused = store.append_as(checked(id, 3, b"defghi"), sent(&[b"def", b"ghj"])).await;
        assert!(matches!(refused, Err(UploadError::ChecksumMismatch)), "{refused:?}");
        let broken = [sent(&[b"defg", b"hi"]), vec![Err(())]].concat();
        let ended = store.append_as(checked(id, 3, b"defghi"), broken).await;
        assert!(matches!(ended, Ok(Ended::Broken(()))), "{ended:?}");
        let ended = store.append_as(checked(id, 3, b"defghijklm"), sent(&[b"defg", b"hijklm"])).await;
        assert!(matches!(ended, Ok(Ended::BeyondLength)), "{ended:?}");
        assert_eq!(store.offset(id).await, 3);
        assert_eq!(std::fs::read(&store.files()[0]).expect("the file is there"), b"abc");
        store.append_as(checked(id, 3, b"defghi"), sent(&[b"def", b"ghi"])).await.expect("it agrees");
        assert_eq!(store.offset(id).await, 9);
        store.append_as(checked(id, 9, b"jkl"), sent(&[b"jkl"])).await.expect("it agrees");
        assert_eq!(store.content(id).await.expect("whole").0, b"abcdefghijkl");
    })
    .await;
}

#[tokio::test]
async fn another_caller_finds_no_upload() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let id = store.create(4).await;
        let stranger = Access::of_worker("another-tenant");
        assert!(store.uploads.find(&stranger, id).await.expect("it reads").is_none());
        assert!(store.uploads.find(&Access::of_worker("default"), id).await.expect("it reads").is_some());
    })
    .await;
}

#[tokio::test]
async fn stored_bytes_that_changed_or_are_gone_are_never_handed_on_as_whole() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let [changed, short, gone] = [store.create(5).await, store.create(5).await, store.create(5).await];
        for id in [changed, short, gone] {
            store.append(id, 0, vec![piece(b"bytes")]).await.expect("it appends");
        }
        for file in store.files() {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            if name == changed.to_string() {
                std::fs::write(&file, b"bytez").expect("it is changed");
            } else if name == short.to_string() {
                std::fs::write(&file, b"byt").expect("it is cut");
            } else if name == gone.to_string() {
                std::fs::remove_file(&file).expect("it goes");
            }
        }
        assert!(matches!(store.content(changed).await, Err(SourceError::Corrupt)));
        assert!(matches!(store.content(short).await, Err(SourceError::Truncated)));
        assert!(matches!(store.content(gone).await, Err(SourceError::Truncated)));
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_lost_acknowledged_bytes_is_marked_and_never_continued() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let id = store.create(10).await;
        store.append(id, 0, vec![piece(b"abcd")]).await.expect("it appends");
        for file in store.files() {
            std::fs::write(&file, b"ab").expect("it is cut");
        }
        assert!(matches!(store.append(id, 4, vec![piece(b"efghij")]).await, Err(UploadError::Damaged)));
        let upload = store.uploads.find(&access(), id).await.expect("it reads").expect("it exists");
        assert_eq!(upload.state, UploadState::Damaged);
    })
    .await;
}

#[tokio::test]
async fn a_spool_that_is_dropped_leaves_nothing_and_one_that_is_kept_everything() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let mut spool = store.uploads.spool(&access());
        let spooled = spool.add(Bytes::from_static(b"payload")).await.expect("it spools");
        assert_eq!((spooled.length, spooled.sha256), (7, Sha256::digest(b"payload").into()));
        let read = spool.read(&spooled, 3, 100).await.expect("it reads back");
        assert_eq!(read, &b"load"[..]);
        spool.begin().await.expect("another begins");
        spool.write(Bytes::from_static(b"half")).await.expect("it writes");
        drop(spool);
        store.tracker.close();
        store.tracker.wait().await;
        assert_eq!(store.files(), Vec::<std::path::PathBuf>::new());

        let mut spool = store.uploads.spool(&access());
        spool.add(Bytes::from_static(b"payload")).await.expect("it spools");
        spool.keep();
        assert_eq!(store.files().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_sweep_removes_what_no_row_names_and_nothing_else() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        let id = store.create(10).await;
        store.append(id, 0, vec![piece(b"abcd")]).await.expect("it appends");
        let mut orphan = store.uploads.spool(&access());
        orphan.add(Bytes::from_static(b"left by a crash")).await.expect("it spools");
        orphan.keep();
        assert_eq!(store.files().len(), 2);
        let store = open(&db, store.folder, 1024);
        let mut running = store.uploads.spool(&access());
        running.add(Bytes::from_static(b"being received")).await.expect("it spools");
        assert_eq!(store.uploads.sweep().await.expect("it sweeps"), 1);
        assert_eq!(store.files().len(), 2);
        assert_eq!(store.offset(id).await, 4);
        running.give_up().await;
    })
    .await;
}

/// What a client says that its body hashes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Checksum {
    None,
    Right,
    Wrong,
}

/// What a client does to an upload.
#[derive(Debug, Clone)]
enum Step {
    /// Appends this many bytes from where it believes the upload to be, which may be off by `skew`.
    /// A checksum may come along.
    Append { length: usize, pieces: usize, skew: i64, breaks: bool, checksum: Checksum },
    /// The gateway is killed: what was not acknowledged may or may not be there.
    Crash { torn: usize },
}

fn checksum() -> impl Strategy<Value = Checksum> {
    prop_oneof![4 => Just(Checksum::None), 1 => Just(Checksum::Right), 1 => Just(Checksum::Wrong)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_usize, 1..5_usize, prop_oneof![8 => Just(0_i64), 1 => -3..3_i64], any::<bool>(), checksum())
            .prop_map(|(length, pieces, skew, breaks, checksum)| {
                Step::Append { length, pieces, skew, breaks, checksum }
            }),
        1 => (0..20_usize).prop_map(|torn| Step::Crash { torn }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Against a model: the acknowledged prefix never shrinks, and the bytes are those that were sent.
    #[test]
    fn whatever_a_client_and_crashes_do_acknowledged_bytes_stay(steps in prop::collection::vec(step(), 1..16)) {
        const LENGTH: usize = 100;
        let all: Vec<u8> = (0..LENGTH).map(|n| u8::try_from(n).expect("below 256")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let url = format!("sqlite:{}", folder.path().join("gateway.db").display());
            let db = Db::open(&crate::db::testing::settings(url)).await.expect("it opens");
            let mut store = open(&db, folder, 16);
            let id = store.create(LENGTH as u64).await;
            let mut acknowledged = 0_usize;
            for step in steps {
                match step {
                    Step::Append { length, pieces, skew, breaks, checksum } => {
                        let end = (acknowledged + length).min(LENGTH);
                        let body = &all[acknowledged..end];
                        let mut sent: Vec<Result<Bytes, ()>> =
                            body.chunks(body.len() / pieces + 1).map(piece).collect();
                        if breaks {
                            sent.push(Err(()));
                        }
                        let Some(offset) = (acknowledged as u64).checked_add_signed(skew) else { continue };
                        let request = match checksum {
                            Checksum::None => AppendRequest::new(access(), id, offset),
                            Checksum::Right => checked(id, offset, body),
                            Checksum::Wrong => checked(id, offset, b"something else"),
                        };
                        let outcome = store.append_as(request, sent).await;
                        let wrong = offset != acknowledged as u64;
                        assert_eq!(wrong, matches!(outcome, Err(UploadError::OffsetMismatch { .. })), "{outcome:?}");
                        // A complete upload takes nothing and compares nothing.
                        let compares = checksum == Checksum::Wrong && !breaks && acknowledged < LENGTH;
                        let mismatch = matches!(outcome, Err(UploadError::ChecksumMismatch));
                        assert_eq!(!wrong && compares, mismatch, "{outcome:?}");
                        let is_whole = checksum == Checksum::None || (checksum == Checksum::Right && !breaks);
                        if !wrong && is_whole {
                            acknowledged = end;
                        }
                    }
                    Step::Crash { torn } => {
                        for file in store.files().iter().filter(|file| file.ends_with(id.to_string())) {
                            let mut bytes = std::fs::read(file).expect("it reads");
                            bytes.resize(bytes.len() + torn, 0xEE);
                            std::fs::write(file, bytes).expect("it is torn");
                        }
                        store = open(&db, store.folder, 16);
                    }
                }
                assert_eq!(store.offset(id).await, acknowledged as u64);
            }
            // Whole at last, whatever came before.
            store.append(id, acknowledged as u64, vec![piece(&all[acknowledged..])]).await.expect("the rest");
            let source = store.content(id).await;
            // A crash after the last byte tears nothing that a delivery reads: it stops at the length.
            assert_eq!(source.expect("whole").0, all);
        });
    }
}

#[tokio::test]
async fn a_store_is_refused_by_every_database_but_its_own() {
    for_each_database(|db| async move {
        let store = fresh(&db, 1024);
        store.uploads.tie_store().await.expect("they belong together from now on");
        store.uploads.tie_store().await.expect("and still do");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("other.db").display());
        let other = Db::open(&crate::db::testing::settings(url)).await.expect("it opens");
        let stranger = open(&other, store.folder, 1024);
        assert!(matches!(stranger.uploads.tie_store().await, Err(UploadError::ForeignStore)));
        other.close().await;
    })
    .await;
}
