//! What the audit trail keeps, on both databases.

use super::{AuditOutcome, Entry, list, record, store::STATEMENTS};
use crate::auth::{Access, Caller, DEFAULT_TENANT};
use crate::clock::Timestamp;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, DbError};
use crate::id::UploadId;

fn entry(owner: &str, at: i64) -> Entry {
    Entry {
        tenant: DEFAULT_TENANT.to_owned(),
        owner: owner.to_owned(),
        at: Timestamp::from_nanos(at),
        action: "submit-attachment",
        outcome: AuditOutcome::Refused,
        entity: None,
        detail: vec!["required", "value"],
        request_id: Some("request-1".to_owned()),
    }
}

async fn write(db: &Db, entry: Entry) {
    let written: Result<(), DbError> =
        db.write(entry, |entry, tx| Box::pin(async move { record(tx, entry).await })).await;
    written.expect("the entry is recorded");
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, STATEMENTS).await }).await;
}

#[tokio::test]
async fn entries_are_read_newest_first_and_only_by_those_who_may() {
    for_each_database(|db| async move {
        let id = UploadId::new().to_string();
        write(&db, entry("somebody-else", 1)).await;
        write(&db, entry("anonymous", 2)).await;
        let done = Entry {
            outcome: AuditOutcome::Success,
            entity: Some(id.clone()),
            detail: Vec::new(),
            ..entry("anonymous", 3)
        };
        write(&db, done).await;

        let mut reader = db.reader().await.expect("a reader");
        let own = list(&mut reader.tx(), &Caller::anonymous().access(), 10).await.expect("a list");
        assert_eq!(own.iter().map(|entry| entry.at.as_nanos()).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(
            (own[0].outcome, &own[0].entity, &own[0].detail),
            (AuditOutcome::Success, &Some(id), &None)
        );
        assert_eq!(
            (own[1].outcome, own[1].detail.as_deref()),
            (AuditOutcome::Refused, Some("required value"))
        );
        assert!(own[1].request_id.is_some());

        let tenant = Access::of_worker(DEFAULT_TENANT);
        assert_eq!(list(&mut reader.tx(), &tenant, 10).await.expect("a list").len(), 3);
        assert_eq!(list(&mut reader.tx(), &tenant, 1).await.expect("a list").len(), 1);
        assert_eq!(list(&mut reader.tx(), &Access::of_worker("other"), 10).await.expect("a list").len(), 0);
    })
    .await;
}
