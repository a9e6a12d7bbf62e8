//! What sinks get and in which order, on both databases, over real sockets and files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::super::sink::{FileSink, HttpSink};
use super::super::tests::{done, status, stream, write};
use super::super::{Stage, StreamFields, record};
use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::db::Dialect;
use crate::db::testing::for_each_database;
use crate::outbound::Reach;
use crate::outbound::testing::{FakeServer, Received, Reply};

/// A Processing Status endpoint that answers with the status that stands in `status`.
async fn endpoint(status: &Arc<AtomicU16>) -> FakeServer {
    let status = status.clone();
    FakeServer::start(move |_| {
        let status = status.load(Ordering::SeqCst);
        Reply::new(status, if status == 429 { "Retry-After: 7\r\n" } else { "" }, "")
    })
    .await
}

fn http(server: &FakeServer) -> Sink {
    Sink::Http(HttpSink::new(server.url(), None, Reach::Everywhere).expect("TLS is set up"))
}

fn publisher(db: &Db, sinks: Vec<(&str, Sink)>) -> Publisher {
    let clock = Arc::new(ManualClock::new(Timestamp::from_nanos(10)));
    let sinks = sinks.into_iter().map(|(name, sink)| (name.to_owned(), sink)).collect();
    Publisher::new(db.clone(), clock, sinks, Duration::from_secs(1))
}

/// The stages that were sent of an upload, in the order in which they arrived.
fn arrived(seen: &[Received], stream: &StreamFields) -> Vec<String> {
    let bodies = seen.iter().map(|request| serde_json::from_str::<Value>(&request.body).expect("JSON"));
    let mine = bodies.filter(|body| body["upload_id"] == stream.upload_id.to_string().as_str());
    mine.map(|body| body["stage_info"]["action"].as_str().expect("a text").to_owned()).collect()
}

fn ids(seen: &[Received]) -> Vec<String> {
    seen.iter().map(|request| request.header("idempotency-key").expect("an id").to_owned()).collect()
}

async fn all_is_there(publisher: &Publisher) -> bool {
    publisher.publish_all().await.expect("the database works")
}

/// W-18, W-19: in order for each upload, none lost while the sink is down, and nothing twice without need.
#[tokio::test]
async fn w_19_reports_wait_for_a_sink_that_is_down_and_arrive_in_order() {
    for_each_database(|db| async move {
        let answers = Arc::new(AtomicU16::new(503));
        let server = endpoint(&answers).await;
        let publisher = publisher(&db, vec![("status", http(&server))]);
        let (one, two) = (stream(), stream());
        write(&db, &one, vec![done(Stage::MetadataTransform), done(Stage::UploadStarted), status(0)]).await;
        for down in [503, 429, 401, 404, 302] {
            answers.store(down, Ordering::SeqCst);
            assert!(!all_is_there(&publisher).await, "{down}");
        }
        assert!(publisher.sinks().all(|(name, trouble)| name == "status" && trouble.is_some()));
        write(&db, &two, vec![done(Stage::UploadStarted)]).await;
        write(&db, &one, vec![status(5)]).await;
        write(&db, &one, vec![status(10), done(Stage::UploadCompleted)]).await;
        let before = server.seen().len();
        assert_eq!(before, 5, "one attempt each time");

        answers.store(202, Ordering::SeqCst);
        assert!(all_is_there(&publisher).await);
        let seen = server.seen().split_off(before);
        let of_one = ["metadata-transform", "upload-started", "upload-status", "upload-completed"];
        assert_eq!(arrived(&seen, &one), of_one);
        assert_eq!(arrived(&seen, &two), ["upload-started"]);
        assert_eq!(ids(&seen)[0], ids(&server.seen())[0], "the same report has the same id");
        assert!(publisher.sinks().all(|(_, trouble)| trouble.is_none()));
        assert!(all_is_there(&publisher).await);
        assert_eq!(server.seen().len(), before + seen.len(), "nothing is sent twice");
    })
    .await;
}

/// W-19
#[tokio::test]
async fn a_report_that_is_never_taken_is_set_aside_and_holds_up_none() {
    for_each_database(|db| async move {
        let server = FakeServer::start(|request: &Received| {
            let is_refused = request.body.contains("upload-started");
            Reply::new(if is_refused { 422 } else { 200 }, "", "")
        })
        .await;
        let publisher = publisher(&db, vec![("status", http(&server))]);
        let one = stream();
        write(&db, &one, vec![done(Stage::MetadataTransform), done(Stage::UploadStarted), status(0)]).await;
        assert!(all_is_there(&publisher).await);
        assert!(all_is_there(&publisher).await);
        assert_eq!(server.seen().len(), 3);
        let mut reader = db.reader().await.expect("a reader");
        let refused = outbox::refused(&mut reader.tx()).await.expect("they are read");
        assert_eq!(refused, [("status".to_owned(), one.upload_id.to_string(), 422)]);
    })
    .await;
}

