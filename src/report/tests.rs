//! What is kept of reports and in which order, on both databases.

use super::store::{STATEMENTS, outbox};
use super::{Report, Stage, StreamFields, list, record};
use crate::auth::{Access, Caller, DEFAULT_TENANT};
use crate::clock::Timestamp;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, DbError};
use crate::id::UploadId;

pub(super) fn stream() -> StreamFields {
    StreamFields {
        tenant: DEFAULT_TENANT.to_owned(),
        owner: "anonymous".to_owned(),
        upload_id: UploadId::new(),
        sender_id: "test sender".to_owned(),
        data_stream_id: "dextesting".to_owned(),
        data_stream_route: "testevent1".to_owned(),
        jurisdiction: "test-jurisdiction".to_owned(),
        dex_ingest_datetime: "2025-05-05T14:03:22.1234567Z".to_owned(),
    }
}

pub(super) fn done(stage: Stage) -> Report {
    Report::success(stage, Timestamp::from_nanos(1), Timestamp::from_nanos(2))
}

pub(super) fn status(offset: u64) -> Report {
    done(Stage::UploadStatus { filename: "name".to_owned(), offset, size: Some(10) })
}

pub(super) async fn write(db: &Db, stream: &StreamFields, reports: Vec<Report>) {
    let written: Result<(), DbError> = db
        .write((stream.clone(), reports), |(stream, reports), tx| {
            Box::pin(async move { record(tx, stream, reports).await })
        })
        .await;
    written.expect("the reports are recorded");
}

async fn stages(db: &Db, access: &Access, id: UploadId) -> Vec<String> {
    let mut reader = db.reader().await.expect("a reader");
    let reports = list(&mut reader.tx(), access, id).await.expect("a list");
    assert!(reports.is_sorted_by_key(|report| report.sequence));
    reports.into_iter().map(|report| report.stage).collect()
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move {
        assert_prepares(&db, STATEMENTS).await;
        assert_prepares(&db, outbox::STATEMENTS).await;
    })
    .await;
}

#[tokio::test]
async fn reports_are_read_in_the_order_in_which_they_became_true() {
    for_each_database(|db| async move {
        let (one, two) = (stream(), stream());
        write(&db, &one, vec![done(Stage::MetadataTransform), done(Stage::UploadStarted), status(0)]).await;
        write(&db, &two, vec![done(Stage::UploadStarted)]).await;
        write(&db, &one, Vec::new()).await;
        write(&db, &one, vec![status(5)]).await;
        write(&db, &one, vec![status(10), done(Stage::UploadCompleted)]).await;

        let access = Caller::anonymous().access();
        assert_eq!(
            stages(&db, &access, one.upload_id).await,
            ["metadata-transform", "upload-started", "upload-status", "upload-completed"]
        );
        assert_eq!(stages(&db, &access, two.upload_id).await, ["upload-started"]);
        assert_eq!(stages(&db, &Access::of_worker("other"), one.upload_id).await, [""; 0]);

        let mut reader = db.reader().await.expect("a reader");
        let reports = list(&mut reader.tx(), &access, one.upload_id).await.expect("a list");
        let last: serde_json::Value = serde_json::from_slice(&reports[2].body).expect("JSON");
        assert_eq!(last["content"]["offset"], 10, "the last status took the place of the earlier ones");
        assert_eq!(last["disposition_type"], "replace");
    })
    .await;
}
