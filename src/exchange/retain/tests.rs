//! What goes after its time and what stays whatever its age, over real files and both databases, with a clock that is
//! turned by hand.

use serde_json::{Value, json};

use super::removal::Removed;
use super::store::STATEMENTS;
use super::*;
use crate::agenda::NewItem;
use crate::audit;
use crate::auth::{Caller, DEFAULT_TENANT};
use crate::clock::Clock as _;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, on_db};
use crate::exchange::receive_upload::{CreateRequest, Creation};
use crate::exchange::redeliver::RedeliveryRefused;
use crate::exchange::testing::{Gateway, document, manifest, submission};
use crate::id::UploadId;
use crate::report::Publisher;
use crate::report::sink::{FileSink, Sink};
use crate::repository::{self, Draft, Kept, Precondition, index};
use crate::upload::{Content, UploadState, Uploads};

const DAY: Duration = Duration::from_hours(24);

/// A gateway that keeps what it has done with as these settings say.
fn gateway(db: &Db, settings: &Value) -> Gateway {
    let mut section = json!({
        "interval_secs": 600, "source_days": 0, "undelivered": false, "delivery_days": 0, "tombstone_days": 0,
        "report_days": 0,
    });
    for (key, value) in settings.as_object().expect("an object") {
        section[key] = value.clone();
    }
    let config = serde_json::from_value(section).expect("the form of the section");
    Gateway::with(db, |exchange| exchange.retention = Retention::new(&config))
}

async fn upload(gateway: &Gateway) -> UploadId {
    let id = gateway.create(3).await;
    gateway.append(id, 0, b"abc").await;
    id
}

async fn after(gateway: &Gateway, time: Duration) -> Removed {
    gateway.clock.advance(time);
    gateway.exchange.remove_old(gateway.clock.now()).await.expect("a run")
}

async fn state(gateway: &Gateway, id: UploadId) -> Option<UploadState> {
    let found = gateway.exchange.uploads.find(&Caller::anonymous().access(), id).await;
    found.expect("it reads").map(|upload| upload.state)
}

/// Writes what no interaction of these tests would.
async fn execute(db: &Db, sql: &'static str, id: UploadId) {
    let done: Result<(), DbError> = db
        .write(id.to_string(), move |id, tx| {
            Box::pin(async move {
                on_db!(tx, conn => sqlx::query(sql).bind(id).execute(conn).await.map(drop))?;
                Ok(())
            })
        })
        .await;
    done.expect("it is written");
}

/// Keeps a DocumentReference whose attachment is at this URL.
async fn keep_document(db: &Db, url: &str) {
    let access = Caller::anonymous().access();
    let tree = document(json!({ "url": url }));
    let draft = Draft {
        resource_type: "DocumentReference",
        id: "1".to_owned(),
        text: tree.to_string().into(),
        entries: index::entries(access.tenant(), "DocumentReference", &tree, ""),
        bytes: None,
        errands: Vec::new(),
    };
    let state = (access, [(draft, Precondition::None)]);
    let now = crate::clock::SystemClock.now();
    let kept: Result<Vec<Kept>, DbError> = db
        .write(state, move |(access, drafts), tx| Box::pin(repository::keep(tx, access, drafts, true, now)))
        .await;
    assert!(matches!(kept.expect("it is kept")[..], [Kept::Created(_)]));
}

