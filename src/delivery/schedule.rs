//! When a failed delivery is tried again: a list of delays, spread by jitter, stretched by what the target
//! asked for. Pure: the caller brings the random number and adds the delay to its own clock.

use std::time::Duration;

/// 0 s, 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h: a little over a day in all.
const DEFAULT_DELAYS_SECS: [u64; 9] = [0, 5, 60, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// The bounds within which a target's `Retry-After` is believed.
const RETRY_AFTER_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24));

/// How far a delay is moved at most, in thousandths of it, so that deliveries which failed together do not
/// come back together.
const JITTER_PERMILLE: u64 = 200;

/// The delays before each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    delays: Vec<Duration>,
}

impl Schedule {
    /// A schedule with one attempt per delay: the first waits `delays[0]`, and so on.
    pub(crate) fn new(delays: Vec<Duration>) -> Self {
        Self { delays }
    }

    /// How long to wait before the next attempt, when `ended_attempts` have ended; `None` when there is
    /// none left, whatever the target asked for.
    ///
    /// The scheduled delay is moved by up to 20 % either way, as `random` says. `retry_after`, within one
    /// second and 24 hours, is a floor: the target knows best when it is ready, not when it is overloaded.
    pub(crate) fn delay(
        &self,
        ended_attempts: u32,
        random: u64,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let scheduled = *self.delays.get(usize::try_from(ended_attempts).ok()?)?;
        let jittered = jitter(scheduled, random);
        Some(retry_after.map_or(jittered, |asked| {
            let (least, most) = RETRY_AFTER_BOUNDS;
            jittered.max(asked.clamp(least, most))
        }))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new(DEFAULT_DELAYS_SECS.map(Duration::from_secs).to_vec())
    }
}

fn jitter(delay: Duration, random: u64) -> Duration {
    let permille = 1000 - JITTER_PERMILLE + random % (2 * JITTER_PERMILLE + 1);
    let nanos = delay.as_nanos().saturating_mul(u128::from(permille)) / 1000;
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Turns the jitter off: a factor of exactly one.
    const STILL: u64 = JITTER_PERMILLE;

    #[test]
    fn the_default_schedule_tries_nine_times() {
        let schedule = Schedule::default();
        let delays: Vec<_> = (0..).map_while(|ended| schedule.delay(ended, STILL, None)).collect();
        assert_eq!(delays, DEFAULT_DELAYS_SECS.map(Duration::from_secs));
        assert_eq!(delays.len(), schedule.delays.len());
    }

    #[test]
    fn retry_after_is_a_floor_within_its_bounds() {
        let schedule = Schedule::new(vec![Duration::from_mins(1)]);
        let cases = [
            (Duration::ZERO, 60),
            (Duration::from_secs(59), 60),
            (Duration::from_secs(61), 61),
            (Duration::from_hours(24), 86_400),
            (Duration::MAX, 86_400),
        ];
        for (asked, expected) in cases {
            assert_eq!(
                schedule.delay(0, STILL, Some(asked)),
                Some(Duration::from_secs(expected)),
                "{asked:?}"
            );
        }
        let at_once = Schedule::new(vec![Duration::ZERO]);
        assert_eq!(at_once.delay(0, STILL, Some(Duration::ZERO)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn an_exhausted_schedule_stays_exhausted_whatever_the_target_asks() {
        assert_eq!(Schedule::new(Vec::new()).delay(0, STILL, None), None);
        assert_eq!(Schedule::default().delay(9, STILL, Some(Duration::from_secs(1))), None);
        assert_eq!(Schedule::default().delay(u32::MAX, STILL, None), None);
    }

    proptest! {
        #[test]
        fn jitter_moves_a_delay_by_a_fifth_at_most(secs in 0..u64::from(u32::MAX), random: u64) {
            let schedule = Schedule::new(vec![Duration::from_secs(secs)]);
            let delay = schedule.delay(0, random, None).expect("there is one attempt");
            prop_assert!(delay >= Duration::from_millis(secs * 800));
            prop_assert!(delay <= Duration::from_millis(secs * 1200));
        }

        #[test]
        fn no_input_overflows(nanos in any::<u64>(), random: u64, ended: u32, asked: Option<u64>) {
            let schedule = Schedule::new(vec![Duration::MAX, Duration::from_nanos(nanos)]);
            let _ = schedule.delay(ended % 3, random, asked.map(Duration::from_secs));
        }
    }
}
