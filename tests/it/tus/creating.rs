//! OPTIONS and creation: `dex-upload` T-01, T-08, T-09, T-11 to T-15, T-20 to T-22; `security` T-04, T-06, T-11,
//! T-14, T-16, T-17.

use crate::support::content::base64;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::tus::{
    self, MANIFEST, created, creation, head, manifest_with, metadata, offset_of, patch, request,
};
use crate::support::{rows, wait};

/// Every path under which uploads are created; each upload answers below it.
const DOORS: [&str; 5] = ["/upload/files", "/upload/files/", "/files", "/files/", "/upload"];

/// T-08, T-11, T-20
#[test]
fn options_tells_version_and_extensions_to_anyone() {
    let gateway = Gateway::start();
    for path in ["/upload/files", "/files", "/upload"] {
        for version in [None, Some("0.2.2")] {
            let mut options = Request::new("OPTIONS", path);
            if let Some(version) = version {
                options = options.header("Tus-Resumable", version);
            }
            let answer = gateway.ask(&options);
            assert!(matches!(answer.status, 200 | 204), "{path}: {}", answer.status);
            assert_eq!(answer.header("Tus-Version"), Some("1.0.0"));
            let extensions = answer.header("Tus-Extension").unwrap_or_default();
            for extension in ["creation", "creation-with-upload"] {
                assert!(extensions.split(',').any(|name| name.trim() == extension), "{extensions}");
            }
        }
    }
}

/// T-02, T-11
#[test]
fn every_door_creates_appends_and_tells_the_offset() {
    let gateway = Gateway::start();
    for door in DOORS {
        let upload = created(&gateway.ask(&creation(door, 6, &metadata(MANIFEST))));
        let beneath = format!("{}/{}", door.trim_end_matches('/'), upload.id);
        for path in [&beneath, &upload.path] {
            assert_eq!(head(&gateway, path), 0, "{path}");
        }
        tus::append(&gateway, &beneath, 0, b"abc");
        assert_eq!(head(&gateway, &upload.path), 3);
        tus::append(&gateway, &upload.path, 3, b"def");
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), b"abcdef");
    }
}

/// T-01
#[test]
fn a_request_of_another_version_is_412_and_does_nothing() {
    let gateway = Gateway::start();
    let upload = tus::create(&gateway, 3);
    let plain = |method, path: &str, version: Option<&str>| {
        let mut request = Request::new(method, path)
            .header("Upload-Length", "3")
            .header("Upload-Metadata", &metadata(MANIFEST))
            .header("Upload-Offset", "0")
            .header("Content-Type", "application/offset+octet-stream");
        if let Some(version) = version {
            request = request.header("Tus-Resumable", version);
        }
        request.body("abc")
    };
    for version in [None, Some("0.2.2"), Some("1.0.1"), Some("")] {
        for request in [plain("POST", "/upload/files", version), plain("PATCH", &upload.path, version)] {
            let answer = gateway.ask(&request).expect(412);
            assert_eq!(answer.header("Tus-Version"), Some("1.0.0"), "tus 1.0.0, Tus-Version");
        }
    }
    assert_eq!(head(&gateway, &upload.path), 0);
    assert_eq!(rows::count(&gateway, "upload"), 1);
}

/// T-01
#[test]
fn every_tus_answer_carries_tus_resumable() {
    let gateway = Gateway::start();
    let upload = tus::create(&gateway, 3);
    let unknown = format!("/upload/files/{}", uuid::Uuid::new_v4());
    let answers = [
        gateway.ask(&request("HEAD", &upload.path)),
        gateway.ask(&request("HEAD", &unknown)),
        gateway.ask(&patch(&upload.path, 2).body("abc")),
        gateway.ask(&patch(&upload.path, 0).body("abc")),
        gateway.ask(&creation("/upload/files", 3, "")),
    ];
    for answer in answers {
        assert_eq!(answer.header("Tus-Resumable"), Some("1.0.0"), "{}", answer.status);
    }
}

/// T-12
#[test]
fn wrong_lengths_are_400_and_leave_nothing() {
    let gateway = Gateway::start();
    let lengths: [&[(&str, &str)]; 8] = [
        &[],
        &[("Upload-Length", "-1")],
        &[("Upload-Length", "1e3")],
        &[("Upload-Length", "+5")],
        &[("Upload-Length", "five")],
        &[("Upload-Length", "5 5")],
        &[("Upload-Length", "5"), ("Upload-Length", "6")],
        &[("Upload-Defer-Length", "2")],
    ];
    for headers in lengths {
        let mut post = request("POST", "/upload/files").header("Upload-Metadata", &metadata(MANIFEST));
        for (name, value) in headers {
            post = post.header(name, value);
        }
        gateway.ask(&post.header("Content-Length", "0")).expect(400);
    }
    for huge in ["9223372036854775808", "18446744073709551616", "99999999999999999999999999"] {
        let post = request("POST", "/upload/files")
            .header("Upload-Metadata", &metadata(MANIFEST))
            .header("Upload-Length", huge)
            .header("Content-Length", "0");
        let status = gateway.ask(&post).status;
        assert!(matches!(status, 400 | 413), "{huge}: {status}");
    }
    assert_nothing(&gateway);
}