/// What there is to an upload that was sent whole.
#[derive(Debug, Clone, Copy)]
enum Given {
    Delivered,
    NotDeliveredYet,
    Dead,
    Held,
    CalledOff,
    SharedWithABinary,
    NamedByADocument(&'static str),
    NamedByAPush,
    WaitingForTheScanner,
}

async fn bring_about(gateway: &Gateway, db: &Db, id: UploadId, given: Given) {
    let now = gateway.clock.now();
    let access = Caller::anonymous().access();
    match given {
        Given::NotDeliveredYet => return,
        Given::Dead => {
            std::fs::write(gateway.folder.path().join("delivered"), "no folder").expect("it is written");
        }
        Given::Held => {
            execute(db, "UPDATE delivery SET status = 'held', settled_at = 1 WHERE upload_id = $1", id).await;
        }
        Given::CalledOff => {
            let done: Result<u64, DbError> = db
                .write(access.clone(), move |access, tx| Box::pin(delivery::cancel(tx, access, id, now)))
                .await;
            assert_eq!(done.expect("it is called off"), 1);
        }
        Given::SharedWithABinary => {
            let content = [Content { id, length: 3, sha256: [0; 32] }];
            let done: Result<(), DbError> = db
                .write((access, content), move |(access, content), tx| {
                    Box::pin(Uploads::insert_contents(tx, access, content, now))
                })
                .await;
            done.expect("a row");
        }
        Given::NamedByADocument(prefix) => keep_document(db, &format!("{prefix}{id}")).await,
        Given::NamedByAPush => {
            const NAMED: &str = "INSERT INTO forwarded (origin, payload, sha256, tenant, owner, resource, version, \
                 upload_id, outcome, created_at) SELECT hash, '0', hash, tenant, owner, 'Communication/1', 1, \
                 upload_id, 'named', 1 FROM segment WHERE upload_id = $1";
            execute(db, NAMED, id).await;
        }
        Given::WaitingForTheScanner => {
            let item = NewItem {
                tenant: DEFAULT_TENANT.to_owned(),
                owner: "anonymous".to_owned(),
                errand: Errand::ScanUpload,
                subject: id.to_string(),
                version: 0,
                due_at: now,
            };
            let done: Result<(), DbError> =
                db.write([item], |item, tx| Box::pin(agenda::add(tx, item))).await;
            done.expect("an item");
        }
        Given::Delivered => {}
    }
    gateway.deliver().await;
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, STATEMENTS).await }).await;
}

