//! The one metrics recorder of the process, and a handle to read it. Several gateways may live in one
//! process (tests, the demo); they count together.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{metrics as names, process};
use crate::clock::Timestamp;

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const UNITS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Everything counted in this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    started: Timestamp,
}

impl Metrics {
    /// Begins to count, or joins what counts already. `started` is when this gateway began.
    pub(crate) fn install(started: Timestamp) -> Self {
        let handle = RECORDER.get_or_init(|| {
            let recorder = builder().build_recorder();
            let handle = recorder.handle();
            // If the program that embeds us has a recorder of its own, ours stays empty.
            let _ = metrics::set_global_recorder(recorder);
            handle
        });
        Self { handle: handle.clone(), started }
    }

    /// The text Prometheus reads.
    pub(crate) fn render(&self) -> String {
        process::measure(self.started);
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn builder() -> PrometheusBuilder {
    let suffix = |text: &str| Matcher::Suffix(text.to_owned());
    // A list of buckets is refused only if it is empty.
    PrometheusBuilder::new()
        .set_buckets_for_metric(suffix("_seconds"), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(names::DB_GROUP_UNITS.to_owned()), &UNITS)
        })
        .unwrap_or_else(|_| PrometheusBuilder::new())
}
