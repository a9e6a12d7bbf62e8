//! A body over the limit is 413 while it still streams, and a broken one leaves nothing.

use super::{assert_nothing_left, assert_nothing_more};
use crate::support::content::base64;
use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::submission::{SUBMIT, accepted, note, refused, submit};

/// The limit of these tests, in bytes.
const LIMIT: usize = 256 * 1024;
const SETTINGS: &[(&str, &str)] = &[("CDEX_FHIR__PAYLOAD_LIMIT_BYTES", "262144")];

#[test]
fn a_declared_length_over_the_limit_is_413_before_the_body() {
    let gateway = Gateway::with(SETTINGS);
    let mut connection = gateway.connect().expect("it listens");
    connection.begin(&typed().header("Content-Length", "10000000000")).expect("a head goes out");
    let issues = refused(&connection.answer(false).expect("it answers without a body"), 413);
    assert_eq!(issues[0]["code"], "too-long");
    assert!(issues[0].to_string().contains("/upload/files"), "CONF-024: what to do instead: {issues:?}");
    assert_nothing_left(&gateway);
}

#[test]
fn a_chunked_body_is_413_where_it_passes_the_limit() {
    let gateway = Gateway::with(SETTINGS);
    let whole = note("chunked", &vec![b'x'; LIMIT]);
    let mut connection = gateway.connect().expect("it listens");
    connection.begin(&typed().header("Transfer-Encoding", "chunked")).expect("a head goes out");
    connection.send_chunk(&whole.as_bytes()[..LIMIT]).expect("the limit itself is taken");
    // Not one byte more than is needed: a server that hangs up on unread bytes would take its answer with it.
    connection.send_chunk(&whole.as_bytes()[LIMIT..=LIMIT]).expect("one byte more goes out");
    let issues = refused(&connection.answer(false).expect("it answers before the end"), 413);
    assert_eq!(issues[0]["code"], "too-long");
    assert_nothing_left(&gateway);
}

#[test]
fn a_body_of_exactly_the_limit_is_taken() {
    let gateway = Gateway::with(SETTINGS);
    let mut body = note("exact", &vec![b'x'; LIMIT / 2]);
    body.push_str(&" ".repeat(LIMIT - body.len()));
    accepted(&submit(&gateway, body.as_str()));
    body.push(' ');
    refused(&submit(&gateway, body), 413);
    assert_nothing_more(&gateway, 1);
}

#[test]
fn a_body_that_breaks_off_leaves_nothing() {
    let gateway = Gateway::start();
    let body = note("broken-off", &vec![b'x'; 1 << 20]);
    // In the envelope, at the start of the data, in the middle of it, and one byte before the end.
    for sent in [1, 700, 200_000, body.len() - 1] {
        let mut connection = gateway.connect().expect("it listens");
        let head = typed().header("Content-Length", &body.len().to_string());
        connection.begin(&head).expect("a head goes out");
        connection.send(&body.as_bytes()[..sent]).expect("the prefix goes out");
        connection.finish_sending();
        // An answer is possible, not required: nobody may be there to read it.
        if let Ok(answer) = connection.answer(false) {
            assert!(answer.status >= 400, "{}", answer.status);
        }
    }
    assert_nothing_left(&gateway);
    accepted(&submit(&gateway, body));
}

#[test]
fn many_small_chunks_make_the_same_submission() {
    let gateway = Gateway::start();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let body = note("chunks", &bytes);
    assert!(body.contains(&base64(&bytes)));
    let mut connection = gateway.connect().expect("it listens");
    connection.begin(&typed().header("Transfer-Encoding", "chunked")).expect("a head goes out");
    for chunk in body.as_bytes().chunks(997) {
        connection.send_chunk(chunk).expect("a chunk goes out");
    }
    connection.send_chunk(b"").expect("the end goes out");
    let ids = accepted(&connection.answer(false).expect("it answers"));
    gateway.wait_delivered(&ids[0], 1);
    assert!(gateway.delivered_bytes(&ids[0]) == bytes, "other bytes arrived");
}

fn typed() -> Request {
    Request::new("POST", SUBMIT).header("Content-Type", "application/fhir+json")
}
