//! The IETF draft "Resumable Uploads for HTTP" on the same resources (`dex-upload` §2.7), versions 3 to 6.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::rows;
use crate::support::tus::{self, Created, MANIFEST, created, metadata, offset_of};

/// Version, the word for the end, and what it says of an end and of a piece.
const VERSIONS: [(&str, &str, &str, &str); 4] = [
    ("3", "Upload-Incomplete", "?0", "?1"),
    ("4", "Upload-Complete", "?1", "?0"),
    ("5", "Upload-Complete", "?1", "?0"),
    ("6", "Upload-Complete", "?1", "?0"),
];

#[test]
fn a_whole_upload_in_one_request_is_complete_at_once() {
    for_each_database(&[], |gateway| {
        for (version, word, end, _) in VERSIONS {
            let answer = gateway.ask(&create(version, (word, end)).body("abc"));
            told(&answer, version, (word, end), 3);
            assert_eq!(answer.header("Tus-Resumable"), None);
            let upload = created(&answer);
            gateway.wait_delivered(&upload.id, 1);
            assert_eq!(gateway.delivered_bytes(&upload.id), b"abc");
            let manifest = &gateway.info(&upload.id)["manifest"];
            assert_eq!(manifest["filetype"], "text/plain");
            assert_eq!(manifest["received_filename"], "note.txt");
        }
        assert_eq!(rows::count(&gateway, "delivery"), 4);
    });
}

#[test]
fn an_upload_goes_on_from_its_offset_until_a_request_says_that_it_is_the_last() {
    for_each_database(&[], |gateway| {
        for (version, word, end, piece) in VERSIONS {
            let answer = gateway.ask(&create(version, (word, piece)).body("abc")).expect(201);
            told(&answer, version, (word, piece), 3);
            let upload = created(&answer);
            let looked = gateway.ask(&request("HEAD", &upload.path, version)).expect(204);
            told(&looked, version, (word, piece), 3);
            assert_eq!(looked.header("Cache-Control"), Some("no-store"));
            let stale = gateway.ask(&append(&upload, version, 2, (word, piece)).body("x")).expect(409);
            assert_eq!(stale.header("Upload-Offset"), Some("3"), "the draft tells the offset that would do");
            let more = gateway.ask(&append(&upload, version, 3, (word, piece)).body("def")).expect(204);
            told(&more, version, (word, piece), 6);
            let last = gateway.ask(&append(&upload, version, 6, (word, end)).body("ghi")).expect(204);
            told(&last, version, (word, end), 9);
            let looked = gateway.ask(&request("HEAD", &upload.path, version)).expect(204);
            told(&looked, version, (word, end), 9);
            gateway.wait_delivered(&upload.id, 1);
            assert_eq!(gateway.delivered_bytes(&upload.id), b"abcdefghi");
        }
    });
}

#[test]
fn the_end_of_a_chunked_body_is_the_end_of_the_upload() {
    let gateway = Gateway::start();
    for (version, word, end, piece) in VERSIONS {
        let chunked = |request: &Request, chunks: [&[u8]; 2]| {
            let mut connection = gateway.connect().expect("it listens");
            connection
                .begin(&request.clone().header("Transfer-Encoding", "chunked"))
                .expect("a head goes out");
            for chunk in chunks {
                connection.send_chunk(chunk).expect("a chunk goes out");
            }
            connection.send_chunk(b"").expect("the end goes out");
            connection.answer(false).expect("it answers")
        };
        let whole = created(&chunked(&create(version, (word, end)), [b"ab", b"c"]).expect(201));
        let begun = created(&chunked(&create(version, (word, piece)), [b"ab", b"c"]).expect(201));
        let last = chunked(&append(&begun, version, 3, (word, end)), [b"de", b"f"]).expect(204);
        told(&last, version, (word, end), 6);
        for (upload, content) in [(whole, b"abc".as_slice()), (begun, b"abcdef")] {
            gateway.wait_delivered(&upload.id, 1);
            assert_eq!(gateway.delivered_bytes(&upload.id), content);
        }
    }
}

