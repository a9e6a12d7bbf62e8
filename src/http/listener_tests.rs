//! Tests of the listener over real sockets. They assert that a connection ends, never how fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::http::body::{BodyFault, collect};
use crate::http::testing::edge;

/// A listener with routes that a test can hold and let go.
struct Server {
    address: SocketAddr,
    stop: Stop,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

impl Server {
    async fn start(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let state = edge(change);
        let [entered, release] = [(); 2].map(|()| Arc::new(Notify::new()));
        let holding = Arc::new(AtomicBool::new(false));
        let hold = {
            let (entered, release, holding) = (entered.clone(), release.clone(), holding.clone());
            get(move || async move {
                holding.store(true, Ordering::SeqCst);
                entered.notify_one();
                release.notified().await;
                holding.store(false, Ordering::SeqCst);
                "held"
            })
        };
        let endless = {
            let entered = entered.clone();
            get(move || async move {
                entered.notify_one();
                Body::from_stream(endless())
            })
        };
        let routes = Router::new()
            .route("/hold", hold)
            .route("/alone", get(move || async move { (!holding.load(Ordering::SeqCst)).to_string() }))
            .route("/endless", endless)
            .route("/whence", get(whence))
            .route(
                "/read",
                post(async |request: Request| match collect(request.into_body(), 1000).await {
                    Ok(body) => body.into_response(),
                    Err(fault) => (fault.status(), fault.to_string()).into_response(),
                }),
            );
        let served = crate::http::router(&state, routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Stop {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let stopping = stop.clone();
        stop.tracker.spawn(async move { serve(listener, served, &state.settings, stopping).await });
        stop.tracker.close();
        Self { address, stop, entered, release }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("it takes bytes");
        stream
    }
}

fn endless() -> impl futures_util::Stream<Item = Result<Bytes, BodyFault>> {
    futures_util::stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 65536])))
}

async fn whence(request: Request) -> String {
    request.extensions().get::<CallerAddress>().expect("every request has one").0.to_string()
}

/// Everything the server says until it closes the connection.
async fn to_the_end(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that is reset has ended too.
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a header").1
}

#[tokio::test]
async fn a_header_that_does_not_end_ends_the_connection() {
    let server = Server::start(|settings| settings.header_timeout = Duration::from_millis(50)).await;
    for beginning in ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let answer = to_the_end(server.send(beginning).await).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// T-10
#[tokio::test]
async fn a_body_that_does_not_end_is_a_408_and_ends_the_connection() {
    let server = Server::start(|settings| settings.idle_timeout = Duration::from_millis(50)).await;
    let request = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc";
    let answer = to_the_end(server.send(request).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_left() {
    let server = Server::start(|settings| settings.idle_timeout = Duration::from_millis(50)).await;
    let _unread = server.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.entered.notified().await;
    // The soft stop would wait for the answer for ever; that it ends proves that the connection did.
    server.stop.soft.cancel();
    server.stop.tracker.wait().await;
}

#[tokio::test]
async fn a_header_larger_than_allowed_is_refused() {
    let server = Server::start(|settings| settings.max_header_bytes = 2048).await;
    let request = format!("GET /whence HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(4096));
    let answer = to_the_end(server.send(&request).await).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_request_knows_where_it_came_from() {
    let server = Server::start(|_| {}).await;
    let stream = server.send("GET /whence HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let address = stream.local_addr().expect("an address").to_string();
    assert_eq!(body_of(&to_the_end(stream).await), address);
}

#[tokio::test]
async fn over_the_connection_cap_a_client_waits_until_another_is_gone() {
    let server = Server::start(|settings| settings.max_connections = 1).await;
    let first = server.send("GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    server.entered.notified().await;
    let second = server.send("GET /alone HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    server.release.notify_one();
    assert_eq!(body_of(&to_the_end(first).await), "held");
    assert_eq!(body_of(&to_the_end(second).await), "true");
}

#[tokio::test]
async fn a_soft_stop_finishes_open_requests_and_closes_idle_connections() {
    let server = Server::start(|_| {}).await;
    let idle = server.connect().await;
    let busy = server.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.entered.notified().await;
    server.stop.soft.cancel();
    assert_eq!(to_the_end(idle).await, "");
    server.release.notify_one();
    let answer = to_the_end(busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(body_of(&answer), "held");
    server.stop.tracker.wait().await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_hard_stop_drops_open_requests() {
    let server = Server::start(|_| {}).await;
    let busy = server.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.entered.notified().await;
    server.stop.soft.cancel();
    server.stop.hard.cancel();
    assert_eq!(to_the_end(busy).await, "");
    server.stop.tracker.wait().await;
}
