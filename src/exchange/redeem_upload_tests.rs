//! What the journal acknowledges comes true once, whatever happens on the way.

use bytes::Bytes;
use tempfile::tempdir;

use super::super::receive_upload::{CreateRequest, CreatedWith, Creation, FirstBytes};
use super::super::testing::{Gateway, body_of, manifest};
use super::*;
use crate::auth::{Access, Caller};
use crate::db::Db;
use crate::db::testing::for_each_database;
use crate::id::UploadId;
use crate::upload::{AppendRequest, UploadState};

async fn fresh(db: &Db) -> Gateway {
    Gateway::with_journal(tempdir().expect("a temporary folder"), db).await
}

/// The same gateway after a crash, with whatever was in its folder.
async fn crashed(gateway: Gateway, db: &Db) -> Gateway {
    let Gateway { exchange, folder, .. } = gateway;
    drop(exchange);
    Gateway::with_journal(folder, db).await
}

fn access() -> Access {
    Caller::anonymous().access()
}

impl Gateway {
    async fn create_with(&self, bytes: &[u8]) -> Result<CreatedWith, DbError> {
        let length = Some(bytes.len() as u64);
        let request = CreateRequest { length, fields: manifest(), is_partial: false };
        let first = FirstBytes { declared: length, checksum: None, body: body_of(bytes) };
        self.exchange.create_upload_with(&Caller::anonymous(), request, first).await
    }

    async fn created_with(&self, bytes: &[u8]) -> UploadId {
        match self.create_with(bytes).await {
            Ok((Creation::Created { id, .. }, Some(Ok(_)))) => id,
            refused => panic!("{refused:?}"),
        }
    }

    fn journal(&self) -> &Journal {
        self.exchange.uploads.journal().expect("it has one")
    }

    /// Redeems all that is entered; returns in how many groups.
    async fn redeem(&self) -> usize {
        let mut groups = 0;
        while !self.journal().is_empty() {
            let group = self.journal().due().await;
            self.exchange.redeem(self.journal(), &group).await.expect("it is redeemed");
            self.journal().redeemed(&group);
            groups += 1;
        }
        groups
    }

    async fn has_row(&self, id: UploadId) -> bool {
        let uploads = &self.exchange.uploads;
        let upload =
            uploads.look(&access(), id).await.expect("it reads").map(|upload| (upload, Bytes::new()));
        let known = uploads.known(upload.as_slice()).await.expect("it reads");
        known.contains(&id)
    }
}

/// D-01
#[tokio::test]
async fn d_01_what_the_journal_holds_survives_a_crash_and_is_delivered_once() {
    for_each_database(|db| async move {
        let gateway = fresh(&db).await;
        let whole = gateway.created_with(b"whole").await;
        let begun = gateway.create(5).await;
        let completed = gateway.create(9).await;
        assert_eq!(gateway.append(completed, 0, b"completed").await, 9);
        assert!(!gateway.has_row(whole).await && gateway.deliver().await == 0);
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());

        let gateway = crashed(gateway, &db).await;
        let look = async |id| {
            gateway.exchange.uploads.look(&access(), id).await.expect("it reads").expect("it is there")
        };
        assert_eq!(look(completed).await.offset, 9);
        assert_eq!((look(begun).await.offset, look(begun).await.state), (0, UploadState::Open));
        assert_eq!(gateway.redeem().await, 1);
        assert!(gateway.has_row(whole).await);
        assert_eq!(look(completed).await.offset, 9);
        assert_eq!(gateway.deliver().await, 2);
        assert_eq!(gateway.append(begun, 0, b"bytes").await, 5);
        assert_eq!(gateway.deliver().await, 1);

        let gateway = crashed(gateway, &db).await;
        assert_eq!((gateway.redeem().await, gateway.deliver().await), (0, 0));
        let delivered = [b"bytes".to_vec(), b"completed".to_vec(), b"whole".to_vec()];
        assert_eq!(gateway.files("delivered"), delivered);
        let direct = Gateway::new(&db);
        let other = direct.created_with(b"direct").await;
        assert_eq!(direct.deliver().await, 1);
        assert_eq!(gateway.stages(whole).await, direct.stages(other).await);
        assert_eq!(gateway.stages(completed).await, direct.stages(other).await);
    })
    .await;
}

/// A commit whose answer was lost, and a crash before the journal knew of it.
#[tokio::test]
async fn nothing_is_redeemed_twice_and_nothing_comes_back_that_was_removed() {
    for_each_database(|db| async move {
        let gateway = fresh(&db).await;
        let kept = gateway.created_with(b"kept").await;
        let removed = gateway.created_with(b"removed").await;
        let group = gateway.journal().due().await;
        gateway.exchange.redeem(gateway.journal(), &group).await.expect("it is redeemed");
        // Blobs that may be read already are not written anew.
        let (uploads, aside) = (gateway.folder.path().join("uploads"), gateway.folder.path().join("aside"));
        std::fs::rename(&uploads, &aside).expect("it moves");
        gateway.exchange.redeem(gateway.journal(), &group).await.expect("it is redeemed");
        std::fs::rename(&aside, &uploads).expect("nothing is in its place");
        gateway.journal().redeemed(&group);
        assert_eq!(gateway.deliver().await, 2);
        let caller = Caller::anonymous();
        gateway.exchange.terminate_upload(&caller, "r", removed, false).await.expect("it goes");
        let stages = gateway.stages(kept).await;

        let gateway = crashed(gateway, &db).await;
        assert_eq!((gateway.redeem().await, gateway.deliver().await), (0, 0));
        let removed = gateway.exchange.uploads.find(&access(), removed).await.expect("it reads");
        assert_eq!(removed.map(|upload| upload.state), Some(UploadState::Terminated));
        assert_eq!(gateway.stages(kept).await, stages);
        assert_eq!(gateway.files("uploads"), [b"kept".to_vec()]);
    })
    .await;
}

