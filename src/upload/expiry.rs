//! How long an upload may stay incomplete (tus 1.0.0, Expiration), by data stream. Only the rule: what becomes of an
//! upload whose time is over is in [`end`](super::end).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::manifest::{SenderManifest, stream_key};

/// The time from the last sign of life of an upload to its expiry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expiry {
    usual: Option<Duration>,
    of_streams: BTreeMap<String, Option<Duration>>,
}

impl Expiry {
    /// The usual time, and that of some data streams by the names of their files; zero is for ever.
    pub(crate) fn new(usual: Duration, of_streams: &BTreeMap<String, Duration>) -> Self {
        let unless_zero = |time: Duration| (!time.is_zero()).then_some(time);
        let of_streams = of_streams.iter().map(|(name, time)| (stream_key(name), unless_zero(*time)));
        Self { usual: unless_zero(usual), of_streams: of_streams.collect() }
    }

    /// The time of an upload with this manifest; `None` is for ever.
    pub(super) fn of(&self, manifest: &SenderManifest) -> Option<Duration> {
        self.of_streams.get(&manifest.stream_name()).copied().unwrap_or(self.usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_have_a_time_of_its_own_or_none_at_all() {
        let manifest = |route: &str| {
            let json = format!(r#"{{"data_stream_id":"Flu","data_stream_route":"{route}"}}"#);
            SenderManifest::from_json(json.as_bytes()).expect("a manifest")
        };
        let hours = Duration::from_hours;
        let of_streams = [("flu_CSV".to_owned(), hours(1)), ("flu_hl7".to_owned(), Duration::ZERO)];
        let expiry = Expiry::new(hours(24), &of_streams.into());
        let cases = [("csv", Some(hours(1))), ("HL7", None), ("other", Some(hours(24)))];
        for (route, expected) in cases {
            assert_eq!(expiry.of(&manifest(route)), expected, "{route}");
        }
        assert_eq!(Expiry::default().of(&manifest("csv")), None);
    }
}
