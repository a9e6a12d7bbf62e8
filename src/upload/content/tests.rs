//! What is kept of the bytes of resources, over real files and on both databases.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::super::{Expiry, FileBlobs, UploadSettings, Uploads};
use super::*;
use crate::auth::Caller;
use crate::clock::SystemClock;
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};

fn open(db: &Db, folder: &std::path::Path) -> Uploads {
    let blobs = FileBlobs::open(folder.join("uploads"), true).expect("the store opens");
    let settings = UploadSettings {
        max_bytes: 1 << 30,
        checkpoint_bytes: 1 << 20,
        checkpoint_interval: Duration::from_hours(1),
        expiry: Expiry::default(),
    };
    Uploads::new(db.clone(), Arc::new(SystemClock), Arc::new(blobs), settings, TaskTracker::new())
}

async fn keep(uploads: &Uploads, access: &Access, bytes: &[u8]) -> Content {
    let mut spool = uploads.spool(access);
    let spooled = spool.add(Bytes::copy_from_slice(bytes)).await.expect("it is spooled");
    let content = Content::from(&spooled);
    let state = (access.clone(), vec![content.clone()], uploads.clock.now());
    let written: Result<(), DbError> = uploads
        .db
        .write(state, |(access, contents, now), tx| {
            Box::pin(Uploads::insert_contents(tx, access, contents, *now))
        })
        .await;
    written.expect("it is written");
    spool.keep();
    content
}

async fn read(
    uploads: &Uploads,
    access: &Access,
    id: UploadId,
    range: (u64, u64),
) -> Result<Vec<u8>, SourceError> {
    let mut reader = uploads.read_content(access, id, range).await?;
    let mut all = Vec::new();
    while let Some(block) = reader.next().await? {
        all.extend_from_slice(&block);
    }
    Ok(all)
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

#[tokio::test]
async fn any_stretch_is_read_and_only_by_those_who_may() {
    for_each_database(|db| async move {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let uploads = open(&db, folder.path());
        let access = Caller::anonymous().access();
        let bytes: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
        let content = keep(&uploads, &access, &bytes).await;
        assert_eq!(uploads.find_content(&access, content.id).await.expect("it reads"), Some(content.clone()));
        for (first, length) in [(0, 700_000), (0, 1), (1, 699_999), (699_999, 1), (262_143, 300_000), (5, 0)]
        {
            let found = read(&uploads, &access, content.id, (first, length)).await.expect("it reads");
            let (first, length) =
                (usize::try_from(first).expect("small"), usize::try_from(length).expect("small"));
            assert!(found == bytes[first..first + length], "{length} bytes from {first}");
        }
        let foreign = Access::of_worker("another-tenant");
        assert_eq!(uploads.find_content(&foreign, content.id).await.expect("it reads"), None);
        let refused = read(&uploads, &foreign, content.id, (0, 1)).await;
        assert!(matches!(refused, Err(SourceError::Missing)), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_sweep_leaves_what_a_row_names_and_changed_bytes_are_no_whole() {
    for_each_database(|db| async move {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let access = Caller::anonymous().access();
        let content = keep(&open(&db, folder.path()), &access, b"kept bytes").await;
        let again = open(&db, folder.path());
        assert_eq!(again.sweep().await.expect("it sweeps"), 0);
        assert_eq!(read(&again, &access, content.id, (0, 10)).await.expect("it reads"), b"kept bytes");

        let name = content.id.to_string();
        let file = folder.path().join("uploads/default/anonymous").join(&name[..2]).join(&name);
        assert_eq!(std::fs::read(&file).expect("the file is there"), b"kept bytes");
        std::fs::write(&file, b"other byte").expect("it is written");
        let refused = read(&again, &access, content.id, (0, 10)).await;
        assert!(matches!(refused, Err(SourceError::Corrupt)), "{refused:?}");
    })
    .await;
}