/// W-23: delivered sources go after their time, and never while anything needs them.
#[tokio::test]
async fn w_23_bytes_go_after_their_time_unless_something_needs_them() {
    const MONTH: &str = r#"{"source_days": 30}"#;
    let cases: &[(Given, &str, UploadState)] = &[
        (Given::Delivered, "{}", UploadState::Complete),
        (Given::Delivered, MONTH, UploadState::Retired),
        (Given::Delivered, r#"{"source_days": 32}"#, UploadState::Complete),
        (
            Given::Delivered,
            r#"{"source_days": 30, "streams": {"CDEX_attachment": {"source_days": 0}}}"#,
            UploadState::Complete,
        ),
        (Given::Delivered, r#"{"streams": {"cdex_attachment": {"source_days": 30}}}"#, UploadState::Retired),
        (Given::Delivered, r#"{"streams": {"cdex_other": {"source_days": 30}}}"#, UploadState::Complete),
        (Given::NotDeliveredYet, MONTH, UploadState::Complete),
        (Given::NotDeliveredYet, r#"{"source_days": 30, "undelivered": true}"#, UploadState::Complete),
        (Given::Dead, MONTH, UploadState::Complete),
        (Given::Dead, r#"{"source_days": 30, "undelivered": true}"#, UploadState::Retired),
        (Given::Held, r#"{"source_days": 30, "undelivered": true}"#, UploadState::Complete),
        (Given::CalledOff, MONTH, UploadState::Complete),
        (Given::CalledOff, r#"{"source_days": 30, "undelivered": true}"#, UploadState::Retired),
        (Given::SharedWithABinary, MONTH, UploadState::Complete),
        (Given::NamedByADocument("http://gateway.example/upload/files/"), MONTH, UploadState::Complete),
        (Given::NamedByADocument("/files/"), MONTH, UploadState::Complete),
        (Given::NamedByADocument("http://other.example/dicom/"), MONTH, UploadState::Retired),
        (Given::NamedByAPush, MONTH, UploadState::Complete),
        (Given::WaitingForTheScanner, MONTH, UploadState::Complete),
    ];
    for (given, settings, expected) in cases {
        let settings: Value = serde_json::from_str(settings).expect("JSON");
        let (settings, expected) = (&settings, *expected);
        for_each_database(|db| async move {
            let gateway = gateway(&db, settings);
            let id = upload(&gateway).await;
            bring_about(&gateway, &db, id, *given).await;
            assert_eq!(
                after(&gateway, 29 * DAY).await,
                Removed::default(),
                "{given:?}: its time is not over"
            );
            let removed = after(&gateway, 2 * DAY).await;
            let goes = expected == UploadState::Retired;
            assert_eq!(
                removed,
                Removed { sources: u64::from(goes), ..Removed::default() },
                "{given:?} {settings}"
            );
            assert_eq!(state(&gateway, id).await, Some(expected), "{given:?} {settings}");
            let kept: &[&[u8]] = if goes { &[] } else { &[b"abc"] };
            assert_eq!(gateway.files("uploads"), kept, "{given:?} {settings}");
            assert_eq!(after(&gateway, Duration::ZERO).await, Removed::default(), "once");
        })
        .await;
    }
}

/// W-23: a submission whose resources are not made yet needs its bytes; after that only what shares them does.
#[tokio::test]
async fn what_a_submission_is_made_of_stays() {
    for_each_database(|db| async move {
        let gateway = gateway(&db, &json!({ "source_days": 1 }));
        let note = document(json!({ "contentType": "text/plain", "data": "eA==" }));
        let answer = gateway.submit(&submission(&[note])).await.expect("it is accepted");
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(after(&gateway, 2 * DAY).await, Removed::default(), "nothing was made of it");
        gateway.run_agenda().await;
        assert_eq!(after(&gateway, 2 * DAY).await, Removed::default(), "a Binary has the bytes");
        assert_eq!(state(&gateway, answer.upload_ids[0]).await, Some(UploadState::Complete));
    })
    .await;
}

/// W-23: rows, deliveries and reports go after their own times, each run leaves a line in the audit trail, and what is
/// still on its way keeps all that it has.
#[tokio::test]
async fn w_23_what_is_left_of_an_upload_goes_in_its_turn() {
    for_each_database(|db| async move {
        let settings =
            json!({ "source_days": 30, "delivery_days": 10, "tombstone_days": 60, "report_days": 80 });
        let gateway = gateway(&db, &settings);
        let (done, open) = (upload(&gateway).await, gateway.create(9).await);
        assert_eq!(gateway.deliver().await, 1);
        let mut fields = manifest();
        fields.set("data_stream_route", "unknown");
        let request = CreateRequest { length: Some(5), fields, is_partial: false };
        let creation = gateway.exchange.create_upload(&Caller::anonymous(), request).await;
        let Ok(Creation::Refused { id: refused, .. }) = creation else { panic!("{creation:?}") };

        let nothing = Removed::default();
        assert_eq!(after(&gateway, 20 * DAY).await, nothing, "a delivery stays as long as the bytes");
        let both = Removed { sources: 1, deliveries: 1, ..nothing };
        assert_eq!(after(&gateway, 10 * DAY).await, both);
        let repeated =
            gateway.exchange.redeliver(&Caller::anonymous(), "request-1", done, ("local", false)).await;
        assert!(matches!(repeated, Err(RedeliveryRefused::Gone)), "{repeated:?}");
        let of_refused = gateway.stages(refused).await.len();
        let of_done = gateway.stages(done).await.len();
        let reports = Removed { reports: (of_refused + of_done) as u64, ..nothing };
        assert_eq!(after(&gateway, 50 * DAY).await, reports);
        assert_eq!(state(&gateway, done).await, Some(UploadState::Retired));
        assert_eq!(after(&gateway, 10 * DAY).await, Removed { tombstones: 1, ..nothing });
        assert_eq!(state(&gateway, done).await, None);
        assert_eq!(state(&gateway, open).await, Some(UploadState::Open));
        assert!(!gateway.stages(open).await.is_empty(), "it may still go on");
        let mut reader = db.reader().await.expect("a reader");
        let trail = audit::list(&mut reader.tx(), &Access::of_worker(DEFAULT_TENANT), 10).await;
        let trail = trail.expect("a list").into_iter().filter(|entry| entry.action == "retain");
        let trail: Vec<_> = trail.filter_map(|entry| entry.detail).collect();
        assert_eq!(trail, ["tombstone", "report", "source delivery"]);
    })
    .await;
}

/// An upload that has its bytes and no delivery would be told as one that was not delivered yet.
#[tokio::test]
async fn deliveries_stay_as_long_as_the_bytes_also_where_those_stay_for_ever() {
    for_each_database(|db| async move {
        let gateway = gateway(&db, &json!({ "delivery_days": 10 }));
        let id = upload(&gateway).await;
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(after(&gateway, 100 * DAY).await, Removed::default());
        assert_eq!(attempts(&gateway, id).await, 1);
        let removed = gateway.exchange.terminate_upload(&Caller::anonymous(), "request-1", id, false).await;
        removed.expect("nobody needs it");
        let gone = Removed { deliveries: 1, ..Removed::default() };
        assert_eq!(after(&gateway, Duration::ZERO).await, gone);
        assert_eq!(attempts(&gateway, id).await, 0);
    })
    .await;
}

async fn attempts(gateway: &Gateway, id: UploadId) -> usize {
    let found = gateway.exchange.inspect_upload(&Caller::anonymous().access(), id).await;
    found.expect("it reads").expect("the row stays").attempts.len()
}

/// The row of the upload may go long before its reports, and a refused creation never has one.
#[tokio::test]
async fn reports_keep_to_the_time_of_their_stream_when_no_upload_is_left_to_name_it() {
    // The usual time is shorter than that of the stream, or for ever.
    for usual in [10, 0] {
        for_each_database(|db| async move {
            let settings = json!({
                "tombstone_days": 20, "report_days": usual,
                "streams": { "CDEX_attachment": { "report_days": 40 } },
            });
            let gateway = gateway(&db, &settings);
            let id = gateway.create(9).await;
            let removed =
                gateway.exchange.terminate_upload(&Caller::anonymous(), "request-1", id, false).await;
            removed.expect("nobody needs it");
            let refused = refuse(&gateway).await;
            let reports = (gateway.stages(id).await.len() + gateway.stages(refused).await.len()) as u64;

            let nothing = Removed::default();
            assert_eq!(after(&gateway, 20 * DAY).await, Removed { tombstones: 1, ..nothing }, "{usual}");
            assert_eq!(state(&gateway, id).await, None);
            assert_eq!(after(&gateway, 19 * DAY).await, nothing, "{usual}: their time is not over");
            assert_eq!(after(&gateway, DAY).await, Removed { reports, ..nothing }, "{usual}");
        })
        .await;
    }
}

/// Asks for an upload of the usual stream that lacks a field.
async fn refuse(gateway: &Gateway) -> UploadId {
    let fields = manifest()
        .iter()
        .filter(|(key, _)| *key != "sender_id")
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let request = CreateRequest { length: Some(5), fields, is_partial: false };
    let creation = gateway.exchange.create_upload(&Caller::anonymous(), request).await;
    let Ok(Creation::Refused { id, .. }) = creation else { panic!("{creation:?}") };
    id
}

/// W-19, W-23: nothing goes before every sink has its reports.
#[tokio::test]
async fn nothing_goes_before_every_sink_has_its_reports() {
    for_each_database(|db| async move {
        let settings = json!({ "source_days": 1, "report_days": 1 });
        let mut gateway = gateway(&db, &settings);
        let folder = gateway.folder.path().join("reports");
        let sink = Sink::File(FileSink::new(folder, false));
        let (clock, sinks) = (gateway.clock.clone(), vec![("archive".to_owned(), sink)]);
        let publisher = Arc::new(Publisher::new(db.clone(), clock, sinks, DAY));
        Arc::get_mut(&mut gateway.exchange).expect("nobody else has it").reports = publisher.clone();
        let id = upload(&gateway).await;
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(after(&gateway, 2 * DAY).await, Removed::default());
        assert!(publisher.publish_all().await.expect("the database works"));
        let reports = gateway.stages(id).await.len() as u64;
        assert_eq!(after(&gateway, DAY).await, Removed { sources: 1, reports, ..Removed::default() });
        let lines = String::from_utf8(gateway.files("reports").concat()).expect("JSON is text");
        assert_eq!(lines.lines().count() as u64, reports);
    })
    .await;
}
