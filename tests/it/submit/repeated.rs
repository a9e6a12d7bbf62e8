//! The same submission again, another under the same tracking id, and `Idempotency-Key`.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::rows;
use crate::support::submission::{SUBMIT, accepted, note, request, submit};

#[test]
fn the_same_body_again_gives_the_same_ids_and_nothing_new() {
    for_each_database(&[], |mut gateway| {
        let body = note("again", b"once");
        let ids = accepted(&submit(&gateway, body.as_str()));
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(accepted(&submit(&gateway, body.as_str())), ids);
        assert!(gateway.stop().success());
        gateway.launch();
        assert_eq!(accepted(&submit(&gateway, body.as_str())), ids, "a restart forgets nothing");
        for (table, count) in [("upload", 1), ("submission", 1), ("delivery", 1)] {
            assert_eq!(rows::count(&gateway, table), count, "{table}");
        }
        assert_eq!(gateway.delivered_bytes(&ids[0]), b"once");
        assert_eq!(gateway.stored().len(), 1, "the repeats left no bytes");
    });
}

#[test]
fn another_body_under_the_same_tracking_id_is_an_amendment() {
    let gateway = Gateway::start();
    let first = accepted(&submit(&gateway, note("amended", b"first")));
    let answer = submit(&gateway, note("amended", b"second"));
    let told = answer.text().matches("being held for association").count();
    assert_eq!(told, 1, "one answer: it amends what is held too. {}", answer.text());
    assert!(!answer.text().contains("The attachments can not be associated"), "{}", answer.text());
    assert!(answer.text().contains("amendment"), "{}", answer.text());
    let second = accepted(&answer);
    assert_ne!(first, second);
    for (id, bytes) in [(&first[0], b"first".as_slice()), (&second[0], b"second")] {
        gateway.wait_delivered(id, 1);
        assert_eq!(gateway.delivered_bytes(id), bytes);
    }
}

#[test]
fn one_idempotency_key_stands_for_one_body() {
    for_each_database(&[], |gateway| {
        let ids = accepted(&keyed(&gateway, "key-1", &note("keyed", b"once")));
        assert_eq!(accepted(&keyed(&gateway, "key-1", &note("keyed", b"once"))), ids);
        let other = keyed(&gateway, "key-1", &note("keyed", b"twice"));
        assert_eq!(other.status, 422, "{}", other.text());
        assert_eq!(other.json()["resourceType"], "OperationOutcome");
        assert_eq!(rows::count(&gateway, "upload"), 1);
        let next = accepted(&keyed(&gateway, "key-2", &note("keyed", b"twice")));
        assert_ne!(next, ids);
    });
}

#[test]
fn a_second_request_is_409_while_the_first_with_its_key_still_runs() {
    let gateway = Gateway::start();
    let body = note("running", &[b'x'; 10_000]);
    let head = Request::new("POST", SUBMIT)
        .header("Content-Type", "application/fhir+json")
        .header("Idempotency-Key", "running")
        .header("Expect", "100-continue")
        .header("Content-Length", &body.len().to_string());
    let mut first = gateway.connect().expect("it listens");
    first.begin(&head).expect("a head goes out");
    // The server asks for the body: the first request runs.
    assert_eq!(first.any_answer(false).expect("it goes on").status, 100);
    let second = keyed(&gateway, "running", &body);
    assert_eq!(second.status, 409, "{}", second.text());
    let after = second.header("Retry-After").expect("a 409 says when to come again");
    assert!(after.parse::<u32>().is_ok(), "{after}");
    first.send(body.as_bytes()).expect("the body goes out");
    let ids = accepted(&first.answer(false).expect("the first is answered"));
    assert_eq!(accepted(&keyed(&gateway, "running", &body)), ids);
}

#[test]
fn equal_submissions_at_the_same_moment_become_one() {
    for_each_database(&[], |gateway| {
        let body = note("race", b"once");
        let answers: Vec<Vec<String>> = std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| accepted(&submit(&gateway, body.as_str())))).collect();
            racers.into_iter().map(|racer| racer.join().expect("each is accepted")).collect()
        });
        assert!(answers.iter().all(|ids| *ids == answers[0]), "{answers:?}");
        gateway.wait_delivered(&answers[0][0], 1);
        assert_eq!(rows::count(&gateway, "upload"), 1);
        assert_eq!(gateway.delivered().len(), 1);
        assert_eq!(gateway.stored().len(), 1);
    });
}

fn keyed(gateway: &Gateway, key: &str, body: &str) -> Answer {
    gateway.ask(&request(body).header("Idempotency-Key", key))
}
