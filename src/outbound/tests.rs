//! Tests of outbound calls against a scripted server on a real socket.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;

fn client() -> Client {
    Client::new(Limits { answer_bytes: 10, reach: Reach::Everywhere, ..Limits::default() })
        .expect("TLS can be set up")
}

/// A server that answers one connection with `answer` and gives what it was sent, up to and with `until`.
async fn answering(answer: &'static str, until: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/a?b=c", listener.local_addr().expect("an address"));
    let server = TaskTracker::new().spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut sent = String::new();
        while !sent.ends_with(until) {
            let mut piece = [0; 4096];
            let n = stream.read(&mut piece).await.expect("bytes");
            assert_ne!(n, 0, "the request ended early: {sent}");
            sent.push_str(std::str::from_utf8(&piece[..n]).expect("text"));
        }
        stream.write_all(answer.as_bytes()).await.expect("it is taken");
        sent
    });
    (url, server)
}

#[tokio::test]
async fn a_call_sends_what_it_was_given_and_brings_the_answer() {
    let (url, server) =
        answering("HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok", "hello").await;
    let pieces = futures_util::stream::iter(["hel", "lo"].map(|piece| Ok(Bytes::from(piece))));
    let answer = client().patch(&url).header("X-C", "d").stream(pieces, 5).send().await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..], answer.header("x-a")), (201, &b"ok"[..], Some("b")));
    let sent = server.await.expect("the server ends");
    assert!(sent.starts_with("PATCH /a?b=c HTTP/1.1\r\n") && sent.contains("x-c: d\r\n"), "{sent}");
    assert!(sent.contains("content-length: 5\r\n") && !sent.contains("transfer-encoding"), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere =
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let (url, _server) = answering(elsewhere, "\r\n\r\n").await;
    let answer = client().get(&url).send().await.expect("an answer");
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://127.0.0.1:1/")));
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let too_large = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901";
    let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n6\r\n123456\r\n";
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n123";
    for (answer, error) in [
        (too_large, OutboundError::TooLarge),
        (endless, OutboundError::TooLarge),
        (cut, OutboundError::Broken),
        ("HELLO\r\n\r\n", OutboundError::Broken),
    ] {
        let (url, _server) = answering(answer, "\r\n\r\n").await;
        assert_eq!(client().get(&url).send().await.expect_err("it fails"), error, "{answer}");
    }
    for (url, error) in [
        ("http://127.0.0.1:1/", OutboundError::Connect),
        ("ftp://127.0.0.1/", OutboundError::Url),
        ("http://user@127.0.0.1/", OutboundError::Url),
        ("nowhere", OutboundError::Url),
    ] {
        let failed = client().head(url).send().await.expect_err("it fails");
        assert_eq!(failed, error, "{url}");
        assert!(failed.nothing_was_sent());
    }
    let split = client().post("http://127.0.0.1:1/").header("X-A", "b\r\nX-C: d").body("x").send().await;
    assert_eq!(split.expect_err("it fails"), OutboundError::Header);
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_as_a_date_within_a_day() {
    let date = "Date: Sun, 22 Nov 2026 06:00:00 GMT\r\n";
    for (fields, seconds) in [
        ("Retry-After: 7\r\n".to_owned(), Some(7)),
        ("Retry-After: 999999\r\n".to_owned(), Some(86_400)),
        (format!("{date}Retry-After: Sun, 22 Nov 2026 06:02:00 GMT\r\n"), Some(120)),
        (format!("{date}Retry-After: Sun, 22 Nov 2026 05:00:00 GMT\r\n"), Some(0)),
        (format!("{date}Retry-After: Mon, 22 Nov 2027 05:00:00 GMT\r\n"), Some(86_400)),
        (format!("{date}Retry-After: soon\r\n"), None),
        ("Retry-After: Sun, 22 Nov 2026 06:02:00 GMT\r\n".to_owned(), None),
    ] {
        let told = fields.clone();
        let server = testing::FakeServer::start(move |_| testing::Reply::new(503, &fields, "")).await;
        let answer = client().get(server.url()).send().await.expect("an answer");
        assert_eq!(answer.retry_after(), seconds.map(Duration::from_secs), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let failed = client().put(&url).body("x").timeout(Duration::from_millis(20)).send().await;
    assert_eq!(failed.expect_err("it fails"), OutboundError::Timeout);
}

#[tokio::test]
async fn the_time_that_a_body_takes_to_be_sent_is_no_silence() {
    let (url, _server) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "end").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent_url = format!("http://{}/", silent.local_addr().expect("an address"));
    let limits =
        Limits { read_timeout: Duration::from_millis(500), reach: Reach::Everywhere, ..Limits::default() };
    let client = Client::new(limits).expect("TLS can be set up");
    let other = client.clone();
    // By the time that the second block comes, a call that began after this one has been given up.
    let blocks = stream::once(async { Ok(Bytes::from_static(b"be")) }).chain(stream::once(async move {
        let failed = other.get(&silent_url).send().await;
        assert_eq!(failed.expect_err("it fails"), OutboundError::Timeout);
        Ok(Bytes::from_static(b"end"))
    }));
    let answer = client.post(&url).stream(blocks, 5).send().await.expect("an answer");
    assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
}

#[tokio::test]
async fn tls_is_set_up_and_a_server_without_it_is_not_reached() {
    let (url, _server) = answering("HTTP/1.1 200 OK\r\n\r\n", "").await;
    let failed = client().get(&url.replace("http://", "https://")).send().await;
    assert_eq!(failed.expect_err("it fails"), OutboundError::Connect);
}

#[tokio::test]
async fn names_and_addresses_of_the_own_network_are_not_called() {
    let (open, _server) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\n").await;
    let port = open.trim_start_matches("http://127.0.0.1:").split('/').next().expect("a port");
    let guarded = Client::new(Limits::default()).expect("TLS can be set up");
    // Spellings of loopback, by address and by name (O-04).
    let hosts =
        ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "127.0.0.1.", "[::1]", "[::ffff:7f00:1]", "localhost"];
    for host in hosts {
        let failed = guarded.get(&format!("http://{host}:{port}/")).send().await.expect_err("it fails");
        assert_eq!(failed, OutboundError::Forbidden, "{host}");
        assert!(failed.nothing_was_sent());
    }
    assert_eq!(client().get(&open).send().await.expect("an answer").status, 200);
}
