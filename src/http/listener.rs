//! The accept loop: one per address, HTTP/1.1 on hyper. It bounds what a client can hold (connections,
//! header size and time, unread answers) before any route sees a request; `axum::serve` sets none of these.
//! It must not know routes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::write_timeout::WriteTimeout;
use crate::config::ServerConfig;
use crate::telemetry::metrics::HTTP_CONNECTIONS;

/// Header fields of one request.
const MAX_HEADERS: usize = 100;
/// How much is read ahead from a connection: large uploads want large reads.
const READ_BUFFER_BYTES: usize = 128 * 1024;
/// How long to wait when the system has no file descriptor left for a connection.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// Where a request came from; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallerAddress(pub(crate) SocketAddr);

/// How a listener is told to stop, and where its connections are counted.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Accept nothing more; finish the requests that run.
    pub(crate) soft: CancellationToken,
    /// Drop every connection.
    pub(crate) hard: CancellationToken,
    /// Waits for the connections.
    pub(crate) tracker: TaskTracker,
}

/// Serves `router` on `listener` until the soft stop.
///
/// Connections live on in the tracker: each ends after the request it works on, or at the hard stop.
pub(crate) async fn serve(listener: TcpListener, router: Router, settings: &ServerConfig, stop: Stop) {
    let connections = Arc::new(Semaphore::new(settings.max_connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(settings.max_header_bytes)
        .max_buf_size(READ_BUFFER_BYTES);
    loop {
        // The permit comes first: over the cap, clients wait in the backlog of the system.
        let accepted = async {
            let permit = connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = stop.soft.cancelled() => return,
            accepted = accepted => accepted,
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok((stream, address)) => {
                let connection = Connection {
                    http: http.clone(),
                    router: router.clone(),
                    address,
                    write_timeout: settings.idle_timeout,
                    soft: stop.soft.clone(),
                    _permit: permit,
                };
                let hard = stop.hard.clone();
                stop.tracker.spawn(async move {
                    tokio::select! {
                        biased;
                        () = hard.cancelled() => {}
                        () = connection.run(stream) => {}
                    }
                });
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::error!(kind = %error.kind(), "cannot accept connections");
                tokio::select! {
                    () = stop.soft.cancelled() => return,
                    () = tokio::time::sleep(PAUSE_AFTER_ERROR) => {}
                }
            }
        }
    }
}

/// Whether an accept failed because the client was gone again, which is no reason to pause.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

struct Connection {
    http: http1::Builder,
    router: Router,
    address: SocketAddr,
    write_timeout: Duration,
    soft: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let _open = OpenConnection::count();
        // Without it the last piece of an answer may wait for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let service = hyper::service::service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(CallerAddress(self.address));
            self.router.clone().oneshot(request.map(Body::new))
        });
        let io = TokioIo::new(WriteTimeout::new(stream, self.write_timeout));
        let mut connection = std::pin::pin!(self.http.serve_connection(io, service));
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.soft.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            // Its text may quote what was sent; these answers are all an operator needs.
            tracing::debug!(timeout = error.is_timeout(), parse = error.is_parse(), "a connection broke off");
        }
    }
}

/// Counts itself among the open connections while it lives.
struct OpenConnection;

impl OpenConnection {
    fn count() -> Self {
        metrics::gauge!(HTTP_CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        metrics::gauge!(HTTP_CONNECTIONS).decrement(1.0);
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
