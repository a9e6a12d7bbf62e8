//! Tests of logging and metrics set-up.

use super::*;
use crate::clock::Timestamp;
use crate::config::LogFormat;

#[test]
fn a_filter_that_is_none_is_refused_without_repeating_it() {
    for (filter, sound) in [("info", true), ("warn,cdex_gateway=trace", true), ("cdex=ZZ=9", false)] {
        let settings = TelemetryConfig { log_format: LogFormat::Text, log_filter: filter.to_owned() };
        let outcome = check(&settings);
        assert_eq!(outcome.is_ok(), sound, "{filter}");
        assert!(outcome.err().is_none_or(|error| !error.to_string().contains("ZZ")));
    }
}

#[test]
fn two_gateways_in_one_process_count_together() {
    let [first, second] =
        [1, 2].map(|seconds| Metrics::install(Timestamp::from_nanos(seconds * 1_000_000_000)));
    ::metrics::counter!("cdex_test_total").increment(1);
    for metrics in [first, second] {
        assert!(metrics.render().contains("cdex_test_total 1"));
        assert!(metrics.render().contains("process_start_time_seconds"));
    }
}
