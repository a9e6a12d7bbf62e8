//! The rows of requests on both databases: who looks at a Task has it alone, and what comes too late changes nothing.
//! And outputs that are not to be had: for how long they are waited for.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::gather::{Gathered, Gatherer};
use super::*;
use crate::agenda::{self, Errand, NewItem};
use crate::auth::{Caller, Credentials};
use crate::config::Config;
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::exchange::testing::Gateway;
use crate::outbound::testing::{FakeServer, Reply};
use crate::outbound::{Base, Reach};
use crate::partner::{PartnerSettings, Partners};

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

/// A request that the partner took, to be looked at at once.
async fn sent(db: &Db, access: &Access, poll_at: i64) -> TaskRequestId {
    let id = TaskRequestId::new();
    let request = PartnerRequest {
        id,
        task_id: "t".to_owned(),
        partner: "acme".to_owned(),
        place: None,
        sent_at: None,
        poll_at: None,
    };
    let unit = (access.clone(), request);
    let written: Result<(), DbError> = db
        .write(unit, move |(access, request), tx| {
            Box::pin(async move {
                store::insert(tx, access, request, at(0)).await?;
                store::sent(tx, access, request.id, Some("Task/1"), (at(poll_at), at(poll_at))).await
            })
        })
        .await;
    written.expect("it writes");
    id
}

async fn claim(db: &Db, access: &Access, id: TaskRequestId, now: i64) -> Vec<PartnerRequest> {
    let claimed: Result<_, DbError> = db
        .write(access.clone(), move |access, tx| {
            Box::pin(store::claim(tx, access, ("acme", id), (at(now), at(now + 600)), 2))
        })
        .await;
    claimed.expect("it claims")
}

#[tokio::test]
async fn what_is_due_is_claimed_once_the_own_first_and_nobody_elses() {
    for_each_database(|db| async move {
        let (own, other) = (Access::of_owner("t", "a"), Access::of_owner("t", "b"));
        let early = [sent(&db, &own, 1).await, sent(&db, &own, 2).await];
        let mine = sent(&db, &own, 3).await;
        sent(&db, &own, 100).await;
        sent(&db, &other, 1).await;
        let claimed = claim(&db, &own, mine, 10).await;
        let mut ids: Vec<_> = claimed.iter().map(|request| request.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [early[0], mine]);
        assert!(claimed.iter().all(|request| request.poll_at == Some(at(610))));
        let rest: Vec<_> = claim(&db, &own, mine, 10).await.into_iter().map(|request| request.id).collect();
        assert_eq!(rest, [early[1]]);
        assert_eq!(claim(&db, &own, mine, 10).await, []);
    })
    .await;
}

#[tokio::test]
async fn whoever_looked_too_long_changes_nothing() {
    for_each_database(|db| async move {
        let access = Access::of_owner("t", "a");
        let id = sent(&db, &access, 1).await;
        let slow = claim(&db, &access, id, 1).await.pop().expect("it is due");
        let fast = claim(&db, &access, id, 700).await.pop().expect("it is due again");
        for (request, poll_at, expected) in [(fast, None, true), (slow, Some(at(1)), false)] {
            let unit = (access.clone(), request);
            let looked: Result<bool, DbError> = db
                .write(unit, move |(access, request), tx| {
                    Box::pin(store::looked(tx, access, request, Some("Task/2"), poll_at))
                })
                .await;
            assert_eq!(looked.expect("it writes"), expected);
        }
        let mut reader = db.reader().await.expect("a reader");
        let found = store::find(&mut reader.tx(), &access, id).await.expect("it reads").expect("it is there");
        assert_eq!((found.place.as_deref(), found.poll_at), (Some("Task/2"), None));
    })
    .await;
}

