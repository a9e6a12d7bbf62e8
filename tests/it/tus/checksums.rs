//! checksum and checksum-trailer: `dex-upload` T-25 to T-27.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::tus::{self, append, create, created, head, offset_of, patch, request};
use crate::support::{rows, wait};

/// The checksums of `abc`.
const OF_ABC: [&str; 5] = [
    "sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
    "sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    "sha512 3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
    "md5 kAFQmDzST7DWlj99KOF/cg==",
    "crc32 NSRBwg==",
];

/// T-25
#[test]
fn options_lists_the_algorithms_and_each_is_taken() {
    for_each_database(&[], |gateway| {
        let options = gateway.ask(&Request::new("OPTIONS", "/files"));
        let algorithms = options.header("Tus-Checksum-Algorithm").unwrap_or_default();
        let extensions = options.header("Tus-Extension").unwrap_or_default();
        for extension in ["checksum", "checksum-trailer"] {
            assert!(extensions.split(',').any(|known| known == extension), "{extensions}");
        }
        assert_eq!(algorithms.split(',').count(), OF_ABC.len());
        for checksum in OF_ABC {
            let name = checksum.split(' ').next().unwrap_or_default();
            assert!(algorithms.split(',').any(|known| known == name), "{name} in {algorithms}");
            let upload = create(&gateway, 3);
            let answer = gateway.ask(&patch(&upload.path, 0).header("Upload-Checksum", checksum).body("abc"));
            assert_eq!(offset_of(&answer.expect(204)), 3);
            gateway.wait_delivered(&upload.id, 1);
        }
    });
}

/// T-26
#[test]
fn a_body_that_does_not_agree_is_460_and_leaves_the_offset() {
    for_each_database(&[], |gateway| {
        let upload = create(&gateway, 6);
        append(&gateway, &upload.path, 0, b"xyz");
        for checksum in OF_ABC {
            let wrong = patch(&upload.path, 3).header("Upload-Checksum", checksum).body("abd");
            gateway.ask(&wrong).expect(460);
            assert_eq!(head(&gateway, &upload.path), 3);
        }
        let cases = [
            "sha3 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "sha1",
            "sha1 ????",
            "sha1 qQ==",
            "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
        ];
        for malformed in cases {
            let request = patch(&upload.path, 3).header("Upload-Checksum", malformed).body("abc");
            gateway.ask(&request).expect(400);
            assert_eq!(head(&gateway, &upload.path), 3);
        }
        gateway.ask(&patch(&upload.path, 3).header("Upload-Checksum", OF_ABC[0]).body("abc")).expect(204);
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), b"xyzabc");
    });
}

/// T-26: what arrived of it agrees with nothing, so not even a part is acknowledged.
#[test]
fn a_body_with_a_checksum_that_breaks_off_counts_for_nothing() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__CHECKPOINT_BYTES", "1000")]);
    let upload = create(&gateway, 100_000);
    let mut connection = gateway.connect().expect("it listens");
    let begun =
        patch(&upload.path, 0).header("Upload-Checksum", OF_ABC[0]).header("Content-Length", "100000");
    connection.begin(&begun).expect("a head goes out");
    connection.send(&vec![b'a'; 60_000]).expect("a part goes out");
    connection.finish_sending();
    let _ = connection.any_answer(false);
    wait::until("the broken request to let go", || {
        let answer = gateway.try_ask(&patch(&upload.path, 0).body(vec![b'b'; 100_000])).ok()?;
        assert!(matches!(answer.status, 204 | 423), "{}", answer.status);
        (answer.status == 204).then_some(())
    });
    gateway.wait_delivered(&upload.id, 1);
    assert!(gateway.delivered_bytes(&upload.id) == vec![b'b'; 100_000]);
}

/// T-26: also across checkpoints.
#[test]
fn a_long_body_with_a_checksum_is_acknowledged_at_its_end() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__CHECKPOINT_BYTES", "1000")]);
    let content = vec![b'a'; 1_000_000];
    let upload = create(&gateway, 1_000_000);
    let wrong = patch(&upload.path, 0).header("Upload-Checksum", OF_ABC[1]).body(content.clone());
    gateway.ask(&wrong).expect(460);
    assert_eq!(head(&gateway, &upload.path), 0);
    let right = patch(&upload.path, 0).header("Upload-Checksum", "sha1 NKqXPNTE2qT2Husr260nMWU0AW8=");
    gateway.ask(&right.body(content.clone())).expect(204);
    gateway.wait_delivered(&upload.id, 1);
    assert!(gateway.delivered_bytes(&upload.id) == content);
}

/// T-26: on a creation the upload is there, without bytes.
#[test]
fn a_creation_whose_body_does_not_agree_is_460_and_can_be_gone_on_with() {
    let gateway = Gateway::start();
    let creation = |checksum: &str| {
        let post = request("POST", "/upload/files")
            .header("Upload-Length", "3")
            .header("Upload-Metadata", &tus::metadata(tus::MANIFEST))
            .header("Content-Type", "application/offset+octet-stream");
        gateway.ask(&post.header("Upload-Checksum", checksum).body("abc"))
    };
    creation("sha3 AAAA").expect(400);
    assert_eq!(rows::count(&gateway, "upload"), 0);
    let whole = creation(OF_ABC[2]).expect(201);
    assert_eq!(offset_of(&whole), 3);
    let refused = creation("crc32 AAAAAA==").expect(460);
    assert_eq!(offset_of(&refused), 0);
    let path = refused.header("Location").expect("the upload exists").to_owned();
    append(&gateway, &path, 0, b"abc");
    for upload in [created(&whole).id, path.rsplit('/').next().unwrap_or_default().to_owned()] {
        gateway.wait_delivered(&upload, 1);
    }
}

/// T-27
#[test]
fn a_checksum_may_follow_a_chunked_body() {
    let gateway = Gateway::start();
    for checksum in OF_ABC {
        let upload = create(&gateway, 3);
        assert_eq!(
            trailed(&gateway, &upload.path, b"abd", &format!("Upload-Checksum: {checksum}\r\n")).status,
            460
        );
        assert_eq!(head(&gateway, &upload.path), 0);
        // What was announced and never came, or says nothing, agrees with nothing.
        for trailer in ["", "X-Other: 1\r\n", "Upload-Checksum: sha1 ????\r\n"] {
            assert_eq!(trailed(&gateway, &upload.path, b"abc", trailer).status, 400, "{trailer}");
            assert_eq!(head(&gateway, &upload.path), 0);
        }
        let answer = trailed(&gateway, &upload.path, b"abc", &format!("upload-checksum: {checksum}\r\n"));
        assert_eq!(offset_of(&answer.expect(204)), 3);
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), b"abc");
    }
}

/// A PATCH of the whole, in two chunks and with a trailer.
fn trailed(gateway: &Gateway, path: &str, content: &[u8], trailer: &str) -> Answer {
    let mut connection = gateway.connect().expect("it listens");
    let head = patch(path, 0).header("Transfer-Encoding", "chunked").header("Trailer", "Upload-Checksum");
    connection.begin(&head).expect("a head goes out");
    for chunk in content.chunks(2) {
        connection.send_chunk(chunk).expect("a chunk goes out");
    }
    connection.send(format!("0\r\n{trailer}\r\n").as_bytes()).expect("the end goes out");
    connection.answer(false).expect("it answers")
}
