//! concatenation: `dex-upload` T-29 to T-33, T-37, W-06.

use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::random::Random;
use crate::support::tus::{
    self, Created, MANIFEST, append, created, head, manifest_with, metadata, offset_of, patch, request,
};
use crate::support::{rows, wait};

/// T-29, T-37, W-06
#[test]
fn a_part_needs_no_manifest_and_is_neither_delivered_nor_reported() {
    for_each_database(&[], |gateway| {
        let options = gateway.ask(&Request::new("OPTIONS", "/files"));
        let extensions = options.header("Tus-Extension").unwrap_or_default();
        assert!(extensions.split(',').any(|known| known == "concatenation"), "{extensions}");
        assert!(!extensions.contains("concatenation-unfinished"));
        let part = part(&gateway, b"abc");
        let looked = gateway.ask(&request("HEAD", &part.path)).expect(200);
        assert_eq!(looked.header("Upload-Concat"), Some("partial"));
        assert_eq!(offset_of(&looked), 3);
        assert_eq!(looked.header("Upload-Metadata"), None, "it came with none");
        assert!(looked.header("Upload-Expires").is_some(), "nobody keeps a part for ever");
        tus::append(&gateway, &part.path, 3, b"");
        assert_eq!(rows::count(&gateway, "delivery") + rows::count(&gateway, "report"), 0);
        // A manifest that is there must be a good one.
        let bad = metadata(&manifest_with(&[("data_stream_id", "unknown")]));
        gateway.ask(&creation("partial", Some(3), &bad)).expect(400);
        created(&gateway.ask(&creation("partial", Some(3), &metadata(MANIFEST))));
    });
}

/// T-30, T-31, T-33
#[test]
fn parts_become_one_upload_in_their_order_and_can_be_used_again() {
    for_each_database(&[("CDEX_UPLOAD__CHECKPOINT_BYTES", "10000")], |gateway| {
        let content = Random::new(23).bytes(100_001);
        let (first, second) = content.split_at(33_333);
        let (one, two, none) = (part(&gateway, first), part(&gateway, second), part(&gateway, b""));
        let joined = [
            (vec![&one, &two, &none], content.clone()),
            (vec![&two, &one], [second, first].concat()),
            (vec![&none, &one, &one], [first, first].concat()),
            (vec![&none], Vec::new()),
        ];
        for (parts, expected) in joined {
            let field = naming(&gateway, &parts);
            let upload = created(&gateway.ask(&creation(&field, None, &metadata(MANIFEST))));
            gateway.wait_delivered(&upload.id, 1);
            assert!(gateway.delivered_bytes(&upload.id) == expected, "other bytes arrived");
            let looked = gateway.ask(&request("HEAD", &upload.path)).expect(200);
            assert_eq!(looked.header("Upload-Concat"), Some(field.as_str()));
            assert_eq!(offset_of(&looked), expected.len() as u64);
            assert_eq!(looked.header("Upload-Length"), Some(expected.len().to_string().as_str()));
            assert_eq!(gateway.info(&upload.id)["upload_status"]["status"], "Complete");
        }
        assert_eq!(rows::count(&gateway, "delivery"), 4);
        // The final upload stands for itself.
        gateway.ask(&request("DELETE", &one.path)).expect(204);
        gateway.ask(&creation(&naming(&gateway, &[&one]), None, &metadata(MANIFEST))).expect(404);
    });
}

/// T-30
#[test]
fn what_cannot_be_joined_is_refused_and_leaves_nothing() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__MAX_SIZE_BYTES", "10")]);
    let whole = tus::upload(&gateway, MANIFEST, b"abc");
    let (ready, long) = (part(&gateway, b"abcdef"), part(&gateway, b"ghijk"));
    let open = created(&gateway.ask(&creation("partial", Some(3), "")));
    let unknown = Created { id: String::new(), path: format!("/files/{}", uuid::Uuid::new_v4()) };
    let before = rows::count(&gateway, "upload");
    let manifest = metadata(MANIFEST);
    let cases: [(Vec<&Created>, u16); 4] = [
        (vec![&ready, &unknown], 404),
        // One that is a file of its own is no part.
        (vec![&whole], 400),
        (vec![&ready, &open], 400),
        (vec![&ready, &long], 413),
    ];
    for (parts, status) in cases {
        gateway.ask(&creation(&naming(&gateway, &parts), None, &manifest)).expect(status);
    }
    let foreign = format!("final;https://evil.example{}", ready.path);
    for field in ["final", "final;", "final;/files/1", "partial;", "whole", &foreign] {
        gateway.ask(&creation(field, None, &manifest)).expect(400);
    }
    let field = naming(&gateway, &[&ready]);
    gateway.ask(&creation(&field, Some(6), &manifest)).expect(400);
    gateway.ask(&creation(&field, None, &metadata(&manifest_with(&[("data_stream_id", "x")])))).expect(400);
    // The manifest of a part is not that of the whole.
    gateway.ask(&creation(&field, None, "")).expect(400);
    assert_eq!(rows::count(&gateway, "upload"), before);
}