/// The partner whose server this is.
fn acme(server: &FakeServer) -> PartnerSettings {
    let config = Config::defaults_in(Path::new("/srv/gateway")).expect("the defaults are sound");
    PartnerSettings {
        name: "acme".to_owned(),
        client_id: None,
        identifiers: Vec::new(),
        fhir_base: Some(Base::parse(server.url()).expect("a base")),
        submit_url: None,
        urls: vec![server.url().to_owned()],
        reach: Reach::Everywhere,
        credentials: Credentials::None,
        policy: config.policy,
    }
}

/// A gateway that knows this partner.
fn knowing(db: &Db, server: &FakeServer) -> Gateway {
    Gateway::with(db, |exchange| {
        let acme = acme(server);
        let policy = acme.policy.clone();
        let partners = Partners::new(vec![acme], policy, &exchange.clock);
        exchange.partners = Arc::new(partners.expect("a partner"));
    })
}

/// The timer of a request, taken from the agenda.
async fn timer(db: &Db, access: &Access, id: TaskRequestId) -> Item {
    let item = NewItem {
        tenant: access.tenant().to_owned(),
        owner: access.owner().unwrap_or_default().to_owned(),
        errand: Errand::Poll,
        subject: id.to_string(),
        version: 0,
        due_at: at(0),
    };
    let taken: Result<_, DbError> = db
        .write(item, |item, tx| {
            Box::pin(async move {
                agenda::add(tx, std::slice::from_ref(item)).await?;
                agenda::take(tx, at(1), Duration::from_mins(1), 1).await
            })
        })
        .await;
    taken.expect("it writes").pop().expect("it is due")
}

/// How many items are due then; they are taken.
async fn due(db: &Db, then: Timestamp) -> usize {
    let taken: Result<Vec<Item>, DbError> =
        db.write((), move |(), tx| Box::pin(agenda::take(tx, then, Duration::from_mins(1), 9))).await;
    taken.expect("it takes").len()
}

#[tokio::test]
async fn conf_062_what_a_timer_claims_is_looked_at_though_its_own_task_is_another_timers_by_then() {
    for_each_database(|db| async move {
        let server = FakeServer::start(|_| Reply::new(503, "", "")).await;
        let gateway = knowing(&db, &server);
        let access = Access::of_owner("t", "a");
        let (own, late) = (sent(&db, &access, 1).await, sent(&db, &access, 2).await);
        let item = timer(&db, &access, own).await;
        let mut reader = db.reader().await.expect("a reader");
        let before =
            store::find(&mut reader.tx(), &access, own).await.expect("it reads").expect("it is there");
        drop(reader);
        assert_eq!(claim(&db, &access, own, 1).await.len(), 1, "the other is not due yet");
        gateway.exchange.look_after(&item, &before, at(2)).await.expect("it looks");
        assert_eq!(server.lines(), ["GET /Task/1"], "the other Task was asked for");
        let (now, moment) = (gateway.exchange.clock.now(), Duration::from_secs(1));
        assert_eq!(due(&db, now).await, 0);
        assert_eq!(due(&db, now.after(moment)).await, 1, "the timer comes back to see what is to be done");
        let mut reader = db.reader().await.expect("a reader");
        let mut polled = async |id| store::find(&mut reader.tx(), &access, id).await.expect("it reads");
        // There is no copy that could follow: it was looked at and is over.
        assert_eq!(polled(late).await.expect("it is there").poll_at, None);
        assert_eq!(
            polled(own).await.expect("it is there").poll_at,
            Some(at(601)),
            "that is the other timer's"
        );
    })
    .await;
}

#[tokio::test]
async fn conf_062_a_timer_whose_task_another_looks_at_comes_back_when_that_would() {
    for_each_database(|db| async move {
        let server = FakeServer::start(|_| Reply::new(503, "", "")).await;
        let gateway = knowing(&db, &server);
        let now = gateway.exchange.clock.now();
        let seconds = now.as_nanos() / 1_000_000_000;
        let access = Access::of_owner("t", "a");
        let id = sent(&db, &access, seconds).await;
        let item = timer(&db, &access, id).await;
        assert_eq!(claim(&db, &access, id, seconds).await.len(), 1);
        gateway.exchange.poll(&item).await.expect("it is put off");
        for (seconds, expected) in [(299, 0), (330, 1)] {
            let then = now.after(Duration::from_secs(seconds));
            assert_eq!(due(&db, then).await, expected, "{seconds} s later");
        }
    })
    .await;
}

