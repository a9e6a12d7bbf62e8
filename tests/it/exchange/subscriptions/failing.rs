//! What a subscriber is told although its endpoint, or the gateway, fails in between.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::{
    create, events, for_each_database, gateway, let_pass, move_on, notified, read, sending, settings,
    subscribe, subscription, task, told, wait_for, wait_for_events,
};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::environment::note;
use crate::support::gateway::{Gateway, PATIENT};
use crate::support::random::Random;
use crate::support::{rows, wait};

#[test]
fn an_endpoint_that_fails_for_a_while_is_told_all_events_once_and_in_order() {
    for_each_database(|gateway, endpoint| {
        subscribe(&gateway, &subscription(&format!("{}/hook", endpoint.url()), "id-only"));
        endpoint.answer([Reply::new(503), Reply::new(500), Reply::new(429).header("Retry-After", "1")]);
        let tasks: Vec<String> = (0..6).map(|_| create(&gateway, &task("requested"))).collect();
        wait::until("all notifications to be delivered", || {
            (rows::count(&gateway, "subscription WHERE events = 6 AND waiting = 0") == 1
                && rows::count(&gateway, "delivery WHERE status <> 'delivered'") == 0)
                .then_some(())
        });
        let arrived: Vec<_> = notified(&endpoint, "event-notification")
            .iter()
            .skip(3)
            .flat_map(|received| events(&received.json()))
            .collect();
        let numbered: Vec<_> = (1..).zip(tasks).collect();
        // Which of several Tasks comes first is for the gateway to say; the numbers are in order.
        assert_eq!(arrived.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let mut names: Vec<_> = arrived.into_iter().map(|(_, task)| task).collect();
        let mut expected: Vec<_> = numbered.into_iter().map(|(_, task)| task).collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
        // Whoever saw an attempt before knows the next by its key.
        let all = notified(&endpoint, "event-notification");
        let key = |at: usize| all[at].header("idempotency-key").map(str::to_owned);
        assert_eq!((key(0), key(1), key(2)), (key(1), key(2), key(3)));
    });
}

#[test]
fn an_event_survives_a_kill_before_it_is_delivered() {
    for_each_database(|mut gateway, endpoint| {
        let id = subscribe(&gateway, &subscription(&format!("{}/hook", endpoint.url()), "id-only"));
        endpoint.answer(std::iter::repeat_n(Reply::new(503), 2));
        let first = create(&gateway, &task("requested"));
        let second = create(&gateway, &task("requested"));
        gateway.kill();
        gateway.launch();
        wait::until("all notifications to be delivered", || {
            (rows::count(&gateway, "subscription WHERE events = 2 AND waiting = 0") == 1
                && rows::count(&gateway, "delivery WHERE status <> 'delivered'") == 0)
                .then_some(())
        });
        let mut told_of: Vec<_> = notified(&endpoint, "event-notification")
            .iter()
            .flat_map(|received| events(&received.json()))
            .collect();
        told_of.dedup();
        let mut names: Vec<_> = told_of.iter().map(|(_, task)| task.clone()).collect();
        names.sort();
        let mut expected = [first, second];
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(told_of.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(wait_for(&gateway, &id, "active")["meta"]["versionId"], "2");
    });
}

#[test]
fn every_event_is_told_by_one_delivery_and_in_order_through_kills_and_failures() {
    let seed = Random::seed();
    note(&format!("subscription crash test: CDEX_TEST_SEED={seed}"));
    let mut random = Random::new(seed);
    let endpoint = Endpoint::start();
    let mut settings = settings(&endpoint);
    settings.retain(|(name, _)| *name != PATIENT.0);
    settings.push((PATIENT.0, PATIENT.1.to_owned()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut gateway = Gateway::with(&settings);
    subscribe(&gateway, &subscription(&format!("{}/hook", endpoint.url()), "id-only"));
    let mut kept = 0;
    for _ in 0..6 {
        endpoint.answer((0..random.below(3)).map(|_| Reply::new(503)));
        for _ in 0..random.below(8) {
            create(&gateway, &task("requested"));
            kept += 1;
        }
        wait::pause(Duration::from_millis(random.below(200)));
        gateway.kill();
        gateway.launch();
    }
    let counted = format!("subscription WHERE events = {kept} AND waiting = 0");
    wait::until("all notifications to be delivered", || {
        (rows::count(&gateway, &counted) == 1
            && rows::count(&gateway, "delivery WHERE status <> 'delivered'") == 0)
            .then_some(())
    });
    let mut told_by: BTreeMap<u64, String> = BTreeMap::new();
    for received in notified(&endpoint, "event-notification") {
        let key = received.header("idempotency-key").expect("a key").to_owned();
        let [(number, _)] = &events(&received.json())[..] else { panic!("one event each") };
        let expected = told_by.last_key_value().map_or(1, |(last, _)| last + 1);
        let known = told_by.entry(*number).or_insert_with(|| {
            assert_eq!(*number, expected, "in order");
            key.clone()
        });
        assert_eq!(*known, key, "event {number} is told by one delivery");
    }
    assert_eq!(told_by.len(), kept);
}

#[test]
fn conf_064_what_is_in_error_counts_and_tells_all_once_it_is_asked_for_again() {
    for_each_database(|gateway, endpoint| {
        let resource = subscription(&format!("{}/hook", endpoint.url()), "id-only");
        let id = subscribe(&gateway, &resource);
        endpoint.answer([Reply::new(410)]);
        let first = create(&gateway, &task("requested"));
        let failed = wait_for(&gateway, &id, "error");
        let text = failed["error"].as_str().expect("an error");
        assert!(text.contains("status 410"), "{text}");
        move_on(&gateway, &first, "in-progress");
        move_on(&gateway, &first, "completed");
        wait::until("the events to be counted", || {
            (rows::count(&gateway, "subscription WHERE events = 3 AND waiting = 3") == 1).then_some(())
        });
        let_pass();
        assert_eq!(notified(&endpoint, "event-notification").len(), 1, "nothing is sent in error");
        let status = read(&gateway, &format!("Subscription/{id}/$status"));
        assert_eq!(
            (told(&status, "status"), told(&status, "events-since-subscription-start")),
            (&json!("error"), &json!("3"))
        );
        assert_eq!(told(&status, "error")["text"], *text);
        let past = read(&gateway, &format!("Subscription/{id}/$events?content=full-resource"));
        assert_eq!(events(&past).len(), 3);
        assert_eq!(past["entry"][1]["resource"]["status"], "completed");

        // Only the client brings it back, and not by saying that it is in error.
        let mut again = failed.clone();
        gateway.ask(&sending("PUT", &format!("Subscription/{id}"), &again)).expect(422);
        again["status"] = "active".into();
        gateway.ask(&sending("PUT", &format!("Subscription/{id}"), &again)).expect(200);
        let active = wait_for(&gateway, &id, "active");
        assert_eq!(active.get("error"), None);
        assert_eq!(notified(&endpoint, "handshake").len(), 2);
        let all = wait_for_events(&endpoint, 4);
        let missed: Vec<_> = all[1..].to_vec();
        assert_eq!(missed, [(1, first.clone()), (2, first.clone()), (3, first.clone())]);
        move_on(&gateway, &first, "failed");
        assert_eq!(wait_for_events(&endpoint, 5)[4], (4, first));
    });
}

#[test]
fn a_handshake_that_is_never_taken_ends_in_error() {
    let endpoint = Endpoint::start();
    let gateway = gateway(&endpoint);
    endpoint.answer(std::iter::repeat_n(Reply::new(503), 4));
    let id = create(&gateway, &subscription(&format!("{}/hook", endpoint.url()), "id-only"));
    wait_for(&gateway, &id, "error");
    assert_eq!(endpoint.received().len(), 4, "as often as the schedule says");
    create(&gateway, &task("requested"));
    let_pass();
    assert_eq!(rows::count(&gateway, "subscription WHERE events = 0"), 1, "it has never been active");
}

#[test]
fn a_new_endpoint_is_greeted_first_and_hears_what_the_former_one_did_not() {
    let (former, endpoint) = (Endpoint::start(), Endpoint::start());
    let hosts = format!("[\"{}\", \"{}\"]", former.url(), endpoint.url());
    let gateway = Gateway::with(&[
        ("CDEX_PARTNER__PAYER__HOSTS", &hosts),
        ("CDEX_PARTNER__PAYER__PRIVATE_ADDRESSES", "true"),
        ("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[0, 60, 60]"),
    ]);
    let id = subscribe(&gateway, &subscription(&format!("{}/hook", former.url()), "id-only"));
    former.answer([Reply::new(503)]);
    let tasks: Vec<String> = (0..3).map(|_| create(&gateway, &task("requested"))).collect();
    wait::until("the first notification to wait, and the rest behind it", || {
        (rows::count(&gateway, "delivery WHERE status = 'waiting'") == 1
            && rows::count(&gateway, "subscription WHERE events = 3 AND waiting = 0") == 1)
            .then_some(())
    });
    let mut moved = subscription(&format!("{}/hook", endpoint.url()), "id-only");
    moved["id"] = (*id).into();
    gateway.ask(&sending("PUT", &format!("Subscription/{id}"), &moved)).expect(200);
    let all = wait_for_events(&endpoint, 3);
    assert_eq!(all.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(told(&endpoint.received()[0].json(), "type"), "handshake");
    assert_eq!(tasks.len(), 3);
    let_pass();
    assert_eq!(endpoint.received().len(), 4);
    assert_eq!(notified(&former, "event-notification").len(), 1);
}