#[test]
fn version_six_tells_lengths_and_limits_and_wants_its_media_type() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__MAX_SIZE_BYTES", "10")]);
    let limit = Some("max-size=10, min-size=0");
    let options = gateway.ask(&Request::new("OPTIONS", "/files").header("Upload-Draft-Interop-Version", "6"));
    assert_eq!(options.header("Upload-Limit"), limit);
    let word = ("Upload-Complete", "?0");
    let answer = gateway.ask(&create("6", word).header("Upload-Length", "6").body("abc")).expect(201);
    assert_eq!(answer.header("Upload-Limit"), limit);
    let upload = created(&answer);
    let looked = gateway.ask(&request("HEAD", &upload.path, "6")).expect(204);
    assert_eq!((looked.header("Upload-Length"), looked.header("Upload-Limit")), (Some("6"), limit));
    let other =
        request("PATCH", &upload.path, "6").header("Upload-Offset", "3").header("Upload-Complete", "?1");
    gateway.ask(&other.header("Content-Type", "application/offset+octet-stream").body("def")).expect(415);
    // It says that it is the end, and is not where the length says.
    let end = ("Upload-Complete", "?1");
    gateway.ask(&append(&upload, "6", 3, end).body("de")).expect(400);
    assert_eq!(offset_of(&gateway.ask(&request("HEAD", &upload.path, "6"))), 3);
    gateway.ask(&append(&upload, "6", 3, end).body("def")).expect(204);
    gateway.wait_delivered(&upload.id, 1);
    // Lengths that contradict each other, and one that is too long.
    gateway.ask(&create("6", end).header("Upload-Length", "6").body("abc")).expect(400);
    gateway.ask(&create("6", end).body("eleven byte")).expect(413);
    gateway.ask(&create("6", word).header("Upload-Length", "11").body("abc")).expect(413);
}

#[test]
fn what_the_draft_forbids_is_refused() {
    let gateway = Gateway::start();
    gateway.ask(&create("5", ("Upload-Complete", "yes")).body("abc")).expect(400);
    gateway.ask(&request("POST", "/files", "5").header("Upload-Complete", "?1").body("abc")).expect(400);
    for version in ["2", "7", "x", ""] {
        gateway.ask(&create(version, ("Upload-Complete", "?1")).body("abc")).expect(412);
    }
    assert_eq!(rows::count(&gateway, "upload"), 0);
    let upload = created(&gateway.ask(&create("5", ("Upload-Complete", "?0")).body("abc")));
    gateway.ask(&request("HEAD", &upload.path, "5").header("Upload-Offset", "3")).expect(400);
    gateway.ask(&request("DELETE", &upload.path, "5")).expect(204);
    gateway.ask(&request("HEAD", &upload.path, "5")).expect(410);
}

/// CDC's own page sends both; then it is tus (`dex-upload` §2.7, Precedence).
#[test]
fn tus_resumable_wins_where_both_are_sent() {
    let gateway = Gateway::start();
    let both = |request: Request| {
        request.header("Upload-Draft-Interop-Version", "5").header("Upload-Complete", "?1")
    };
    let post = both(tus::creation("/files", 6, &metadata(MANIFEST)));
    let answer = gateway.ask(&post).expect(201);
    assert_eq!(answer.header("Tus-Resumable"), Some("1.0.0"));
    assert_eq!(answer.header("Upload-Draft-Interop-Version"), None);
    let upload = created(&answer);
    let first = gateway.ask(&both(tus::patch(&upload.path, 0)).body("abc")).expect(204);
    assert_eq!((offset_of(&first), first.header("Upload-Complete")), (3, None));
    gateway.ask(&both(tus::patch(&upload.path, 3)).body("def")).expect(204);
    gateway.wait_delivered(&upload.id, 1);
}

/// One resource, whichever words are used for it.
#[test]
fn an_upload_that_was_begun_in_one_dialect_is_finished_in_the_other() {
    let gateway = Gateway::start();
    let begun = created(&gateway.ask(&create("5", ("Upload-Complete", "?0")).body("abc")));
    let looked = gateway.ask(&tus::request("HEAD", &begun.path)).expect(200);
    assert_eq!((offset_of(&looked), looked.header("Upload-Defer-Length")), (3, Some("1")));
    gateway.ask(&tus::patch(&begun.path, 3).header("Upload-Length", "6").body("def")).expect(204);
    gateway.wait_delivered(&begun.id, 1);
    let begun = tus::create(&gateway, 6);
    tus::append(&gateway, &begun.path, 0, b"abc");
    gateway.ask(&append(&begun, "4", 3, ("Upload-Complete", "?1")).body("def")).expect(204);
    gateway.wait_delivered(&begun.id, 1);
}

fn request(method: &str, path: &str, version: &str) -> Request {
    Request::new(method, path).header("Upload-Draft-Interop-Version", version)
}

fn create(version: &str, (word, value): (&str, &str)) -> Request {
    request("POST", "/upload/files", version)
        .header(word, value)
        .header("Content-Type", "text/plain")
        .header("Upload-Metadata", &metadata(MANIFEST))
}

fn append(upload: &Created, version: &str, offset: u64, (word, value): (&str, &str)) -> Request {
    let kind = if version == "6" { "application/partial-upload" } else { "application/octet-stream" };
    request("PATCH", &upload.path, version)
        .header("Upload-Offset", &offset.to_string())
        .header(word, value)
        .header("Content-Type", kind)
}

/// What every answer says.
#[track_caller]
fn told(answer: &Answer, version: &str, (word, value): (&str, &str), offset: u64) {
    assert!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.text());
    assert_eq!(answer.header("Upload-Draft-Interop-Version"), Some(version));
    assert_eq!(answer.header(word), Some(value), "version {version}");
    assert_eq!(offset_of(answer), offset);
}
