//! What the edge itself needs: limits, metrics, and what readiness means. The state of the routes is their
//! own and is wired in `app`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::telemetry::Metrics;

/// One thing that must work for the gateway to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Its name; one of ours.
    pub(crate) name: String,
    /// Whether it works.
    pub(crate) up: bool,
    /// Whether no request can be taken without it.
    pub(crate) needed: bool,
}

/// Looks at everything the gateway needs.
pub(crate) type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync>;

/// The state of the layers and of the operations routes.
#[derive(Clone)]
pub(crate) struct EdgeState {
    /// Limits and origins.
    pub(crate) settings: Arc<ServerConfig>,
    /// What `/metrics` shows.
    pub(crate) metrics: Metrics,
    /// What `/health/ready` asks.
    pub(crate) readiness: Readiness,
    /// Cancelled when the gateway begins to stop; it is not ready from then on.
    pub(crate) stopping: CancellationToken,
}