/// T-12
#[test]
fn a_length_both_given_and_deferred_is_400() {
    let gateway = Gateway::start();
    let post = creation("/upload/files", 5, &metadata(MANIFEST)).header("Upload-Defer-Length", "1");
    gateway.ask(&post).expect(400);
    assert_nothing(&gateway);
}

/// T-08, T-13, W-38
#[test]
fn a_length_over_the_maximum_is_413() {
    let gateway = Gateway::with(&[("CDEX_UPLOAD__MAX_SIZE_BYTES", "1000000")]);
    let options = gateway.ask(&Request::new("OPTIONS", "/upload/files"));
    assert_eq!(options.header("Tus-Max-Size"), Some("1000000"));
    gateway.ask(&creation("/upload/files", 1_000_001, &metadata(MANIFEST))).expect(413);
    assert_nothing(&gateway);
    created(&gateway.ask(&creation("/upload/files", 1_000_000, &metadata(MANIFEST))));
}

/// T-14
#[test]
fn an_empty_upload_is_complete_at_once_and_delivered_once() {
    for_each_database(&[], |gateway| {
        let upload = tus::create(&gateway, 0);
        assert_eq!(head(&gateway, &upload.path), 0);
        gateway.wait_delivered(&upload.id, 1);
        assert_eq!(gateway.delivered_bytes(&upload.id), b"");
        tus::append(&gateway, &upload.path, 0, b"");
        assert_eq!(rows::count(&gateway, "delivery"), 1);
    });
}

/// T-15
#[test]
fn malformed_metadata_is_400_and_leaves_nothing() {
    let good = metadata(MANIFEST);
    let long = "x".repeat(3_000);
    let cases = [
        format!("{good},a !!!!"),
        format!("{good},a eA=,b eA=="),
        format!("{good},a eA== eA=="),
        format!("{good},sender_id eA=="),
        format!("{good},, "),
        format!("{good},k\u{e9}y eA=="),
        format!("{good},a {}", base64([0xff, 0xfe])),
        format!("{good},a {}", base64(&long)),
        (0..10_000).map(|number| format!("k{number}")).collect::<Vec<_>>().join(","),
    ];
    let gateway = Gateway::start();
    for case in cases {
        let answer = gateway.try_ask(&creation("/upload/files", 3, &case));
        // Too many header bytes are the server's to refuse before tus sees them.
        let status = answer.map_or(431, |answer| answer.status);
        assert!(
            matches!(status, 400 | 431),
            "{status} for {}",
            &case[good.len().min(case.len())..][..40.min(case.len().saturating_sub(good.len()))]
        );
    }
    assert_nothing(&gateway);
}

/// T-15
#[test]
fn an_empty_value_may_come_without_its_space() {
    let gateway = Gateway::start();
    let with_flag = format!("{},meta_flag", metadata(MANIFEST));
    let upload = created(&gateway.ask(&creation("/upload/files", 1, &with_flag)));
    assert_eq!(gateway.info(&upload.id)["manifest"]["meta_flag"], "");
}

/// T-02, T-15
#[test]
fn head_gives_the_metadata_back() {
    let gateway = Gateway::start();
    let upload = tus::create(&gateway, 3);
    let answer = gateway.ask(&request("HEAD", &upload.path));
    assert_eq!(answer.header("Upload-Length"), Some("3"));
    let told = answer.header("Upload-Metadata").unwrap_or_default();
    let entry = format!("received_filename {}", base64("note.txt"));
    assert!(told.split(',').any(|known| known.trim() == entry), "{told}");
}

#[test]
fn reserved_keys_of_the_client_are_replaced() {
    let gateway = Gateway::start();
    let manifest = manifest_with(&[("upload_id", "mine"), ("dex_ingest_datetime", "1999-01-01T00:00:00Z")]);
    let upload = created(&gateway.ask(&creation("/upload/files", 3, &metadata(&manifest))));
    let kept = &gateway.info(&upload.id)["manifest"];
    assert_eq!(kept["upload_id"], upload.id);
    assert_ne!(kept["dex_ingest_datetime"], "1999-01-01T00:00:00Z");
}

#[test]
fn a_stream_name_is_never_a_path() {
    let gateway = Gateway::start();
    for name in ["../secret", "/etc/passwd", "*", "cdex/../cdex", "cdex\u{0}", ""] {
        let manifest = manifest_with(&[("data_stream_id", name)]);
        gateway.ask(&creation("/upload/files", 3, &metadata(&manifest))).expect(400);
    }
    assert_nothing(&gateway);
}