/// W-19: a sink that takes some and then fails is not left alone for longer and longer.
#[tokio::test]
async fn failures_with_something_taken_in_between_do_not_add_up() {
    for_each_database(|db| async move {
        let asked = AtomicU16::new(0);
        let server = FakeServer::start(move |_| {
            let is_odd = asked.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            Reply::new(if is_odd { 503 } else { 200 }, "", "")
        })
        .await;
        let publisher = publisher(&db, vec![("status", http(&server))]);
        write(&db, &stream(), vec![done(Stage::MetadataTransform), done(Stage::UploadStarted)]).await;
        let (lane, mut seat, never) = (&publisher.lanes[0], None, CancellationToken::new());
        let failed = |took_some| Round::Failed { took_some, wait: None };
        assert_eq!(publisher.round(lane, &mut seat, &never).await.expect("a round"), failed(true));
        assert_eq!(publisher.round(lane, &mut seat, &never).await.expect("a round"), Round::Sent);
        write(&db, &stream(), vec![done(Stage::UploadStarted)]).await;
        assert_eq!(publisher.round(lane, &mut seat, &never).await.expect("a round"), failed(false));
    })
    .await;
}

/// W-19: whoever serves a sink next sends again what may not have been remembered, and whoever served it before
/// nothing.
#[tokio::test]
async fn a_publisher_that_was_replaced_moves_nothing() {
    for_each_database(|db| async move {
        let server = endpoint(&Arc::new(AtomicU16::new(200))).await;
        let (first, second) = (
            publisher(&db, vec![("status", http(&server))]),
            publisher(&db, vec![("status", http(&server))]),
        );
        let never = CancellationToken::new();
        let (lane, mut seat) = (&first.lanes[0], None);
        assert_eq!(first.round(lane, &mut seat, &never).await.expect("a round"), Round::Idle);
        let one = stream();
        write(&db, &one, vec![done(Stage::UploadStarted)]).await;
        assert!(all_is_there(&second).await);
        assert_eq!(first.round(lane, &mut seat, &never).await.expect("a round"), Round::Replaced);
        let ids = ids(&server.seen());
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1], "sent again under the same id");
    })
    .await;
}

/// W-19: a new sink gets what is kept, and one that is down holds up no other.
#[tokio::test]
async fn sinks_get_everything_independently_of_each_other() {
    for_each_database(|db| async move {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let answers = Arc::new(AtomicU16::new(500));
        let server = endpoint(&answers).await;
        let file = || ("archive", Sink::File(FileSink::new(folder.path().join("reports"), true)));
        let one = stream();
        write(&db, &one, vec![done(Stage::UploadStarted), status(0)]).await;
        assert!(all_is_there(&publisher(&db, vec![file()])).await);
        let both = publisher(&db, vec![file(), ("status", http(&server))]);
        write(&db, &one, vec![status(10), done(Stage::UploadCompleted)]).await;
        assert!(!all_is_there(&both).await);
        {
            let mut reader = db.reader().await.expect("a reader");
            assert_eq!(both.published(&mut reader.tx()).await.expect("places"), Some(0));
            let alone = publisher(&db, Vec::new());
            assert_eq!(alone.published(&mut reader.tx()).await.expect("places"), None);
        }
        answers.store(200, Ordering::SeqCst);
        assert!(all_is_there(&both).await);
        let seen = server.seen();
        assert_eq!(arrived(&seen[1..], &one), ["upload-started", "upload-status", "upload-completed"]);

        let lines = |stage: &str| {
            let name = folder.path().join("reports").join(format!("{}_{stage}", one.upload_id));
            std::fs::read_to_string(name).expect("a file").lines().count()
        };
        assert_eq!([lines("upload-started"), lines("upload-status"), lines("upload-completed")], [1, 2, 1]);
    })
    .await;
}

/// W-18, W-19: on PostgreSQL a transaction that began earlier may end later.
#[tokio::test]
async fn a_report_that_becomes_visible_late_is_not_skipped() {
    for_each_database(|db| async move {
        if db.dialect() == Dialect::Sqlite {
            // One writer: what begins earlier ends earlier.
            return;
        }
        let server = endpoint(&Arc::new(AtomicU16::new(200))).await;
        let publisher = publisher(&db, vec![("status", http(&server))]);
        let (late, early) = (stream(), stream());
        let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (slow, state) = (db.clone(), (late.clone(), began.clone(), go_on.clone()));
        let tracker = TaskTracker::new();
        let late_unit = tracker.spawn(async move {
            let unit = slow.write(state, |(stream, began, go_on), tx| {
                Box::pin(async move {
                    record(tx, stream, &[done(Stage::UploadStarted)]).await?;
                    began.notify_one();
                    go_on.notified().await;
                    Ok::<_, DbError>(())
                })
            });
            unit.await.expect("it is written");
        });
        began.notified().await;
        write(&db, &early, vec![done(Stage::UploadStarted)]).await;
        assert!(all_is_there(&publisher).await);
        assert_eq!((arrived(&server.seen(), &early).len(), arrived(&server.seen(), &late).len()), (1, 0));
        go_on.notify_one();
        late_unit.await.expect("no panic");
        assert!(all_is_there(&publisher).await);
        assert_eq!(arrived(&server.seen(), &late), ["upload-started"]);
    })
    .await;
}

#[test]
fn the_pauses_grow_and_have_an_end() {
    let pauses = [1, 2, 3, 8, 9, 10, u32::MAX].map(|failures| pause_after(failures).as_secs());
    assert_eq!(pauses, [1, 2, 4, 128, 256, 300, 300]);
}
