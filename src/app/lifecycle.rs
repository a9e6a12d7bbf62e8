//! How the gateway runs and stops: every future that lives longer than its caller is spawned here, and
//! every one is told when to end.
//!
//! The soft stop (first SIGTERM or SIGINT, or a worker that died) asks for no new work; the hard stop
//! (second signal, or the stop time is over) drops what is still running.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The gateway did not end as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleError {
    /// A worker that runs as long as the gateway ended before it.
    #[error("the worker `{0}` died; the gateway stopped because of it")]
    WorkerDied(&'static str),
    /// Work had to be dropped because it did not finish in the stop time.
    #[error("work was cut off because it did not finish in the stop time")]
    CutOff,
    /// Signals cannot be received.
    #[error("the signals to stop cannot be received")]
    NoSignals,
}

/// The tokens, and the tracker of everything that runs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
    died: Arc<OnceLock<&'static str>>,
    stop_timeout: Duration,
}

impl Lifecycle {
    /// Nothing runs yet. After a soft stop, running work has `stop_timeout` to finish.
    pub(crate) fn new(stop_timeout: Duration) -> Self {
        let hard = CancellationToken::new();
        Self {
            soft: hard.child_token(),
            hard,
            tracker: TaskTracker::new(),
            died: Arc::default(),
            stop_timeout,
        }
    }

    /// Cancelled when no new work must begin.
    pub(crate) fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when work is dropped; the soft token is cancelled with it.
    pub(crate) fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// For futures that end by themselves, such as connections; they watch the tokens on their own.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Runs a worker: a future that ends only after the soft stop. If it ends earlier or panics, the gateway
    /// stops with failure. At the hard stop it is dropped.
    pub(crate) fn spawn(&self, name: &'static str, worker: impl Future<Output = ()> + Send + 'static) {
        let lifecycle = self.clone();
        self.tracker.spawn(async move {
            let ended = tokio::select! {
                biased;
                () = lifecycle.hard.cancelled() => return,
                ended = AssertUnwindSafe(worker).catch_unwind() => ended,
            };
            if ended.is_err() || !lifecycle.soft.is_cancelled() {
                tracing::error!(worker = name, panicked = ended.is_err(), "a worker died");
                // The first one is the cause; the others may follow from it.
                let _ = lifecycle.died.set(name);
                lifecycle.soft.cancel();
            }
        });
    }

    /// Asks everything to end, as the first signal does.
    pub(crate) fn stop(&self) {
        self.soft.cancel();
    }

    /// Returns when everything has ended, after the first signal or a stop of another cause.
    ///
    /// # Errors
    /// As [`Lifecycle::stopped`].
    pub(crate) async fn run(&self, mut signals: Signals) -> Result<(), LifecycleError> {
        tokio::select! {
            () = self.soft.cancelled() => {}
            () = signals.next() => {
                tracing::info!("stopping; a second signal stops at once");
                self.soft.cancel();
            }
        }
        self.finish(signals.next()).await
    }

    /// Returns when everything has ended after a stop; for a gateway inside another program, which has the
    /// signals.
    ///
    /// # Errors
    /// [`LifecycleError::WorkerDied`] if that was the reason, [`LifecycleError::CutOff`] if not everything
    /// could finish.
    pub(crate) async fn stopped(&self) -> Result<(), LifecycleError> {
        self.soft.cancelled().await;
        self.finish(std::future::pending()).await
    }

    /// Waits for what still runs, until the stop time is over or `hurry` returns.
    async fn finish(&self, hurry: impl Future<Output = ()>) -> Result<(), LifecycleError> {
        self.tracker.close();
        let in_time = tokio::select! {
            biased;
            () = self.tracker.wait() => !self.hard.is_cancelled(),
            () = self.hard.cancelled() => false,
            () = hurry => false,
            () = tokio::time::sleep(self.stop_timeout) => false,
        };
        if !in_time {
            self.hard.cancel();
            self.tracker.wait().await;
        }
        match self.died.get() {
            Some(name) => Err(LifecycleError::WorkerDied(name)),
            None if in_time => Ok(()),
            None => Err(LifecycleError::CutOff),
        }
    }
}

/// The signals that ask the process to stop. While one of these lives they no longer kill it.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to receive SIGTERM and SIGINT.
    ///
    /// # Errors
    /// [`LifecycleError::NoSignals`] if the system refuses.
    pub(crate) fn receive() -> Result<Self, LifecycleError> {
        let listen = |kind| signal(kind).map_err(|_| LifecycleError::NoSignals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Returns at the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signal that asks for the files to be read anew (SIGHUP). While one of these lives it does not kill the process.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Begins to receive it.
    ///
    /// # Errors
    /// [`LifecycleError::NoSignals`] if the system refuses.
    pub(crate) fn receive() -> Result<Self, LifecycleError> {
        signal(SignalKind::hangup()).map(Self).map_err(|_| LifecycleError::NoSignals)
    }

    /// Returns at the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any of these tests may take; none waits for it.
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_soft_stop_lets_workers_finish() {
        let lifecycle = Lifecycle::new(LONG);
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("worker", async move { soft.cancelled().await });
        lifecycle.stop();
        assert_eq!(lifecycle.stopped().await, Ok(()));
        assert!(!lifecycle.hard().is_cancelled());
    }

    #[tokio::test]
    async fn a_worker_that_dies_stops_the_gateway_with_failure() {
        for panics in [false, true] {
            let lifecycle = Lifecycle::new(LONG);
            let soft = lifecycle.soft().clone();
            lifecycle.spawn("other", async move { soft.cancelled().await });
            lifecycle.spawn("worker", async move { assert!(!panics, "it panics") });
            assert_eq!(lifecycle.stopped().await, Err(LifecycleError::WorkerDied("worker")));
        }
    }

    #[tokio::test]
    async fn work_that_does_not_finish_is_dropped_at_the_stop_time_or_the_second_signal() {
        for (stop_timeout, hurries) in [(Duration::ZERO, false), (LONG, true)] {
            let lifecycle = Lifecycle::new(stop_timeout);
            lifecycle.spawn("worker", std::future::pending());
            lifecycle.stop();
            let ended = if hurries { lifecycle.finish(async {}).await } else { lifecycle.stopped().await };
            assert_eq!(ended, Err(LifecycleError::CutOff));
            assert!(lifecycle.hard().is_cancelled());
        }
    }
}
