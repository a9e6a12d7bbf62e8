//! Tests of request bodies: the pace by a clock of its own, limits on real bodies.

use proptest::prelude::*;

use super::*;

const RULES: PaceRules =
    PaceRules { idle_timeout: Duration::from_secs(30), bytes_per_sec: 1024, window: Duration::from_mins(1) };

/// T-10
#[test]
fn a_client_that_sends_nothing_is_given_up_after_the_idle_time() {
    let start = Instant::now();
    let mut pace = Pace::new(RULES);
    assert_eq!(pace.wait(start), Ok(start + RULES.idle_timeout));
    assert!(pace.wait(start + Duration::from_secs(29)).is_ok());
    assert_eq!(pace.received(start + Duration::from_secs(29), 1 << 20), Ok(()));
    assert!(pace.wait(start + Duration::from_secs(40)).is_ok());
    assert_eq!(pace.wait(start + Duration::from_secs(70)), Err(BodyFault::IdleTimeout));
}

#[test]
fn a_trickle_is_given_up_when_the_window_is_over() {
    let start = Instant::now();
    let mut pace = Pace::new(RULES);
    let fault = (0..).find_map(|second| {
        let now = start + Duration::from_secs(second);
        let waited = pace.wait(now).err();
        waited.or_else(|| pace.received(now + Duration::from_millis(900), 1).err())
    });
    assert_eq!(fault, Some(BodyFault::TooSlow));
}

#[test]
fn time_in_which_nobody_wants_bytes_does_not_count() {
    let start = Instant::now();
    let mut pace = Pace::new(RULES);
    for hour in 0..50 {
        let now = start + Duration::from_secs(3600 * hour);
        assert!(pace.wait(now).is_ok());
        assert_eq!(pace.received(now + Duration::from_secs(1), 2048), Ok(()));
    }
}

proptest! {
    #[test]
    fn a_client_as_fast_as_the_rules_ask_is_never_given_up(
        chunks in prop::collection::vec((1_u64..20_000, 0_u64..60), 1..200)
    ) {
        let mut now = Instant::now();
        let mut pace = Pace::new(RULES);
        for (millis, extra) in chunks {
            prop_assert!(pace.wait(now).is_ok());
            now += Duration::from_millis(millis);
            prop_assert_eq!(pace.received(now, millis * 1024 / 1000 + 1 + extra), Ok(()));
        }
    }
}

#[tokio::test]
async fn a_body_is_taken_up_to_its_limit_and_not_beyond() {
    for (limit, expected) in [(5, Ok("12345")), (6, Ok("12345")), (4, Err(BodyFault::TooLarge))] {
        let known = collect(Body::from("12345"), limit).await;
        assert_eq!(known.as_deref(), expected.map(str::as_bytes).as_ref().copied());
        let pieces = ["12", "34", "5"].map(|piece| Ok::<_, BodyFault>(Bytes::from(piece)));
        let unknown = collect(Body::from_stream(futures_util::stream::iter(pieces)), limit).await;
        assert_eq!(unknown.as_deref(), expected.map(str::as_bytes).as_ref().copied());
    }
}

#[tokio::test]
async fn the_fault_of_a_paced_body_reaches_the_reader_and_ends_the_progress() {
    let rules = PaceRules { idle_timeout: Duration::from_millis(5), ..RULES };
    let progress = Arc::new(BodyProgress::default());
    let silent = Body::from_stream(
        futures_util::stream::iter([Ok::<_, BodyFault>(Bytes::from("abc"))])
            .chain(futures_util::stream::pending()),
    );
    let body = Body::new(PacedBody::new(silent, rules, progress.clone()));
    assert_eq!(collect(body, 100).await, Err(BodyFault::IdleTimeout));
    progress.ended().await;
    assert_eq!(progress.bytes(), 3);
}

#[tokio::test]
async fn a_body_that_nobody_reads_ends_when_it_is_dropped() {
    let progress = Arc::new(BodyProgress::default());
    drop(PacedBody::new(Body::from("abc"), RULES, progress.clone()));
    progress.ended().await;
    let empty = Arc::new(BodyProgress::default());
    let _open = PacedBody::new(Body::empty(), RULES, empty.clone());
    empty.ended().await;
}
