//! Uploads that end, over real files and both databases, with a clock that is turned by hand.

use std::time::Duration;

use super::super::concatenate_upload::{ConcatenateRequest, ConcatenationRefused};
use super::super::receive_upload::{CreateRequest, Creation};
use super::super::testing::{Gateway, document, manifest, submission};
use super::*;
use crate::clock::Clock as _;
use crate::db::testing::for_each_database;
use crate::digest::ContentHash;
use crate::manifest::ManifestFields;
use crate::upload::{AppendRequest, Content};

/// The time after which an upload expires, and a little less.
const DAY: Duration = Duration::from_hours(24);
const NEARLY_A_DAY: Duration = Duration::from_hours(23);

/// T-24, W-23
#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_expires_and_one_that_moves_does_not() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let (moving, left) = (gateway.create(9).await, gateway.create(9).await);
        gateway.append(left, 0, b"abc").await;
        for offset in [0, 3] {
            gateway.append(moving, offset, b"abc").await;
            gateway.clock.advance(NEARLY_A_DAY);
            gateway.exchange.retain_once().await.expect("a round");
        }
        assert_eq!(state(&gateway, left).await, UploadState::Expired);
        assert_eq!(state(&gateway, moving).await, UploadState::Open);
        assert_eq!(gateway.files("uploads"), [b"abcabc"]);
        let last = gateway.stages(left).await.pop();
        assert_eq!(last.as_deref(), Some("upload-status"));
        let refused = append(&gateway, left, 3).await;
        assert!(matches!(refused, Err(UploadError::Gone)), "{refused:?}");
        assert_eq!(gateway.append(moving, 6, b"abc").await, 9);
    })
    .await;
}

/// T-24
#[tokio::test]
async fn an_upload_is_gone_from_its_time_on_even_if_nobody_has_tidied_up() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let id = gateway.create(9).await;
        gateway.clock.advance(DAY);
        let refused = append(&gateway, id, 0).await;
        assert!(matches!(refused, Err(UploadError::Gone)), "{refused:?}");
        let refused = terminate(&gateway, id).await;
        assert!(matches!(refused, Err(TerminationRefused::Upload(UploadError::Gone))), "{refused:?}");
    })
    .await;
}

/// T-24
#[tokio::test]
async fn a_finished_upload_and_one_that_is_being_written_never_expire() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let (finished, written) = (gateway.create(3).await, gateway.create(3).await);
        gateway.append(finished, 0, b"abc").await;
        let access = Caller::anonymous().access();
        let (_, lock) = gateway.exchange.uploads.hold(&access, written).await.expect("nobody has it");
        gateway.clock.advance(10 * DAY);
        assert_eq!(expire(&gateway).await, 0);
        assert_eq!(state(&gateway, written).await, UploadState::Open);
        drop(lock);
        assert_eq!(expire(&gateway).await, 1);
        assert_eq!(expire(&gateway).await, 0, "once");
        assert_eq!(state(&gateway, finished).await, UploadState::Complete);
    })
    .await;
}

/// T-29, T-33
#[tokio::test]
async fn a_part_stays_as_long_as_something_is_to_be_made_of_it() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let part = part(&gateway, b"abc").await;
        gateway.clock.advance(NEARLY_A_DAY);
        let whole = concatenate(&gateway, &[part, part]).await.expect("it is created");
        gateway.clock.advance(Duration::from_hours(2));
        assert_eq!(expire(&gateway).await, 0);
        assert_eq!(state(&gateway, part).await, UploadState::Ready);
        gateway.run_agenda().await;
        assert_eq!(state(&gateway, whole).await, UploadState::Complete);
        assert_eq!(expire(&gateway).await, 1);
        assert_eq!(state(&gateway, part).await, UploadState::Expired);
        assert_eq!(gateway.files("uploads"), [b"abcabc"]);
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(gateway.files("delivered"), [b"abcabc"]);
        // What it was made of tells nothing about it.
        assert_eq!(gateway.stages(part).await, Vec::<String>::new());
    })
    .await;
}

/// T-28
#[tokio::test]
async fn a_part_cannot_be_removed_before_it_was_used() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let part = part(&gateway, b"abc").await;
        concatenate(&gateway, &[part]).await.expect("it is created");
        let refused = terminate(&gateway, part).await;
        assert!(matches!(refused, Err(TerminationRefused::UnderWay)), "{refused:?}");
        gateway.run_agenda().await;
        terminate(&gateway, part).await.expect("nobody needs it");
        let refused = concatenate(&gateway, &[part]).await;
        assert!(matches!(refused, Err(ConcatenationRefused::PartMissing)), "{refused:?}");
    })
    .await;
}

