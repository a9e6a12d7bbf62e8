//! How often to look after a Task at a partner (CONF-062): a while after it was sent, then regularly, and slowly once
//! it has taken long.

use std::time::Duration;

use crate::clock::Timestamp;

/// The pace of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PollPace {
    /// How long after it was sent a Task is looked at first.
    pub(crate) first: Duration,
    /// How long after that again, and again.
    pub(crate) every: Duration,
    /// How long after it was sent a Task is looked at less often.
    pub(crate) slow_after: Duration,
    /// How often then.
    pub(crate) slow_every: Duration,
}

impl PollPace {
    /// When a Task that was sent then is to be looked at first.
    pub(crate) fn first_look(&self, sent_at: Timestamp) -> Timestamp {
        sent_at.after(self.first)
    }

    /// When a Task that was looked at now is to be looked at again; not before the partner asks for
    /// (`Retry-After`).
    pub(crate) fn next_look(
        &self,
        sent_at: Timestamp,
        now: Timestamp,
        not_before: Option<Timestamp>,
    ) -> Timestamp {
        let wait = if now.since(sent_at) < self.slow_after { self.every } else { self.slow_every };
        let next = now.after(wait);
        aligned(not_before.map_or(next, |not_before| next.max(not_before)), wait)
    }
}

/// The moment, or up to a tenth of the pace later: however many Tasks are looked at so often, they are looked at in at
/// most eleven groups.
fn aligned(moment: Timestamp, every: Duration) -> Timestamp {
    let grain = i64::try_from((every / 10).min(Duration::from_secs(30)).as_nanos()).unwrap_or(i64::MAX);
    let late = moment.as_nanos().checked_rem(grain).unwrap_or_default();
    if late == 0 { moment } else { Timestamp::from_nanos(moment.as_nanos().saturating_add(grain - late)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CDEX: PollPace = PollPace {
        first: Duration::from_mins(1),
        every: Duration::from_mins(5),
        slow_after: Duration::from_mins(30),
        slow_every: Duration::from_hours(1),
    };

    #[test]
    fn conf_062_a_task_is_looked_at_after_a_minute_then_every_five_and_after_half_an_hour_hourly() {
        let sent_at = Timestamp::from_nanos(0);
        let mut at = CDEX.first_look(sent_at);
        let mut minutes = vec![at.since(sent_at).as_secs() / 60];
        for _ in 0..9 {
            at = CDEX.next_look(sent_at, at, None);
            minutes.push(at.since(sent_at).as_secs() / 60);
        }
        assert_eq!(minutes, [1, 6, 11, 16, 21, 26, 31, 91, 151, 211]);
    }

    proptest! {
        #[test]
        fn a_partner_is_never_asked_sooner_than_the_pace_and_the_partner_allow(
            late in 0_u64..100_000, asked in proptest::option::of(0_u64..100_000),
        ) {
            let sent_at = Timestamp::from_nanos(0);
            let now = sent_at.after(Duration::from_secs(late));
            let not_before = asked.map(|seconds| now.after(Duration::from_secs(seconds)));
            let next = CDEX.next_look(sent_at, now, not_before);
            prop_assert!(next >= now.after(CDEX.every) && not_before.is_none_or(|then| next >= then));
            prop_assert!(late < 1_800 || next >= now.after(CDEX.slow_every));
        }
    }
}