/// The entry of its bytes failed, so that it went on without the journal; a restart finds the entry all the same.
#[tokio::test]
async fn an_upload_that_went_on_without_its_entry_stays_as_it_is() {
    for_each_database(|db| async move {
        let gateway = fresh(&db).await;
        let id = gateway.created_with(b"bytes").await;
        let upload =
            gateway.exchange.uploads.look(&access(), id).await.expect("it reads").expect("it is there");
        let other = gateway.created_with(b"other").await;
        let written =
            db.write(upload, |upload, tx| Box::pin(Uploads::insert(tx, std::slice::from_ref(upload))));
        written.await.map_err(|error: DbError| error).expect("it is inserted");
        let gateway = crashed(gateway, &db).await;
        assert_eq!(gateway.redeem().await, 1);
        assert!(gateway.has_row(other).await);
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(gateway.files("delivered"), [b"other".to_vec()]);
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_an_upload_waits_for_its_row_and_only_its_owner_sees_it() {
    for_each_database(|db| async move {
        let gateway = fresh(&db).await;
        let stop = CancellationToken::new();
        let worker = gateway.exchange.tracker.spawn(gateway.exchange.clone().redeem_uploads(stop.clone()));
        let id = gateway.created_with(b"bytes").await;
        let stranger = Access::of_owner(access().tenant(), "somebody else");
        for _ in 0..2 {
            assert!(gateway.exchange.uploads.look(&stranger, id).await.expect("it reads").is_none());
            assert!(gateway.exchange.inspect_upload(&stranger, id).await.expect("it reads").is_none());
            let seen = gateway.exchange.inspect_upload(&access(), id).await.expect("it reads");
            assert_eq!(seen.map(|seen| seen.upload.state), Some(UploadState::Complete));
        }
        let reported = gateway.created_with(b"bytes").await;
        assert!(gateway.stages(reported).await.contains(&"upload-completed".to_owned()));
        // An offset that does not agree is told as such, whether its row is there or not.
        let begun = gateway.create(5).await;
        let request = AppendRequest { declared: Some(5), ..AppendRequest::new(access(), begun, 3) };
        let refused = gateway.exchange.append_upload(request, body_of(b"bytes")).await;
        assert!(matches!(refused, Err(UploadError::OffsetMismatch { expected: 0, got: 3 })), "{refused:?}");
        // A stop leaves nothing behind.
        let last = gateway.created_with(b"last").await;
        stop.cancel();
        worker.await.expect("it ends");
        assert!(gateway.journal().is_empty() && gateway.has_row(last).await);
        let later = gateway.created_with(b"later").await;
        assert!(gateway.journal().is_empty() && gateway.has_row(later).await, "nobody is left to redeem it");
    })
    .await;
}

/// D-01: a store that is away delays what was acknowledged, and says so to whoever comes next.
#[tokio::test]
async fn while_the_store_is_away_nothing_is_lost_and_nothing_more_is_promised() {
    for_each_database(|db| async move {
        let gateway = fresh(&db).await;
        let uploads = gateway.folder.path().join("uploads");
        let id = gateway.created_with(b"acknowledged").await;
        std::fs::remove_dir_all(&uploads).expect("it goes");
        std::fs::write(&uploads, "in the way").expect("it writes");
        let stop = CancellationToken::new();
        let worker = gateway.exchange.tracker.spawn(gateway.exchange.clone().redeem_uploads(stop.clone()));
        gateway.exchange.uploads.find(&access(), id).await.expect_err("it has no row yet");
        let refused = gateway.create_with(b"refused").await;
        assert!(matches!(&refused, Ok((_, Some(Err(_))))), "{refused:?}");
        assert_eq!(gateway.deliver().await, 0);

        std::fs::remove_file(&uploads).expect("it goes");
        std::fs::create_dir(&uploads).expect("it comes");
        let found = tokio::time::timeout(Duration::from_mins(1), async {
            loop {
                match gateway.exchange.uploads.find(&access(), id).await {
                    Ok(found) => break found,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        assert!(found.await.expect("in time").is_some());
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(gateway.files("delivered"), [b"acknowledged".to_vec()]);
        stop.cancel();
        worker.await.expect("it ends");
    })
    .await;
}

/// What is being redeemed has no row yet, and a sweep must not take its bytes for left over.
#[tokio::test]
async fn a_sweep_waits_for_what_is_being_redeemed() {
    for_each_database(|db| async move {
        let gateway = fresh(&db).await;
        gateway.created_with(b"bytes").await;
        // A crash between the blob and the rows.
        let group = gateway.journal().due().await;
        gateway.exchange.uploads.store_all(&group.uploads).await.expect("it is stored");
        let gateway = crashed(gateway, &db).await;
        let stop = CancellationToken::new();
        let worker = gateway.exchange.tracker.spawn(gateway.exchange.clone().redeem_uploads(stop.clone()));
        assert_eq!(gateway.exchange.uploads.sweep().await.expect("it sweeps"), 0);
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(gateway.files("delivered"), [b"bytes".to_vec()]);
        stop.cancel();
        worker.await.expect("it ends");
    })
    .await;
}
