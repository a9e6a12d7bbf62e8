//! An edge for tests: the real layers and the real listener around routes that a test makes up.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::state::{Check, EdgeState};
use crate::clock::Timestamp;
use crate::config::{Config, ServerConfig};
use crate::telemetry::Metrics;
use crate::telemetry::testing::LogLines;

/// The state of an edge with default settings, changed by `change`.
pub(super) fn edge(change: impl FnOnce(&mut ServerConfig)) -> EdgeState {
    LogLines::install();
    let mut settings = Config::defaults_in(Path::new("/nowhere")).expect("the defaults are sound").server;
    change(&mut settings);
    EdgeState {
        settings: Arc::new(settings),
        metrics: Metrics::install(Timestamp::from_nanos(0)),
        readiness: Arc::new(|| {
            Box::pin(async { vec![Check { name: "database".to_owned(), up: true, needed: true }] })
        }),
        stopping: CancellationToken::new(),
    }
}
