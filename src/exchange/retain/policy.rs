//! How long what is kept, by data stream. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{RetentionConfig, StreamRetentionConfig};
use crate::manifest::stream_name;

/// How long what of one data stream is kept; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Periods {
    /// Bytes of an upload after its last delivery.
    pub(super) source: Option<Duration>,
    /// Whether bytes go that were not delivered everywhere.
    pub(super) undelivered: bool,
    /// Settled deliveries, once the bytes are gone.
    pub(super) delivery: Option<Duration>,
    /// Rows of uploads without bytes.
    pub(super) tombstone: Option<Duration>,
    /// Reports.
    pub(super) report: Option<Duration>,
}

/// How long what is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retention {
    interval: Duration,
    usual: Periods,
    of_streams: BTreeMap<String, Periods>,
}

impl Retention {
    /// As the settings say.
    pub(crate) fn new(config: &RetentionConfig) -> Self {
        let RetentionConfig { interval, source, undelivered, delivery, tombstone, report, streams } = config;
        let usual = Periods {
            source: unless_zero(*source),
            undelivered: *undelivered,
            delivery: unless_zero(*delivery),
            tombstone: unless_zero(*tombstone),
            report: unless_zero(*report),
        };
        let of_streams = streams.iter().map(|(name, own)| (name.to_lowercase(), usual.with(own)));
        Self { interval: *interval, usual, of_streams: of_streams.collect() }
    }

    /// How often it is looked for what may go.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// What holds for a data stream; the usual, where none is known.
    pub(super) fn of(&self, stream: (&str, &str)) -> &Periods {
        self.of_streams.get(&stream_name('_', stream)).unwrap_or(&self.usual)
    }

    /// What ended after this moment is young enough for every stream; `None` if nothing ever goes.
    pub(super) fn horizon(
        &self,
        now: Timestamp,
        period: impl Fn(&Periods) -> Option<Duration>,
    ) -> Option<Timestamp> {
        let all = std::iter::once(&self.usual).chain(self.of_streams.values());
        all.filter_map(period).min().map(|shortest| before(now, shortest))
    }
}

impl Periods {
    fn with(self, own: &StreamRetentionConfig) -> Self {
        let either = |own: Option<Duration>, usual| own.map_or(usual, unless_zero);
        Self {
            source: either(own.source, self.source),
            undelivered: own.undelivered.unwrap_or(self.undelivered),
            delivery: either(own.delivery, self.delivery),
            tombstone: either(own.tombstone, self.tombstone),
            report: either(own.report, self.report),
        }
    }
}

/// Whether what ended then has been kept for its time.
pub(super) fn is_over(ended_at: Timestamp, period: Option<Duration>, now: Timestamp) -> bool {
    period.is_some_and(|period| ended_at <= before(now, period))
}

fn before(now: Timestamp, period: Duration) -> Timestamp {
    let nanos = i64::try_from(period.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos))
}

fn unless_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_stream_may_have_times_of_its_own_or_none_at_all() {
        let json = serde_json::json!({
            "interval_secs": 600, "source_days": 30, "undelivered": false, "delivery_days": 0,
            "tombstone_days": 90, "report_days": 0,
            "streams": {
                "Flu_csv": {"source_days": 1, "undelivered": true},
                "flu_hl7": {"source_days": 0, "report_days": 400},
            },
        });
        let config: RetentionConfig = serde_json::from_value(json).expect("the form of the section");
        let retention = Retention::new(&config);
        let usual = Periods { source: Some(30 * DAY), tombstone: Some(90 * DAY), ..Periods::default() };
        assert_eq!(*retention.of(("flu", "other")), usual);
        assert_eq!(*retention.of(("FLU", "csv")), Periods { source: Some(DAY), undelivered: true, ..usual });
        assert_eq!(*retention.of(("flu", "HL7")), Periods { source: None, report: Some(400 * DAY), ..usual });
        let now = Timestamp::from_nanos(i64::MAX);
        assert_eq!(retention.horizon(now, |periods| periods.source), Some(before(now, DAY)));
        assert_eq!(retention.horizon(now, |periods| periods.report), Some(before(now, 400 * DAY)));
        assert_eq!(retention.horizon(now, |periods| periods.delivery), None);
        assert!(is_over(before(now, DAY), Some(DAY), now));
        assert!(!is_over(before(now, DAY).after(Duration::from_nanos(1)), Some(DAY), now));
        assert!(!is_over(before(now, DAY), None, now));
    }
}
