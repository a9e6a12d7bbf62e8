//! The circuit breaker of a target (D-05, dex-upload W-12): after some failures in a row nothing is sent there for a
//! while, then one delivery goes ahead and shows whether the rest may follow. Pure: the caller brings the time. It is
//! memory of the process alone: a start begins with every circuit closed.

use std::time::Duration;

use crate::clock::Timestamp;

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BreakerSettings {
    /// Failures in a row that open it.
    pub(crate) failures: u32,
    /// How long it stays open the first time; twice as long whenever the probe fails.
    pub(crate) pause: Duration,
    /// The longest it stays open.
    pub(crate) longest_pause: Duration,
}

/// What an attempt says of the target, whatever became of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It took the upload.
    Works,
    /// It cannot take anything at the moment; perhaps it said for how long.
    Fails(Option<Duration>),
    /// Nothing: what went wrong was the upload's fault, or ours.
    Nothing,
}

/// How much may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// As much as there are slots for.
    All,
    /// One delivery, to see whether the target works again.
    Probe,
    /// Nothing.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Timestamp,
        pause: Duration,
    },
    /// The probe is on its way.
    HalfOpen {
        pause: Duration,
    },
}

/// One target's circuit.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Counts how often it opened, closed and was probed; an attempt is of the one in which it was claimed.
    generation: u64,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, generation: 0 }
    }

    /// How much may be sent.
    pub(super) fn admits(&self, now: Timestamp) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::All,
            State::Open { until, .. } if until <= now => Admission::Probe,
            State::Open { .. } | State::HalfOpen { .. } => Admission::None,
        }
    }

    /// Whether less than all may be sent.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Something has been claimed, and this is its generation. If the circuit is open it is the probe; there is no
    /// other until it has [`ended`](Self::ended).
    pub(super) fn claimed(&mut self) -> u64 {
        if let State::Open { pause, .. } = self.state {
            self.turn(State::HalfOpen { pause });
        }
        self.generation
    }

    /// An attempt of a generation has ended.
    ///
    /// One that began before the circuit opened changes nothing by failing: it is not the probe, however late it ends.
    /// That the target works is believed at any time.
    pub(super) fn ended(&mut self, verdict: Verdict, generation: u64, now: Timestamp) {
        let is_older = generation != self.generation;
        let next = match (self.state, verdict) {
            (State::Closed { .. }, Verdict::Works) => {
                self.state = State::Closed { failures: 0 };
                return;
            }
            (_, Verdict::Works) => State::Closed { failures: 0 },
            _ if is_older => return,
            (State::Closed { failures }, Verdict::Fails(asked)) => {
                let failures = failures.saturating_add(1);
                if failures < self.settings.failures {
                    self.state = State::Closed { failures };
                    return;
                }
                self.open(self.settings.pause, asked, now)
            }
            (State::HalfOpen { pause }, Verdict::Fails(asked)) => {
                self.open(pause.saturating_mul(2), asked, now)
            }
            // The probe told nothing: another one may go at once.
            (State::HalfOpen { pause }, Verdict::Nothing) => State::Open { until: now, pause },
            (State::Closed { .. } | State::Open { .. }, _) => return,
        };
        self.turn(next);
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    /// `asked` is what the target wants, believed within the longest pause.
    fn open(&self, pause: Duration, asked: Option<Duration>, now: Timestamp) -> State {
        let longest = self.settings.longest_pause;
        let pause = pause.min(longest);
        let until = now.after(pause.max(asked.unwrap_or_default().min(longest)));
        State::Open { until, pause }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::at;
    use super::*;

    const FAILS: Verdict = Verdict::Fails(None);

    /// An attempt that was claimed as the circuit now is has ended.
    fn end(breaker: &mut Breaker, verdict: Verdict, now: Timestamp) {
        breaker.ended(verdict, breaker.generation, now);
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings {
            failures: 5,
            pause: Duration::from_secs(10),
            longest_pause: Duration::from_mins(1),
        })
    }

    fn opened() -> Breaker {
        let mut breaker = breaker();
        (0..5).for_each(|_| end(&mut breaker, FAILS, at(0)));
        breaker
    }

    #[test]
    fn w_12_five_failures_in_a_row_open_it_and_fewer_do_not() {
        let mut breaker = breaker();
        for _ in 0..3 {
            (0..4).for_each(|_| end(&mut breaker, FAILS, at(0)));
            assert_eq!(breaker.admits(at(0)), Admission::All);
            end(&mut breaker, Verdict::Works, at(0));
        }
        (0..4).for_each(|_| end(&mut breaker, FAILS, at(0)));
        end(&mut breaker, Verdict::Nothing, at(0));
        assert_eq!(breaker.admits(at(0)), Admission::All, "what tells nothing is not counted");
        end(&mut breaker, FAILS, at(0));
        assert_eq!(breaker.admits(at(9)), Admission::None);
        assert_eq!(breaker.admits(at(10)), Admission::Probe);
    }

    #[test]
    fn d_05_each_probe_that_fails_doubles_the_pause_up_to_the_longest() {
        let (mut breaker, mut now) = (opened(), 0);
        for pause in [10, 20, 40, 60, 60] {
            assert_eq!(breaker.admits(at(now + pause - 1)), Admission::None);
            now += pause;
            assert_eq!(breaker.admits(at(now)), Admission::Probe);
            breaker.claimed();
            assert_eq!(breaker.admits(at(now + 1000)), Admission::None, "one probe at a time");
            end(&mut breaker, FAILS, at(now));
        }
        end(&mut breaker, Verdict::Works, at(now));
        assert_eq!((breaker.admits(at(now)), breaker.is_open()), (Admission::All, false));
    }

    #[test]
    fn a_target_that_says_how_long_is_left_alone_so_long_within_the_longest_pause() {
        for (asked, until) in [(1, 10), (30, 30), (3600, 60)] {
            let mut breaker = breaker();
            let fails = Verdict::Fails(Some(Duration::from_secs(asked)));
            (0..5).for_each(|_| end(&mut breaker, fails, at(0)));
            assert_eq!(breaker.admits(at(until - 1)), Admission::None, "{asked}");
            assert_eq!(breaker.admits(at(until)), Admission::Probe, "{asked}");
        }
    }

    #[test]
    fn a_probe_that_tells_nothing_is_followed_by_another() {
        let mut breaker = opened();
        breaker.claimed();
        end(&mut breaker, Verdict::Nothing, at(11));
        assert_eq!(breaker.admits(at(11)), Admission::Probe);
    }

    #[test]
    fn attempts_from_before_it_opened_neither_prolong_the_pause_nor_are_the_probe() {
        let mut breaker = breaker();
        let older = breaker.claimed();
        (0..5).for_each(|_| end(&mut breaker, FAILS, at(0)));
        breaker.ended(FAILS, older, at(9));
        breaker.ended(Verdict::Nothing, older, at(9));
        assert_eq!(breaker.admits(at(10)), Admission::Probe);
        let probe = breaker.claimed();
        breaker.ended(FAILS, older, at(11));
        breaker.ended(Verdict::Nothing, older, at(11));
        assert_eq!(breaker.admits(at(1000)), Admission::None, "the probe is still on its way");
        breaker.ended(FAILS, probe, at(11));
        breaker.ended(Verdict::Nothing, probe, at(11));
        assert_eq!((breaker.admits(at(30)), breaker.admits(at(31))), (Admission::None, Admission::Probe));
        breaker.ended(Verdict::Works, older, at(30));
        assert_eq!(breaker.admits(at(30)), Admission::All, "that it works is believed at any time");
        breaker.ended(FAILS, probe, at(30));
        breaker.ended(FAILS, older, at(30));
        (0..4).for_each(|_| end(&mut breaker, FAILS, at(30)));
        assert!(!breaker.is_open(), "what began before is not counted");
    }

    proptest! {
        /// Whatever happens, it never stays shut longer than the longest pause once its probe has ended.
        #[test]
        fn it_always_admits_something_again(events in proptest::collection::vec((0..4_u8, 0..100_u64), 0..60)) {
            let (mut breaker, mut now) = (breaker(), 0);
            for (event, wait) in events {
                now += wait;
                match event {
                    0 => end(&mut breaker, Verdict::Works, at(now)),
                    1 => end(&mut breaker, Verdict::Fails(Some(Duration::from_secs(wait))), at(now)),
                    2 => end(&mut breaker, Verdict::Nothing, at(now)),
                    _ if breaker.admits(at(now)) == Admission::Probe => {
                        breaker.claimed();
                    }
                    _ => {}
                }
            }
            end(&mut breaker, Verdict::Nothing, at(now));
            prop_assert_ne!(breaker.admits(at(now + 60)), Admission::None);
        }
    }
}