/// T-30: a part whose bytes are lost makes no whole, and somebody can see it.
#[tokio::test]
async fn what_is_made_of_a_lost_part_is_given_up_and_reported() {
    for_each_database(|db| async move {
        for damage in [&b"abd"[..], b"ab"] {
            let gateway = Gateway::new(&db);
            let part = part(&gateway, b"abc").await;
            let whole = concatenate(&gateway, &[part]).await.expect("it is created");
            let name = part.to_string();
            let file = gateway.folder.path().join("uploads/default/anonymous").join(&name[..2]).join(&name);
            std::fs::write(file, damage).expect("the part is damaged");
            gateway.run_agenda().await;
            assert_eq!(state(&gateway, whole).await, UploadState::Damaged);
            let reports = gateway.exchange.reports_of(&Caller::anonymous().access(), whole).await;
            let last = reports.expect("a list").pop().expect("there are reports");
            let text = String::from_utf8(last.body).expect("JSON is text");
            assert!(text.contains(r#""FAILURE""#) && text.contains("a part of the upload is lost"), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_that_a_resource_shares_stay_when_their_upload_is_removed() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let id = gateway.create(3).await;
        gateway.append(id, 0, b"abc").await;
        gateway.deliver().await;
        let content = Content { id, length: 3, sha256: [0; 32] };
        let now = gateway.clock.now();
        let written: Result<(), DbError> = db
            .write(content, move |content, tx| {
                let access = Caller::anonymous().access();
                Box::pin(async move {
                    Uploads::insert_contents(tx, &access, std::slice::from_ref(content), now).await
                })
            })
            .await;
        written.expect("a row");
        terminate(&gateway, id).await.expect("it is delivered");
        assert_eq!(state(&gateway, id).await, UploadState::Terminated);
        assert_eq!(gateway.files("uploads"), [b"abc"]);
    })
    .await;
}

/// W-28: what the store did not remove when it was away goes when it is back.
#[tokio::test]
async fn bytes_that_could_not_be_removed_go_in_a_later_round() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let (removed, expiring) = (gateway.create(9).await, gateway.create(9).await);
        for id in [removed, expiring] {
            gateway.append(id, 0, b"abc").await;
        }
        let (uploads, aside) = (gateway.folder.path().join("uploads"), gateway.folder.path().join("aside"));
        std::fs::rename(&uploads, &aside).expect("the folder moves");
        std::fs::write(&uploads, b"").expect("something is in its place");
        terminate(&gateway, removed).await.expect("the row says so");
        gateway.clock.advance(DAY);
        gateway.exchange.retain_once().await.expect("a round");
        assert_eq!(state(&gateway, removed).await, UploadState::Terminated);
        assert_eq!(state(&gateway, expiring).await, UploadState::Expired);
        std::fs::remove_file(&uploads).expect("it goes");
        std::fs::rename(&aside, &uploads).expect("the folder is back");
        assert_eq!(gateway.files("uploads"), [b"abc", b"abc"]);
        gateway.exchange.retain_once().await.expect("a round");
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());
    })
    .await;
}

/// T-24
#[tokio::test]
async fn uploads_expire_behind_those_that_cannot() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let access = Caller::anonymous().access();
        let mut locks = Vec::new();
        for _ in 0..101 {
            let id = gateway.create(3).await;
            locks.push(gateway.exchange.uploads.hold(&access, id).await.expect("nobody has it"));
        }
        gateway.clock.advance(Duration::from_secs(1));
        let behind = gateway.create(3).await;
        gateway.clock.advance(DAY);
        assert_eq!(expire(&gateway).await, 1);
        assert_eq!(state(&gateway, behind).await, UploadState::Expired);
    })
    .await;
}

/// T-30: between the look at a part and the commit it may go.
#[tokio::test]
async fn a_final_upload_and_the_end_of_its_part_exclude_each_other() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let access = Caller::anonymous().access();
        let part = part(&gateway, b"abc").await;
        let now = gateway.clock.now();
        let before =
            gateway.exchange.uploads.find(&access, part).await.expect("it reads").expect("it is there");
        let whole = concatenate(&gateway, &[part, part]).await.expect("it is created");
        let late: Result<bool, DbError> = db
            .write(before, move |before, tx| Box::pin(Uploads::end(tx, before, UploadState::Terminated, now)))
            .await;
        assert!(!late.expect("it writes"), "the part is used meanwhile");
        gateway.run_agenda().await;
        assert_eq!(state(&gateway, whole).await, UploadState::Complete);

        terminate(&gateway, part).await.expect("nobody needs it");
        let mut second =
            gateway.exchange.uploads.find(&access, whole).await.expect("it reads").expect("it is there");
        second.id = UploadId::new();
        let late: Result<bool, DbError> = db
            .write(second, move |second, tx| {
                Box::pin(async move { Uploads::insert_final(tx, second, &[part]).await })
            })
            .await;
        assert!(!late.expect("it writes"), "the part is gone meanwhile");
    })
    .await;
}

