//! PATCH and HEAD in good order and in bad: `dex-upload` T-02 to T-06, T-35, T-36; `security` T-01 to T-03, T-05,
//! T-07.

use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::random::Random;
use crate::support::tus::{self, append, create, head, offset_of, patch, request};
use crate::support::{rows, wait};

/// As long may a client be silent while another wants its upload.
const SILENCE: Duration = Duration::from_secs(2);

/// T-06
#[test]
fn chunks_of_any_size_make_the_file() {
    for_each_database(&[], |gateway| {
        let mut random = Random::new(7);
        let content = random.bytes(700_001);
        let upload = create(&gateway, content.len() as u64);
        let mut at = 0;
        while at < content.len() {
            let end = content.len().min(at + 1 + usize::try_from(random.below(90_000)).expect("small"));
            append(&gateway, &upload.path, at as u64, &content[at..end]);
            assert_eq!(head(&gateway, &upload.path), end as u64);
            at = end;
        }
        gateway.wait_delivered(&upload.id, 1);
        assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
    });
}

/// T-05
#[test]
fn a_stale_offset_is_409_and_keeps_the_bytes() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 9);
    append(&gateway, &upload.path, 0, b"abc");
    let mut connection = gateway.connect().expect("it listens");
    for offset in [0, 2, 4, 9, 1_000_000] {
        let answer = connection.exchange(&patch(&upload.path, offset).body("xyz"));
        let answer = match answer {
            Ok(answer) => answer,
            // Unread bytes may cost the connection, not the next request.
            Err(_) => gateway.ask(&patch(&upload.path, offset).body("xyz")),
        };
        assert_eq!(answer.status, 409, "{offset}: {}", answer.text());
        connection = gateway.connect().expect("it listens");
        assert_eq!(head(&gateway, &upload.path), 3);
    }
    append(&gateway, &upload.path, 3, b"defghi");
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abcdefghi");
}

/// T-05
#[test]
fn an_offset_that_is_no_number_is_400() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 3);
    for offset in [None, Some("-1"), Some("1e0"), Some("zero"), Some(""), Some("18446744073709551616")] {
        let mut patch =
            request("PATCH", &upload.path).header("Content-Type", "application/offset+octet-stream");
        if let Some(offset) = offset {
            patch = patch.header("Upload-Offset", offset);
        }
        gateway.ask(&patch.body("abc")).expect(400);
    }
    assert_eq!(head(&gateway, &upload.path), 0);
}

/// T-04
#[test]
fn another_content_type_is_415() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 3);
    for kind in [None, Some("application/octet-stream"), Some("text/plain"), Some("application/json")] {
        let mut patch = request("PATCH", &upload.path).header("Upload-Offset", "0");
        if let Some(kind) = kind {
            patch = patch.header("Content-Type", kind);
        }
        gateway.ask(&patch.body("abc")).expect(415);
    }
    assert_eq!(head(&gateway, &upload.path), 0);
}

/// T-06
#[test]
fn a_declared_body_beyond_the_length_is_413_before_it_is_read() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 5);
    append(&gateway, &upload.path, 0, b"abc");
    let mut connection = gateway.connect().expect("it listens");
    connection.begin(&patch(&upload.path, 3).header("Content-Length", "1000")).expect("a head goes out");
    assert_eq!(connection.answer(false).expect("it answers without the body").status, 413);
    assert_eq!(head(&gateway, &upload.path), 3);
    append(&gateway, &upload.path, 3, b"de");
    gateway.wait_delivered(&upload.id, 1);
}

/// T-06
#[test]
fn a_chunked_body_beyond_the_length_is_413_and_never_grows_the_upload() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 5);
    let mut connection = gateway.connect().expect("it listens");
    let head_only = patch(&upload.path, 0).header("Transfer-Encoding", "chunked");
    connection.begin(&head_only).expect("a head goes out");
    connection.send_chunk(b"abc").expect("a chunk goes out");
    connection.send_chunk(b"defg").expect("a chunk goes out");
    assert_eq!(connection.answer(false).expect("it answers before the end").status, 413);
    let offset = head(&gateway, &upload.path);
    assert!(offset <= 5, "{offset}");
    append(&gateway, &upload.path, offset, &b"abcde"[usize::try_from(offset).expect("small")..]);
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abcde");
}

/// T-06
#[test]
fn an_empty_patch_moves_nothing() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 3);
    append(&gateway, &upload.path, 0, b"");
    append(&gateway, &upload.path, 0, b"ab");
    append(&gateway, &upload.path, 2, b"");
    assert_eq!(head(&gateway, &upload.path), 2);
    assert_eq!(rows::count(&gateway, "delivery"), 0);
}

/// T-36
#[test]
fn a_patch_on_a_complete_upload_is_204_and_no_second_delivery() {
    for_each_database(&[], |gateway| {
        let upload = tus::upload(&gateway, tus::MANIFEST, b"abc");
        for _ in 0..3 {
            append(&gateway, &upload.path, 3, b"");
        }
        gateway.ask(&patch(&upload.path, 0).body("abc")).expect(409);
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(rows::count(&gateway, "delivery"), 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), b"abc");
    });
}