/// What a Task with these outputs brings from a server.
async fn gather(
    db: &Db,
    server: &FakeServer,
    outputs: &[&str],
    is_last_look: bool,
) -> Result<Gathered, FollowError> {
    let gateway = Gateway::new(db);
    let exchange = &gateway.exchange;
    let base = Base::parse(server.url()).expect("a base");
    let partner = Partner::new(acme(server), &exchange.clock).expect("a partner");
    let requester = exchange.requester(&Caller::anonymous().access());
    let outputs: Value =
        outputs.iter().map(|output| json!({ "valueReference": { "reference": output } })).collect();
    let task = json!({ "resourceType": "Task", "status": "completed", "output": outputs });
    Gatherer::new(exchange, &requester, (&partner, &base), is_last_look).gather(&task).await
}

#[tokio::test]
async fn outputs_that_the_partner_does_not_let_us_at_are_waited_for_and_then_missing() {
    for_each_database(|db| async move {
        let server = FakeServer::start(|asked| match asked.line() {
            "GET /Condition/here" => {
                let subject = json!({ "reference": "Patient/1" });
                Reply::json(&json!({ "resourceType": "Condition", "id": "here", "subject": subject }))
            }
            "GET /Condition/gone" => Reply::new(404, "", ""),
            "GET /Condition/busy" => Reply::new(503, "", ""),
            _ => Reply::new(401, "", ""),
        })
        .await;
        for (outputs, is_last_look, expected) in [
            (&["Condition/here", "Condition/shut"][..], false, None),
            (&["Condition/here", "Condition/shut"], true, Some((1, 1, true))),
            (&["Condition/here", "Condition/gone"], true, Some((1, 1, false))),
            (&["Condition/busy"], true, None),
        ] {
            let gathered = gather(&db, &server, outputs, is_last_look).await.ok();
            let found = gathered.map(|all| (all.resources.len(), all.missing, all.is_shut_out));
            assert_eq!(found, expected, "{outputs:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_of_documents_are_taken_up_to_the_limit_of_a_payload() {
    for_each_database(|db| async move {
        let server = FakeServer::start(|asked| match asked.line() {
            "GET /DocumentReference/1" => {
                let contents = ["Binary/short", "Binary/long", "Binary/resource"]
                    .map(|url| json!({ "attachment": { "contentType": "text/plain", "url": url } }));
                Reply::json(
                    &json!({ "resourceType": "DocumentReference", "status": "current", "content": contents }),
                )
            }
            "GET /Binary/short" => Reply::new(200, "Content-Type: text/plain\r\n", &"x".repeat(500_000)),
            "GET /Binary/long" => Reply::new(200, "Content-Type: text/plain\r\n", &"x".repeat(1_048_577)),
            _ => Reply::json(
                &json!({ "resourceType": "Binary", "id": "r", "contentType": "text/plain", "data": "eA==" }),
            ),
        })
        .await;
        let gathered = gather(&db, &server, &["DocumentReference/1"], false).await.expect("it gathers");
        assert_eq!((gathered.resources.len(), gathered.missing), (3, 1));
        let text = String::from_utf8_lossy(&gathered.resources[0].draft.text).into_owned();
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let url = |at: usize| document["content"][at]["attachment"]["url"].as_str().unwrap_or_default();
        assert!(url(0).starts_with("Binary/") && url(2).starts_with("Binary/"), "{document}");
        assert_eq!(url(1), format!("{}/Binary/long", server.url()), "what is too long stays there");
    })
    .await;
}