/// T-30
#[tokio::test]
async fn a_final_upload_that_has_lost_its_own_bytes_is_given_up_and_reported() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let part = part(&gateway, b"abcdef").await;
        let whole = concatenate(&gateway, &[part]).await.expect("it is created");
        // As if a run had acknowledged three of its bytes, and the store had lost them.
        let access = Caller::anonymous().access();
        let upload =
            gateway.exchange.uploads.find(&access, whole).await.expect("it reads").expect("it is there");
        let segment = crate::upload::Segment { first_byte: 0, length: 3, hash: ContentHash::Sha256([0; 32]) };
        gateway.exchange.uploads.advance(&upload, &[segment]).await.expect("it moves");
        gateway.run_agenda().await;
        assert_eq!(state(&gateway, whole).await, UploadState::Damaged);
        let reports = gateway.exchange.reports_of(&access, whole).await.expect("a list");
        let text = String::from_utf8_lossy(&reports.last().expect("there are reports").body).into_owned();
        assert!(text.contains("bytes of the upload are lost"), "{text}");
        gateway.clock.advance(DAY);
        assert_eq!(expire(&gateway).await, 2, "nothing is to be made of its part any more");
        assert_eq!(state(&gateway, whole).await, UploadState::Expired);
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());
    })
    .await;
}

/// What can never be completed is told at once, and does not keep its bytes for ever.
#[tokio::test]
async fn an_upload_that_lost_bytes_is_reported_and_goes_in_its_time() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let id = gateway.create(9).await;
        gateway.append(id, 0, b"abc").await;
        let name = id.to_string();
        let file = gateway.folder.path().join("uploads/default/anonymous").join(&name[..2]).join(&name);
        std::fs::write(file, b"ab").expect("a byte is lost");
        for _ in 0..2 {
            let refused = append(&gateway, id, 3).await;
            assert!(matches!(refused, Err(UploadError::Damaged)), "{refused:?}");
            assert_eq!(state(&gateway, id).await, UploadState::Damaged);
            let text = last_report(&gateway, id).await;
            assert!(text.contains(r#""FAILURE""#) && text.contains("bytes of the upload are lost"), "{text}");
            gateway.clock.advance(Duration::from_hours(11));
            assert_eq!(expire(&gateway).await, 0);
        }
        assert_eq!(gateway.files("uploads"), [b"ab"]);
        gateway.clock.advance(Duration::from_hours(2));
        let refused = append(&gateway, id, 3).await;
        assert!(matches!(refused, Err(UploadError::Gone)), "{refused:?}");
        assert_eq!(expire(&gateway).await, 1);
        assert_eq!(expire(&gateway).await, 0, "once");
        assert_eq!(state(&gateway, id).await, UploadState::Expired);
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());
        let text = last_report(&gateway, id).await;
        assert!(text.contains(r#""FAILURE""#) && text.contains("bytes were lost"), "{text}");
    })
    .await;
}

async fn last_report(gateway: &Gateway, id: UploadId) -> String {
    let reports = gateway.exchange.reports_of(&Caller::anonymous().access(), id).await.expect("a list");
    String::from_utf8_lossy(&reports.last().expect("there are reports").body).into_owned()
}

/// W-28
#[tokio::test]
async fn an_upload_that_an_accepted_submission_names_is_not_removed() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let id = gateway.create(3).await;
        gateway.append(id, 0, b"abc").await;
        gateway.deliver().await;
        let url = format!("http://gateway.example/upload/files/{id}");
        let attachment = serde_json::json!({ "contentType": "text/plain", "url": url });
        gateway.submit(&submission(&[document(attachment)])).await.expect("it is accepted");
        let refused = terminate(&gateway, id).await;
        assert!(matches!(refused, Err(TerminationRefused::NotByTus)), "{refused:?}");
        assert_eq!(gateway.files("uploads"), [b"abc"]);
    })
    .await;
}

async fn state(gateway: &Gateway, id: UploadId) -> UploadState {
    let found = gateway.exchange.uploads.find(&Caller::anonymous().access(), id).await;
    found.expect("it reads").expect("the row stays").state
}

async fn expire(gateway: &Gateway) -> u64 {
    gateway.exchange.expire_uploads(gateway.clock.now()).await.expect("they expire")
}

async fn terminate(gateway: &Gateway, id: UploadId) -> Result<(), TerminationRefused> {
    gateway.exchange.terminate_upload(&Caller::anonymous(), "request-1", id, false).await
}

async fn append(gateway: &Gateway, id: UploadId, offset: u64) -> Result<u64, UploadError> {
    let request = AppendRequest::new(Caller::anonymous().access(), id, offset);
    let body = super::super::testing::body_of(b"abc");
    gateway.exchange.append_upload(request, body).await.map(|reception| reception.offset)
}

async fn part(gateway: &Gateway, content: &[u8]) -> UploadId {
    let length = Some(content.len() as u64);
    let request = CreateRequest { length, fields: ManifestFields::default(), is_partial: true };
    let id = gateway.create_as(request).await;
    gateway.append(id, 0, content).await;
    id
}

async fn concatenate(gateway: &Gateway, parts: &[UploadId]) -> Result<UploadId, ConcatenationRefused> {
    let field = "final;/files/1".to_owned();
    let request = ConcatenateRequest { parts: parts.to_vec(), field, fields: manifest() };
    match gateway.exchange.concatenate_upload(&Caller::anonymous(), request).await? {
        Creation::Created { id, .. } => Ok(id),
        refused => panic!("{refused:?}"),
    }
}