/// W-09
#[test]
fn location_never_names_a_host_that_the_client_chose() {
    let gateway = Gateway::start();
    let post = creation("/upload/files", 3, &metadata(MANIFEST))
        .header("X-Forwarded-Host", "attacker.example")
        .header("X-Forwarded-Proto", "https")
        .header("Forwarded", "host=attacker.example;proto=https");
    let answer = gateway.ask(&post).expect(201);
    assert!(!answer.header("Location").is_some_and(|location| location.contains("attacker")));

    let public = Gateway::with(&[("CDEX_SERVER__PUBLIC_URL", "https://gateway.example/base")]);
    let answer = public.ask(&creation("/upload/files", 3, &metadata(MANIFEST))).expect(201);
    let location = answer.header("Location").unwrap_or_default();
    assert!(location.starts_with('/') || location.starts_with("https://gateway.example/base/"), "{location}");
}

/// T-20, T-21
#[test]
fn creation_with_upload_keeps_its_body() {
    for_each_database(&[], |gateway| {
        let part = created_with(&gateway, 10, "first").expect(201);
        assert_eq!(offset_of(&part), 5);
        let part = created(&part);
        assert_eq!(head(&gateway, &part.path), 5);
        tus::append(&gateway, &part.path, 5, b" then");
        let whole = created(&created_with(&gateway, 5, "whole").expect(201));
        for (upload, bytes) in [(&part, b"first then".as_slice()), (&whole, b"whole")] {
            gateway.wait_delivered(&upload.id, 1);
            assert_eq!(gateway.delivered_bytes(&upload.id), bytes);
        }
        created_with(&gateway, 3, "too long").expect(413);
        assert_eq!(rows::count(&gateway, "delivery"), 2);
        for length in [0, 3] {
            assert_eq!(
                offset_of(&created_with(&gateway, length, "").expect(201)),
                0,
                "nothing came of {length}"
            );
        }
    });
}

/// T-20
#[test]
fn creation_with_a_body_of_another_type_does_not_take_it() {
    let gateway = Gateway::start();
    let post = request("POST", "/upload/files")
        .header("Upload-Length", "5")
        .header("Upload-Metadata", &metadata(MANIFEST))
        .header("Content-Type", "text/plain")
        .body("whole");
    let answer = gateway.ask(&post);
    if answer.status == 201 {
        assert_eq!(head(&gateway, &created(&answer).path), 0);
    } else {
        assert_eq!(answer.status, 415, "{}", answer.text());
        assert_nothing(&gateway);
    }
}

/// T-21
#[test]
fn a_refused_manifest_is_told_before_the_body_is_asked_for() {
    let gateway = Gateway::start();
    let mut connection = gateway.connect().expect("it listens");
    let post = request("POST", "/upload/files")
        .header("Upload-Length", "1000000")
        .header("Upload-Metadata", &metadata(&manifest_with(&[("data_stream_id", "unknown")])))
        .header("Content-Type", "application/offset+octet-stream")
        .header("Content-Length", "1000000")
        .header("Expect", "100-continue");
    connection.begin(&post).expect("a head goes out");
    assert_eq!(connection.any_answer(false).expect("it answers").status, 400, "and not 100");
    assert_nothing(&gateway);
}

/// T-03, T-06
#[test]
fn unknown_ids_are_404_alike_and_without_an_offset() {
    let gateway = Gateway::start();
    let unknown = uuid::Uuid::new_v4().to_string();
    for id in [unknown.as_str(), "blah", "%2e%2e%2fgateway.db", "00000000-0000-0000-0000-000000000000"] {
        let path = format!("/upload/files/{id}");
        let answer = gateway.ask(&request("HEAD", &path)).expect(404);
        assert_eq!(answer.header("Upload-Offset"), None, "tus 1.0.0, HEAD");
        gateway.ask(&patch(&path, 0).body("abc")).expect(404);
        gateway.get(&format!("/upload/info/{id}")).expect(404);
    }
}

#[test]
fn other_methods_are_405() {
    let gateway = Gateway::start();
    let upload = tus::create(&gateway, 3);
    for (method, path) in
        [("PUT", "/upload/files"), ("PUT", upload.path.as_str()), ("GET", upload.path.as_str())]
    {
        let answer = gateway.ask(&request(method, path).header("Content-Length", "0")).expect(405);
        assert!(answer.header("Allow").is_some(), "{method} {path}");
    }
}

/// T-09
#[test]
fn the_method_override_header_replaces_the_method() {
    let gateway = Gateway::start();
    let upload = tus::create(&gateway, 3);
    let post = request("POST", &upload.path)
        .header("X-HTTP-Method-Override", "PATCH")
        .header("Upload-Offset", "0")
        .header("Content-Type", "application/offset+octet-stream")
        .body("abc");
    assert_eq!(offset_of(&gateway.ask(&post).expect(204)), 3);
    gateway.wait_delivered(&upload.id, 1);
}

fn created_with(gateway: &Gateway, length: u64, body: &str) -> Answer {
    let post = request("POST", "/upload/files")
        .header("Upload-Length", &length.to_string())
        .header("Upload-Metadata", &metadata(MANIFEST))
        .header("Content-Type", "application/offset+octet-stream");
    gateway.ask(&post.body(body))
}

#[track_caller]
fn assert_nothing(gateway: &Gateway) {
    assert_eq!(rows::count(gateway, "upload"), 0);
    wait::until("the upload store to be swept", || gateway.stored().is_empty().then_some(()));
    assert!(gateway.delivered().is_empty());
}
