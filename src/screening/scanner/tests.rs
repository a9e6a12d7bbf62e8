//! clamd's protocol, word for word, against the other end of a socket.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

/// Lets the gateway talk to a clamd that gives this answer, and tells what it heard, and what came of it.
async fn converse(
    blocks: Vec<io::Result<Bytes>>,
    answer: &'static [u8],
) -> (Vec<u8>, Result<Finding, ScannerError>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clamd.sock");
    let listener = UnixListener::bind(&path).expect("the socket can be bound");
    let clamd = Scanner::Clamd(Clamd::new(&path.to_string_lossy(), Duration::from_mins(1)));
    let server = async {
        let (mut socket, _) = listener.accept().await.expect("somebody connects");
        let mut heard = vec![0; 10];
        socket.read_exact(&mut heard).await.expect("a command comes");
        loop {
            let mut length = [0; 4];
            if socket.read_exact(&mut length).await.is_err() {
                return heard;
            }
            heard.extend(length);
            let length = usize::try_from(u32::from_be_bytes(length)).expect("a small number");
            if length == 0 {
                break;
            }
            let mut chunk = vec![0; length];
            socket.read_exact(&mut chunk).await.expect("a whole chunk comes");
            heard.extend(chunk);
        }
        socket.write_all(answer).await.expect("the answer goes out");
        heard
    };
    tokio::join!(server, clamd.scan(stream::iter(blocks).boxed(), 0))
}

fn blocks(texts: &[&'static str]) -> Vec<io::Result<Bytes>> {
    texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect()
}

#[tokio::test]
async fn the_stream_goes_out_in_chunks_with_their_lengths() {
    let (heard, finding) = converse(blocks(&["one", "", "three"]), b"stream: OK\0").await;
    assert_eq!(heard, b"zINSTREAM\0\0\0\0\x03one\0\0\0\x05three\0\0\0\0");
    assert_eq!(finding.expect("a finding"), Finding::Clean);
}

#[tokio::test]
async fn each_answer_of_clamd_has_its_meaning() {
    let infected = |name: &str| Some(Finding::Infected(name.to_owned()));
    for (answer, expected, is_final) in [
        (&b"stream: OK\0"[..], Some(Finding::Clean), true),
        (b"stream: OK\n", Some(Finding::Clean), true),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", infected("Win.Test.EICAR_HDB-1"), true),
        (b"stream: \xFF\x07 FOUND\0", infected("??"), true),
        (b"INSTREAM size limit exceeded. ERROR\0", None, true),
        (b"", None, false),
        (b"something else\0", None, false),
    ] {
        let (_, finding) = converse(blocks(&["x"]), answer).await;
        match (finding, expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected),
            (Err(error), None) => assert_eq!(matches!(error, ScannerError::Refused), is_final, "{error}"),
            (found, _) => panic!("{}: {found:?}", String::from_utf8_lossy(answer)),
        }
    }
}

#[tokio::test]
async fn bytes_that_cannot_be_read_are_not_taken_for_the_end() {
    let broken = vec![Ok(Bytes::from_static(b"x")), Err(io::Error::other("gone"))];
    let (_, finding) = converse(broken, b"stream: OK\0").await;
    assert!(matches!(finding, Err(ScannerError::Bytes(_))), "{finding:?}");
}

#[tokio::test]
async fn a_scanner_that_is_not_there_is_asked_again_later() {
    let clamd = Scanner::Clamd(Clamd::new("/nowhere/clamd.sock", Duration::from_secs(1)));
    let finding = clamd.scan(stream::empty().boxed(), 0).await;
    assert!(matches!(finding, Err(ScannerError::Unreachable)), "{finding:?}");
}
