//! Connections that break: what arrived is kept and acknowledged bytes are never lost (`dex-upload` T-07, T-10,
//! T-22; `security` T-10, R-1, R-2).

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::random::Random;
use crate::support::tus::{self, append, create, head, metadata, patch, request};
use crate::support::{rows, wait};

/// T-07
#[test]
fn a_broken_body_keeps_its_prefix() {
    const BLOCK: usize = 64 * 1024;
    let content = Random::new(11).bytes(300_000);
    for_each_database(&[], |gateway| {
        for cut in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 250_000, content.len() - 1] {
            let upload = create(&gateway, content.len() as u64);
            let mut connection = gateway.connect().expect("it listens");
            let length = content.len().to_string();
            connection
                .begin(&patch(&upload.path, 0).header("Content-Length", &length))
                .expect("a head goes out");
            connection.send(&content[..cut]).expect("the prefix goes out");
            connection.finish_sending();
            // An answer or a close: the broken request is over, and cannot come after the one that resumes.
            let _ = connection.any_answer(false);
            let offset = wait::until("the prefix to be kept", || {
                let offset = head(&gateway, &upload.path);
                assert!(offset <= cut as u64, "{offset} of {cut} bytes");
                (offset == cut as u64).then_some(offset)
            });
            finish_from(&gateway, &upload, &content, offset);
        }
    });
}

/// T-10, W-08
#[test]
fn a_client_that_falls_silent_is_given_up_and_its_bytes_are_kept() {
    let gateway = Gateway::with(&[("CDEX_SERVER__IDLE_TIMEOUT_SECS", "1")]);
    let upload = create(&gateway, 10);
    let mut connection = gateway.connect().expect("it listens");
    connection.begin(&patch(&upload.path, 0).header("Content-Length", "10")).expect("a head goes out");
    connection.send(b"abcd").expect("a part goes out");
    connection.answer(false).expect("the gateway does not wait for ever").expect(503);
    assert!(connection.answer(false).is_err(), "and closes the connection");
    finish_from(&gateway, &upload, b"abcdefghij", 4);
}

/// T-07
#[test]
fn a_broken_chunked_body_keeps_its_prefix() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 10);
    let mut connection = gateway.connect().expect("it listens");
    connection
        .begin(&patch(&upload.path, 0).header("Transfer-Encoding", "chunked"))
        .expect("a head goes out");
    connection.send_chunk(b"abcd").expect("a chunk goes out");
    // The next chunk promises five bytes and brings two.
    connection.send(b"5\r\nef").expect("half a chunk goes out");
    connection.finish_sending();
    let _ = connection.any_answer(false);
    let offset = wait::until("the prefix to be kept", || {
        let offset = head(&gateway, &upload.path);
        (offset >= 4).then_some(offset)
    });
    assert!(offset <= 6, "{offset}");
    finish_from(&gateway, &upload, b"abcdefghij", offset);
}

/// T-22
#[test]
fn a_client_that_vanishes_in_a_creation_can_find_its_bytes() {
    let gateway = Gateway::start();
    let mut connection = gateway.connect().expect("it listens");
    let post = request("POST", "/upload/files")
        .header("Upload-Length", "100000")
        .header("Upload-Metadata", &metadata(tus::MANIFEST))
        .header("Content-Type", "application/offset+octet-stream")
        .header("Content-Length", "100000");
    connection.begin(&post).expect("a head goes out");
    connection.send(&vec![b'a'; 60_000]).expect("a part goes out");
    connection.finish_sending();
    // Where the answer is lost with the line, the upload is there all the same, and has its bytes.
    let answer = connection.answer(false);
    let id = wait::until("the upload to be there", || rows::texts(&gateway, "SELECT id FROM upload").pop());
    let upload = tus::Created { path: format!("/upload/files/{id}"), id };
    if let Ok(answer) = answer {
        assert_eq!(tus::created(&answer).id, upload.id);
        assert_eq!(tus::offset_of(&answer), 60_000);
    }
    wait::until("the bytes that came to be kept", || {
        let offset = head(&gateway, &upload.path);
        assert!(offset <= 60_000, "{offset}");
        (offset == 60_000).then_some(())
    });
    finish_from(&gateway, &upload, &vec![b'a'; 100_000], 60_000);
    assert_eq!(rows::count(&gateway, "upload"), 1);
}

/// T-07
#[test]
fn killed_in_the_middle_it_has_every_acknowledged_byte() {
    let content = Random::new(13).bytes(500_000);
    for_each_database(&[], |mut gateway| {
        let upload = create(&gateway, content.len() as u64);
        append(&gateway, &upload.path, 0, &content[..200_000]);
        let mut connection = gateway.connect().expect("it listens");
        connection
            .begin(&patch(&upload.path, 200_000).header("Content-Length", "300000"))
            .expect("a head goes out");
        connection.send(&content[200_000..400_000]).expect("a part goes out");
        gateway.kill();
        gateway.launch();
        let offset = head(&gateway, &upload.path);
        assert!((200_000..=400_000).contains(&offset), "{offset}");
        finish_from(&gateway, &upload, &content, offset);
    });
}

/// T-34, W-07
#[test]
fn a_finished_upload_survives_a_kill_right_after_its_last_acknowledgement() {
    for_each_database(&[], |mut gateway| {
        let mut uploads = Vec::new();
        for round in 0..5_u8 {
            let content = vec![round; 50_000];
            uploads.push((tus::upload(&gateway, tus::MANIFEST, &content), content));
            gateway.kill();
            gateway.launch();
        }
        for (upload, content) in &uploads {
            gateway.wait_delivered(&upload.id, 1);
            assert!(gateway.delivered_bytes(&upload.id) == *content);
        }
        assert_eq!(gateway.delivered().len(), uploads.len());
    });
}

/// Sends the rest and compares what is delivered with the whole.
#[track_caller]
fn finish_from(gateway: &Gateway, upload: &tus::Created, content: &[u8], offset: u64) {
    let from = usize::try_from(offset).expect("small");
    append(gateway, &upload.path, offset, &content[from..]);
    gateway.wait_delivered(&upload.id, 1);
    assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
}