/// T-31, T-32
#[test]
fn a_final_upload_takes_no_bytes() {
    let gateway = Gateway::start();
    let part = part(&gateway, b"abc");
    let field = naming(&gateway, &[&part]);
    let with_body = request("POST", "/upload/files")
        .header("Upload-Concat", &field)
        .header("Upload-Metadata", &metadata(MANIFEST));
    for kind in ["application/offset+octet-stream", "text/plain"] {
        gateway.ask(&with_body.clone().header("Content-Type", kind).body("more")).expect(403);
    }
    let upload = created(&gateway.ask(&creation(&field, None, &metadata(MANIFEST))));
    for offset in [0, 3] {
        gateway.ask(&patch(&upload.path, offset).body("more")).expect(403);
    }
    gateway.wait_delivered(&upload.id, 1);
    gateway.ask(&patch(&upload.path, 3).body("")).expect(403);
    assert_eq!(gateway.delivered_bytes(&upload.id), b"abc");
}

/// T-34 for final uploads: acknowledged, so it will be there.
#[test]
fn a_final_upload_survives_a_kill_at_any_moment_of_its_making() {
    let content = Random::new(29).bytes(3_000_000);
    for_each_database(&[("CDEX_UPLOAD__CHECKPOINT_BYTES", "100000")], |mut gateway| {
        let parts: Vec<Created> = content.chunks(700_000).map(|piece| part(&gateway, piece)).collect();
        let mut uploads = Vec::new();
        for _ in 0..5 {
            let field = naming(&gateway, &parts.iter().collect::<Vec<_>>());
            uploads.push(created(&gateway.ask(&creation(&field, None, &metadata(MANIFEST)))));
            gateway.kill();
            gateway.launch();
        }
        for upload in &uploads {
            let looked = gateway.ask(&request("HEAD", &upload.path)).expect(200);
            let offset = looked.header("Upload-Offset");
            assert!(offset.is_none_or(|offset| offset == content.len().to_string()), "{offset:?}");
            gateway.wait_delivered(&upload.id, 1);
            assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
        }
        assert_eq!(gateway.delivered().len(), uploads.len());
    });
}

/// T-29, T-30: as tus-js-client sends them.
#[test]
fn parts_may_come_side_by_side_with_their_bytes_in_the_creation() {
    let gateway = Gateway::start();
    let content = Random::new(31).bytes(400_000);
    let parts: Vec<Created> = std::thread::scope(|scope| {
        let senders: Vec<_> = content
            .chunks(100_000)
            .map(|piece| {
                let gateway = &gateway;
                scope.spawn(move || {
                    let post = request("POST", "/upload/files")
                        .header("Upload-Concat", "partial")
                        .header("Upload-Length", &piece.len().to_string())
                        .header("Content-Type", "application/offset+octet-stream");
                    created(&gateway.ask(&post.body(piece)))
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender ends")).collect()
    });
    let field = naming(&gateway, &parts.iter().collect::<Vec<_>>());
    let upload = created(&gateway.ask(&creation(&field, None, &metadata(MANIFEST))));
    gateway.wait_delivered(&upload.id, 1);
    assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
    wait::until("the parts to be all that is left", || {
        (head(&gateway, &parts[0].path) == 100_000).then_some(())
    });
}

/// A part with these bytes.
fn part(gateway: &Gateway, content: &[u8]) -> Created {
    let answer: Answer = gateway.ask(&creation("partial", Some(content.len()), ""));
    let part = created(&answer);
    append(gateway, &part.path, 0, content);
    part
}

/// The field that names these parts, by URLs of every form.
fn naming(gateway: &Gateway, parts: &[&Created]) -> String {
    let urls = parts.iter().enumerate().map(|(index, part)| match index % 2 {
        0 => part.path.clone(),
        _ => format!("{}{}", gateway.url(), part.path),
    });
    format!("final;{}", urls.collect::<Vec<_>>().join(" "))
}

fn creation(concat: &str, length: Option<usize>, metadata: &str) -> Request {
    let mut post =
        request("POST", "/upload/files").header("Upload-Concat", concat).header("Content-Length", "0");
    if let Some(length) = length {
        post = post.header("Upload-Length", &length.to_string());
    }
    if metadata.is_empty() { post } else { post.header("Upload-Metadata", metadata) }
}