/// T-02, W-25
#[test]
fn head_answers_while_a_patch_hangs_and_does_not_disturb_it() {
    let gateway = Gateway::start();
    let upload = create(&gateway, 200_000);
    let mut hanging = gateway.connect().expect("it listens");
    hanging.begin(&patch(&upload.path, 0).header("Content-Length", "200000")).expect("a head goes out");
    hanging.send(&vec![b'a'; 100_000]).expect("half goes out");
    // That it answers at all while the PATCH is open is the point (dex-upload W-25).
    let mut last = 0;
    for _ in 0..5 {
        let offset = head(&gateway, &upload.path);
        assert!(offset >= last && offset <= 100_000, "{offset} after {last}");
        last = offset;
    }
    gateway.info(&upload.id);
    hanging.send(&vec![b'b'; 100_000]).expect("the other half goes out");
    let answer = hanging.answer(false).expect("the PATCH is answered").expect(204);
    assert_eq!(offset_of(&answer), 200_000);
    gateway.wait_delivered(&upload.id, 1);
    assert!(gateway.delivered_bytes(&upload.id) == [vec![b'a'; 100_000], vec![b'b'; 100_000]].concat());
}

/// T-35
#[test]
fn of_two_patches_at_once_one_wins_and_nothing_mixes() {
    for_each_database(&[], |gateway| {
        const LENGTH: usize = 400_000;
        let upload = create(&gateway, LENGTH as u64);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let racers: Vec<_> = (b'a'..=b't')
                .map(|letter| {
                    let (gateway, path) = (&gateway, upload.path.as_str());
                    // A loser's connection may be cut while it still sends: that is a refusal too.
                    let race = move || gateway.try_ask(&patch(path, 0).body(vec![letter; LENGTH]));
                    scope.spawn(move || race().map_or(409, |answer| answer.status))
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().expect("a racer ends")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| *status == 204 || *status >= 400), "{statuses:?}");
        gateway.wait_delivered(&upload.id, 1);
        let bytes = gateway.delivered_bytes(&upload.id);
        assert!(bytes.len() == LENGTH && bytes.iter().all(|byte| *byte == bytes[0]), "two bodies were mixed");
    });
}

/// T-35
#[test]
fn t_35_a_patch_that_moves_is_not_stopped_by_another() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__CHECKPOINT_INTERVAL_MS", "20")]);
    // On a machine that stands still for as long as nobody may hold an upload in silence, giving way is right.
    let (upload, statuses) = wait::until("a round in which one moves", || {
        let upload = create(&gateway, 6);
        let mut moving = gateway.connect().expect("it listens");
        moving.begin(&patch(&upload.path, 0).header("Content-Length", "6")).expect("a head goes out");
        let begun = Instant::now();
        moving.send(b"abc").expect("half goes out");
        wait::until("half to be kept", || (head(&gateway, &upload.path) == 3).then_some(()));
        let mut newcomer = gateway.connect().expect("it listens");
        newcomer.begin(&patch(&upload.path, 3).header("Content-Length", "0")).expect("a head goes out");
        moving.send(b"def").expect("the rest goes out");
        let statuses = [&mut moving, &mut newcomer].map(|one| one.answer(false).expect("it answers").status);
        (begun.elapsed() < SILENCE).then_some((upload, statuses))
    });
    assert_eq!(statuses, [204, 409]);
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abcdef");
}

/// T-35, W-08
#[test]
fn a_holder_whose_client_is_silent_gives_way() {
    // Of the three bytes that come at once two are acknowledged, which shows that the gateway has the third.
    let gateway = Gateway::with(&[
        ("CDEX_UPLOAD__CHECKPOINT_INTERVAL_MS", "600000"),
        ("CDEX_UPLOAD__CHECKPOINT_BYTES", "2"),
    ]);
    let upload = create(&gateway, 6);
    let mut silent = gateway.connect().expect("it listens");
    let half = format!(
        "PATCH {} HTTP/1.1\r\nHost: gateway.test\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: 6\r\n\r\nabc",
        upload.path
    );
    silent.send(half.as_bytes()).expect("half goes out");
    wait::until("a part to be acknowledged", || (head(&gateway, &upload.path) == 2).then_some(()));
    // The upload stays usable although that connection never ends; 423 means: soon (dex-upload T-35). Whoever comes at
    // the old offset learns that the holder has saved what it had.
    wait::until("the upload to be taken over", || {
        let answer = gateway.try_ask(&patch(&upload.path, 2).body("zzzz")).ok()?;
        assert!(matches!(answer.status, 409 | 423), "{}: {}", answer.status, answer.text());
        (answer.status == 409).then_some(())
    });
    assert_eq!(head(&gateway, &upload.path), 3);
    append(&gateway, &upload.path, 3, b"zzz");
    gateway.wait_delivered(&upload.id, 1);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abczzz");
    drop(silent);
}
