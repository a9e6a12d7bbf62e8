//! `[retention]`: how long what is done with is kept. Nothing goes unless it is set.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, unit};

/// How long what is done with is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// How often it is looked for what may go.
    #[serde(rename = "interval_secs", deserialize_with = "unit::seconds")]
    pub interval: Duration,
    /// The bytes of an upload after its last delivery; zero is for ever, here and below.
    #[serde(rename = "source_days", deserialize_with = "unit::days")]
    pub source: Duration,
    /// Whether they go, too, where a delivery is dead or there was none.
    pub undelivered: bool,
    /// Deliveries that are settled, with their attempts, once the bytes are gone.
    #[serde(rename = "delivery_days", deserialize_with = "unit::days")]
    pub delivery: Duration,
    /// What is left of uploads whose bytes are gone: their rows.
    #[serde(rename = "tombstone_days", deserialize_with = "unit::days")]
    pub tombstone: Duration,
    /// Reports.
    #[serde(rename = "report_days", deserialize_with = "unit::days")]
    pub report: Duration,
    /// What is otherwise for single data streams, by the names of their files without `.json`.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamRetentionConfig>,
}

/// What is otherwise for one data stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRetentionConfig {
    /// As in [`RetentionConfig`], like the others.
    #[serde(rename = "source_days", default, deserialize_with = "unit::some_days")]
    pub source: Option<Duration>,
    /// Whether bytes go that were not delivered.
    pub undelivered: Option<bool>,
    /// Settled deliveries.
    #[serde(rename = "delivery_days", default, deserialize_with = "unit::some_days")]
    pub delivery: Option<Duration>,
    /// Rows without bytes.
    #[serde(rename = "tombstone_days", default, deserialize_with = "unit::some_days")]
    pub tombstone: Option<Duration>,
    /// Reports.
    #[serde(rename = "report_days", default, deserialize_with = "unit::some_days")]
    pub report: Option<Duration>,
}

impl RetentionConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.refuse_zero("retention.interval_secs", self.interval.as_secs());
        for (name, stream) in &self.streams {
            let at = format!("retention.streams.{name}");
            let is_empty = stream.source.is_none()
                && stream.undelivered.is_none()
                && stream.delivery.is_none()
                && stream.tombstone.is_none()
                && stream.report.is_none();
            if is_empty {
                problems.add(&at, "sets nothing");
            }
        }
    }

    pub(super) fn warn(&self, warnings: &mut Vec<String>) {
        let of_all = ("retention".to_owned(), self.source, self.delivery);
        let of_streams = self.streams.iter().map(|(name, own)| {
            let (source, delivery) =
                (own.source.unwrap_or(self.source), own.delivery.unwrap_or(self.delivery));
            (format!("retention.streams.{name}"), source, delivery)
        });
        for (at, source, delivery) in std::iter::once(of_all).chain(of_streams) {
            if let Some(remark) = remark(source, delivery) {
                warnings.push(format!(
                    "{at}.delivery_days: {remark}: a delivery stays as long as the bytes that it delivered"
                ));
            }
        }
    }
}

/// What is to be said of the time of deliveries beside that of bytes; zero is for ever.
fn remark(source: Duration, delivery: Duration) -> Option<&'static str> {
    if delivery.is_zero() {
        None
    } else if source.is_zero() {
        Some("without source_days it is only about uploads that are removed")
    } else {
        (delivery < source).then_some("shorter than source_days, which then decides")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_that_could_not_go_before_their_bytes_are_warned_about() {
        let cases = [
            ((0, 0), None),
            ((30, 0), None),
            ((30, 30), None),
            ((30, 10), Some("retention.delivery_days: shorter than source_days")),
            ((0, 10), Some("retention.delivery_days: without source_days")),
        ];
        for ((source, delivery), expected) in cases {
            let json = serde_json::json!({
                "interval_secs": 600, "source_days": source, "undelivered": false, "delivery_days": delivery,
                "tombstone_days": 0, "report_days": 0,
                "streams": { "flu_csv": { "source_days": 10, "delivery_days": 10 } },
            });
            let config: RetentionConfig = serde_json::from_value(json).expect("the form of the section");
            let mut warnings = Vec::new();
            config.warn(&mut warnings);
            assert_eq!(warnings.len(), usize::from(expected.is_some()), "{warnings:?}");
            let begins = |warning: &String| expected.is_some_and(|begin| warning.starts_with(begin));
            assert!(warnings.iter().all(begins), "{warnings:?}");
        }
    }
}
