//! What a client sends names people: marks are put in every place that a client controls, and must turn up
//! nowhere but where somebody is owed them: not in the log, in metrics, in answers, in names of files or in the
//! audit trail. Each test runs with the log as it is by default and with all of it that an operator can ask for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::content::{base64, from_base64};
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::submission::{self, SUBMIT, accepted};
use crate::support::{rows, tus};

/// How each mark begins; the place where it was put follows.
const MARK: &str = "ZZPHI-";

/// W-42
#[test]
fn what_an_accepted_submission_says_is_told_to_nobody() {
    watched(|gateway| {
        let answer = gateway.ask(&submission::request(marked_submission(MARK).to_string()));
        let ids = accepted(&answer);
        assert_eq!(ids.len(), 3, "a document, a Binary, another resource");
        assert_tells(&answer, &[], "the answer");
        for id in &ids {
            gateway.wait_delivered(id, 1);
            // design 2, "From FHIR to the manifest": who sent it and the TrackingId are the manifest's.
            let owed = ["tracking", "organization", "code"];
            assert_tells(&gateway.get(&format!("/upload/info/{id}")).expect(200), &owed, "info");
            let reports = gateway.get(&format!("/upload/info/{id}?view=reports")).expect(200);
            assert_tells(&reports, &owed, "reports");
            let head = gateway.ask(&tus::request("HEAD", &format!("/upload/files/{id}"))).expect(200);
            assert_tells(&head, &owed, "HEAD");
        }
        let again = gateway.ask(&submission::request(marked_submission(MARK).to_string()));
        assert_tells(&again, &[], "the answer to a repetition");
        assert_names_of_files(gateway, &[]);
    });
}

#[test]
fn what_a_wrong_submission_says_is_told_to_nobody() {
    watched(|gateway| {
        for (case, body) in malformed_bodies().into_iter().chain(wrong_submissions()) {
            let answer = gateway.ask(&submission::request(body));
            // Some of them are only odd, and taken.
            assert!(answer.status < 500, "{case}: {}\n{}", answer.status, answer.text());
            assert_tells(&answer, &[], &case);
        }
        assert_names_of_files(gateway, &[]);
    });
}

#[test]
fn a_key_used_twice_is_not_repeated() {
    watched(|gateway| {
        let key = "ZZPHI-idempotency";
        for (tracking, status) in [("one", 200), ("one", 200), ("two", 422)] {
            let request = submission::request(submission::note(tracking, b"x"));
            let answer = gateway.ask(&request.header("Idempotency-Key", key)).expect(status);
            assert_tells(&answer, &[], "the answer to an Idempotency-Key");
        }
        for key in ["ZZPHI-\u{e9}", &format!("ZZPHI-{}", "x".repeat(300)), ""] {
            let request = submission::request(submission::note("three", b"x"));
            let answer = gateway.ask(&request.header("Idempotency-Key", key)).expect(400);
            assert_tells(&answer, &[], "the answer to a bad Idempotency-Key");
        }
    });
}

#[test]
fn header_fields_are_not_repeated() {
    watched(|gateway| {
        let upload = tus::create(gateway, 1000);
        let note = submission::note("fields", b"x");
        for (name, value) in FIELDS {
            let requests = [
                Request::new("GET", "/fhir/metadata").header(name, value),
                Request::new("GET", "/health/ready").header(name, value),
                submission::request(note.as_str()).header(name, value),
                Request::new("POST", SUBMIT).header(name, value).body(note.as_str()),
                tus::creation("/upload/files", 3, &tus::metadata(tus::MANIFEST)).header(name, value),
                Request::new("POST", "/upload/files").header(name, value).body("x"),
                tus::patch(&upload.path, 0).header(name, value).header("Content-Length", "0"),
                Request::new("PATCH", &upload.path).header(name, value).body("x"),
                tus::request("HEAD", &upload.path).header(name, value),
                tus::request("OPTIONS", "/upload/files").header(name, value),
            ];
            for request in requests {
                // A header that breaks HTTP itself may end the connection without an answer.
                if let Ok(answer) = gateway.try_ask(&request) {
                    assert_tells(&answer, &[], name);
                }
            }
        }
    });
}

#[test]
fn paths_queries_and_methods_are_not_repeated() {
    watched(|gateway| {
        let id = &accepted(&gateway.ask(&submission::request(submission::note("paths", b"x"))))[0];
        let paths = [
            "/ZZPHI-path".to_owned(),
            "/ZZPHI-path?ZZPHI-key=ZZPHI-value".to_owned(),
            "/fhir/ZZPHI-type/ZZPHI-id?name=ZZPHI-name".to_owned(),
            "/fhir/Patient?name=ZZPHI-name".to_owned(),
            "/fhir/metadata?_format=ZZPHI-format".to_owned(),
            "/fhir/metadata?ZZPHI-key=ZZPHI-value".to_owned(),
            format!("{SUBMIT}?ZZPHI-key=ZZPHI-value"),
            "/upload/info/ZZPHI-id".to_owned(),
            "/upload/info/%FFZZPHI-id".to_owned(),
            format!("/upload/info/{id}?view=ZZPHI-view"),
            format!("/upload/info/{id}?view=ZZPHI-1&view=ZZPHI-2"),
            format!("/upload/info/{id}/ZZPHI-more"),
            "/upload/files/ZZPHI-id".to_owned(),
            "/upload/files/%FFZZPHI-id".to_owned(),
            "/upload/files?ZZPHI-key=ZZPHI-value".to_owned(),
            "/upload/route/ZZPHI-id".to_owned(),
            "/upload/ZZPHI-id".to_owned(),
            "/metrics?ZZPHI-key=ZZPHI-value".to_owned(),
            "/health/ready?ZZPHI-key=ZZPHI-value".to_owned(),
            format!("/{}", "ZZPHI-".repeat(4_000)),
            "http://ZZPHI-host/ZZPHI-path".to_owned(),
            "*ZZPHI-path".to_owned(),
        ];
        for path in &paths {
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ZZPHI-METHOD"] {
                for request in [Request::new(method, path), tus::request(method, path)] {
                    if let Ok(answer) = gateway.try_ask(&request.header("Content-Length", "0")) {
                        // FHIR R4 search: the self link of a searchset says what was searched for.
                        let is_search = path.starts_with("/fhir/Patient?") && method == "GET";
                        let told: &[&str] = if is_search { &["name"] } else { &[] };
                        assert_tells(&answer, told, path);
                    }
                }
            }
        }
        for line in [
            "ZZPHI-LINE\r\n\r\n",
            "GET /ZZPHI-a ZZPHI-b HTTP/9.9\r\n\r\n",
            "GET / HTTP/1.1\r\nZZPHI a: b\r\n\r\n",
        ] {
            let mut connection = gateway.connect().expect("it listens");
            connection.send(line.as_bytes()).expect("a line goes out");
            connection.finish_sending();
            if let Ok(answer) = connection.answer(false) {
                assert_tells(&answer, &[], line);
            }
        }
    });
}

/// W-42
#[test]
fn a_manifest_is_told_to_its_sender_and_to_nobody_else() {
    watched(|gateway| {
        let manifest = tus::manifest_with(&[
            ("sender_id", "ZZPHI-sender"),
            ("data_producer_id", "ZZPHI-producer"),
            ("jurisdiction", "ZZPHI-jurisdiction"),
            ("received_filename", "ZZPHI-file.txt"),
            ("version", "2.0"),
            ("ZZPHI-key", "ZZPHI-value"),
        ]);
        let mut owed = vec!["sender", "producer", "jurisdiction", "file", "key", "value"];
        let post = tus::creation("/upload/files", 20, &tus::metadata(&manifest));
        let answer = gateway.ask(&post);
        assert_tells(&answer, &[], "the answer to a creation");
        let upload = tus::created(&answer);
        for (offset, bytes) in [(7, "ZZPHI-out of place"), (0, "ZZPHI-far more than twenty bytes")] {
            assert_tells(&gateway.ask(&tus::patch(&upload.path, offset).body(bytes)), &[], "a refused PATCH");
        }
        // RFC 4648 in no order: the checksum field is free text until it is read.
        let checked = tus::patch(&upload.path, 0).header("Upload-Checksum", "ZZPHI-sum ZZPHI-value");
        assert_tells(&gateway.ask(&checked.header("Content-Length", "0")), &[], "a checksum");
        let from = tus::head(gateway, &upload.path);
        let rest = &b"ZZPHI-bytes of twenty"[usize::try_from(from).expect("small")..20];
        tus::append(gateway, &upload.path, from, rest);
        gateway.wait_delivered(&upload.id, 1);
        assert_tells(&gateway.ask(&tus::request("HEAD", &upload.path)).expect(200), &owed, "HEAD");
        // `location` tells where the file is.
        let file = format!("file_{}", upload.id.split('-').next().unwrap_or_default());
        owed.push(&file);
        assert_tells(&gateway.get(&format!("/upload/info/{}", upload.id)).expect(200), &owed, "info");
        // The path template of the built-in stream names the file as its sender did.
        assert_names_of_files(gateway, &[&file]);
    });
}

/// W-31
#[test]
fn a_refused_creation_is_told_what_was_wrong_and_nothing_more() {
    watched(|gateway| {
        let stream = tus::manifest_with(&[("data_stream_id", "ZZPHI-stream"), ("ZZPHI-key", "ZZPHI-value")]);
        let answer = gateway.ask(&tus::creation("/upload/files", 3, &tus::metadata(&stream))).expect(400);
        // `validation_errors` names the configuration that was looked for, in DEX's own words.
        assert_tells(&answer, &["stream_attachment"], "an unknown stream");
        let incomplete =
            [("data_stream_id", "cdex"), ("data_stream_route", "attachment"), ("ZZPHI-key", "ZZPHI-value")];
        let answer = gateway.ask(&tus::creation("/upload/files", 3, &tus::metadata(&incomplete))).expect(400);
        assert_tells(&answer, &[], "missing fields");
        let good = tus::metadata(tus::MANIFEST);
        for entry in [
            "ZZPHI-key !ZZPHI-value",
            "ZZPHI-key eA== ZZPHI-more",
            "ZZPHI-key eA==,ZZPHI-key eA==",
            "ZZPHI-k\u{e9}y eA==",
            &format!("ZZPHI-key {}", base64([b"ZZPHI-".as_slice(), &[0xff]].concat())),
            &format!("ZZPHI-key {}", base64("ZZPHI-value ".repeat(200))),
            &(0..100).map(|number| format!("ZZPHI-{number}")).collect::<Vec<_>>().join(","),
        ] {
            let answer =
                gateway.ask(&tus::creation("/upload/files", 3, &format!("{good},{entry}"))).expect(400);
            assert_tells(&answer, &[], entry);
        }
        assert_names_of_files(gateway, &[]);
    });
}

#[test]
fn a_refused_redelivery_repeats_nothing() {
    watched(|gateway| {
        let upload = tus::upload(gateway, tus::MANIFEST, b"abc");
        gateway.wait_delivered(&upload.id, 1);
        for (path, body) in [
            (upload.id.as_str(), r#"{"target":"ZZPHI-target"}"#),
            (&upload.id, r#"{"target":"local","source":"ZZPHI-source"}"#),
            (&upload.id, r#"{"target":["ZZPHI-value"]}"#),
            (&upload.id, "ZZPHI-body"),
            (&upload.id, r#"{"ZZPHI-key""#),
            ("ZZPHI-id", r#"{"target":"local"}"#),
        ] {
            let answer = gateway.ask(&Request::new("POST", &format!("/upload/route/{path}")).body(body));
            assert!((400..500).contains(&answer.status), "{body}: {}", answer.status);
            assert_tells(&answer, &[], body);
        }
    });
}

/// Runs a test with each level of logging on each database; afterwards nobody is owed a mark.
fn watched(test: impl Fn(&Gateway)) {
    let levels: [&[(&str, &str)]; 2] = [&[], &[("CDEX_TELEMETRY__LOG_FILTER", "debug,cdex_gateway=trace")]];
    for level in levels {
        for_each_database(level, |mut gateway| {
            test(&gateway);
            assert_tells(&gateway.get("/metrics").expect(200), &[], "metrics");
            for row in rows::audit_trail(&gateway) {
                assert_eq!(marks(&row, &[]), BTreeSet::new(), "an audit row: {row}");
            }
            assert!(gateway.stop().success(), "a stop that was asked for is a success");
            let log = gateway.wrote();
            assert!(log.contains("request"), "the log was watched: {log}");
            let lines: Vec<&str> = log.lines().filter(|line| !marks(line, &[]).is_empty()).collect();
            assert!(lines.is_empty(), "in the log ({level:?}): {lines:#?}");
        });
    }
}

/// Fails if an answer holds a mark that its reader is not owed.
#[track_caller]
fn assert_tells(answer: &Answer, owed: &[&str], what: &str) {
    let told = answer.everything();
    assert_eq!(marks(&told, owed), BTreeSet::new(), "{what} ({}): {told}", answer.status);
}

/// The same for the names of files that were stored or delivered.
#[track_caller]
fn assert_names_of_files(gateway: &Gateway, owed: &[&str]) {
    for file in gateway.stored().iter().chain(&gateway.delivered()) {
        assert_eq!(marks(&file.to_string_lossy(), owed), BTreeSet::new(), "{}", file.display());
    }
}

/// The places of the marks in a text, as they are or in base64, but for those in `owed`.
fn marks(text: &str, owed: &[&str]) -> BTreeSet<String> {
    let place =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let folded = text.to_ascii_uppercase();
    let plain = folded.match_indices(MARK).map(|(at, mark)| place(&text[at + mark.len()..]));
    // Marks begin their values, so that the six characters are always the same eight of base64. What follows is
    // read up to its padding, so the end of the place may be missing.
    let mark = base64(MARK);
    let packed = text.match_indices(mark.as_str()).map(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        place(&String::from_utf8_lossy(&from_base64(&rest[..length / 4 * 4])))
    });
    let packed = packed.filter(|found| !owed.iter().any(|place| place.starts_with(found.as_str())));
    plain.filter(|found| !owed.contains(&found.as_str())).chain(packed).collect()
}

/// Header fields that are read by something, or by nothing, with values that break each of them.
const FIELDS: &[(&str, &str)] = &[
    ("X-Request-Id", "ZZPHI-request id"),
    ("X-Request-Id", "ZZPHI-request<id>"),
    ("Authorization", "Bearer ZZPHI-token"),
    ("Authorization", "Basic WlpQSEktdXNlcjpwYXNz"),
    ("Cookie", "ZZPHI-cookie=ZZPHI-value"),
    ("Content-Type", "ZZPHI-type"),
    ("Content-Type", "application/fhir+json; charset=ZZPHI-charset"),
    ("Content-Type", "application/fhir+json; fhirVersion=ZZPHI-version"),
    ("Content-Encoding", "ZZPHI-encoding"),
    ("Transfer-Encoding", "ZZPHI-encoding"),
    ("Accept", "application/ZZPHI-type"),
    ("Prefer", "return=ZZPHI-preference"),
    ("Expect", "ZZPHI-expectation"),
    ("Origin", "https://ZZPHI-origin.example"),
    ("Referer", "https://ZZPHI-referer.example"),
    ("User-Agent", "ZZPHI-agent"),
    ("If-Match", "\"ZZPHI-tag\""),
    ("Range", "ZZPHI-range"),
    ("Forwarded", "for=ZZPHI-client"),
    ("X-Forwarded-For", "ZZPHI-client"),
    ("X-Forwarded-Host", "ZZPHI-host"),
    ("Traceparent", "ZZPHI-trace"),
    ("Tus-Resumable", "ZZPHI-version"),
    ("X-HTTP-Method-Override", "ZZPHI-METHOD"),
    ("Upload-Length", "ZZPHI-length"),
    ("Upload-Offset", "ZZPHI-offset"),
    ("Upload-Defer-Length", "ZZPHI-defer"),
    ("Upload-Concat", "final;/upload/files/ZZPHI-part"),
    ("Upload-Checksum", "sha1 ZZPHI-sum"),
    ("Upload-Metadata", "ZZPHI-key !ZZPHI-value"),
    ("ZZPHI-Name", "ZZPHI-value"),
    ("ZZPHI Name", "ZZPHI-value"),
    ("ZZPHI-Long", "ZZPHI-value ZZPHI-value"),
];

/// A correct submission whose every text begins with `mark`.
fn marked_submission(mark: &str) -> Value {
    let text = |place: &str| format!("{mark}{place}");
    let identifier = |place: &str| {
        json!({
            "use": "official",
            "type": {"text": text("type"), "coding": [{"system": text("system"), "code": text("word"), "display": text("word")}]},
            "system": format!("http://{mark}{place}.example"),
            "value": text(place),
            "assigner": {"display": text("assigner")},
        })
    };
    let narrative = json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{mark}narrative</div>")});
    let person = json!({"resourceType": "Patient", "id": "p", "name": [{"family": text("family"), "given": [text("given")]}]});
    let document = json!({
        "resourceType": "DocumentReference",
        "id": text("id"),
        "meta": {"tag": [{"system": text("tag"), "code": text("tag"), "display": text("tag")}], "source": text("source")},
        "text": narrative,
        "contained": [person],
        "extension": [{"url": text("extension"), "valueString": text("extension")}],
        "identifier": [identifier("document")],
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": text("kind"), "display": text("kind")}]},
        "subject": {"reference": "#p", "display": text("subject"), "identifier": identifier("member")},
        "author": [{"display": text("author")}],
        "description": text("description"),
        "content": [{"attachment": {
            "contentType": text("media"), "language": "en", "title": text("title"),
            "data": base64(text("bytes, which are the payload")),
        }}],
    });
    let binary = json!({
        "resourceType": "Binary", "contentType": "text/plain", "data": base64(text("binary")),
        "securityContext": {"display": text("context")},
    });
    let other = json!({
        "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": text("questionnaire"),
        "item": [{"linkId": text("link"), "text": text("question"), "answer": [{"valueString": text("answer")}]}],
    });
    let mut body = submission::parameters(&text("tracking"), vec![document, binary, other]);
    for parameter in body["parameter"].as_array_mut().into_iter().flatten() {
        let place = match parameter["name"].as_str() {
            Some("TrackingId") => "tracking",
            Some("PayerId") => "payer",
            Some("OrganizationId") => "organization",
            Some("ProviderId") => "provider",
            Some("MemberId") => "member",
            _ => {
                for part in parameter.get_mut("part").and_then(Value::as_array_mut).into_iter().flatten() {
                    if part["name"] == "LineItem" {
                        part["valueString"] = json!(text("line"));
                    } else if part["name"] == "Code" {
                        part["valueCodeableConcept"] = json!({"text": text("code_text"), "coding": [
                            {"system": "http://loinc.org", "code": text("code"), "display": text("code_display")},
                        ]});
                    }
                }
                continue;
            }
        };
        parameter["valueIdentifier"] = identifier(place);
    }
    body
}

/// Bodies that are no JSON document, or none that FHIR knows.
fn malformed_bodies() -> Vec<(String, Vec<u8>)> {
    let whole = submission::note("ZZPHI-tracking", b"ZZPHI-bytes");
    let mut bodies: Vec<(String, Vec<u8>)> = [
        "",
        "ZZPHI-text",
        "\"ZZPHI-text\"",
        "[\"ZZPHI-text\"]",
        "{\"ZZPHI-key\"",
        "{\"ZZPHI-key\": ZZPHI-value}",
        "{\"ZZPHI-key\": \"ZZPHI-value\",}",
        "{\"ZZPHI-key\": \"ZZPHI-value\"} ZZPHI-more",
        "{\"ZZPHI-key\": 1, \"ZZPHI-key\": 2}",
        "{\"ZZPHI-key\": \"ZZPHI-\\q\"}",
        "{\"ZZPHI-key\": \"ZZPHI-\\ud800\"}",
        "{\"ZZPHI-key\": \"ZZPHI-\\u0000\"}",
        "{\"ZZPHI-key\": \"ZZPHI-\u{1}\"}",
        "{\"ZZPHI-key\": 1e99999999}",
        "{\"resourceType\": \"ZZPHI-Type\", \"ZZPHI-key\": 1}",
        "{\"resourceType\": \"Patient\", \"name\": [{\"family\": \"ZZPHI-name\"}]}",
        "{\"resourceType\": \"Parameters\", \"ZZPHI-key\": \"ZZPHI-value\"}",
        "{\"resourceType\": \"Parameters\", \"parameter\": \"ZZPHI-value\"}",
        "{\"resourceType\": \"Parameters\", \"parameter\": [\"ZZPHI-value\"]}",
    ]
    .iter()
    .map(|text| ((*text).to_owned(), text.as_bytes().to_vec()))
    .collect();
    bodies.push(("not UTF-8".to_owned(), b"{\"ZZPHI-key\": \"ZZPHI-\xff\"}".to_vec()));
    let deep = format!("{}\"ZZPHI-value\"{}", "{\"ZZPHI-key\":".repeat(500), "}".repeat(500));
    bodies.push(("too deep".to_owned(), deep.into_bytes()));
    // Cut after a mark, and in the middle of one.
    for (at, _) in whole.match_indices("ZZPHI") {
        bodies.push((format!("cut at {at}"), whole.as_bytes()[..at + 9].to_vec()));
    }
    bodies
}

/// Submissions with one thing wrong, as JSON Pointer and what stands there.
fn wrong_submissions() -> Vec<(String, Vec<u8>)> {
    let attachment = "/parameter/7/part/2/resource/content/0/attachment";
    let wrong = [
        ("/ZZPHI-key", json!("ZZPHI-value")),
        ("/meta", json!({"ZZPHI-key": "ZZPHI-value"})),
        ("/id", json!("ZZPHI id")),
        ("/parameter/0", json!({"name": "ZZPHI-name", "valueString": "ZZPHI-value"})),
        ("/parameter/0", json!({"name": "TrackingId", "valueZZPHI-type": "ZZPHI-value"})),
        ("/parameter/0/ZZPHI-key", json!({"ZZPHI-key": ["ZZPHI-value"]})),
        ("/parameter/0/valueIdentifier", json!("ZZPHI-value")),
        ("/parameter/0/valueIdentifier", json!({"ZZPHI-key": "ZZPHI-value"})),
        ("/parameter/0/valueIdentifier/use", json!("ZZPHI-code")),
        ("/parameter/0/valueIdentifier/value", json!(["ZZPHI-value"])),
        ("/parameter/1/valueCode", json!("ZZPHI-code")),
        ("/parameter/1/valueCode", json!({"ZZPHI-key": "ZZPHI-value"})),
        ("/parameter/1/valueCode", json!(" ZZPHI code ")),
        ("/parameter/1/_valueCode", json!({"ZZPHI-key": "ZZPHI-value"})),
        ("/parameter/5/valueIdentifier", json!({"system": "ZZPHI-system"})),
        ("/parameter/5/valueString", json!("ZZPHI-value")),
        ("/parameter/6/valueDateTime", json!("ZZPHI-date")),
        ("/parameter/6/valueDateTime", json!(["ZZPHI-date"])),
        ("/parameter/7/part/0/valueString", json!({"ZZPHI-key": "ZZPHI-value"})),
        ("/parameter/7/part/0/name", json!("ZZPHI-part")),
        ("/parameter/7/part/1/valueCodeableConcept", json!("ZZPHI-value")),
        ("/parameter/7/part/2/resource", json!("ZZPHI-value")),
        ("/parameter/7/part/2/resource", json!({"ZZPHI-key": "ZZPHI-value"})),
        ("/parameter/7/part/2/resource/resourceType", json!("ZZPHI-Type")),
        ("/parameter/7/part/2/resource/ZZPHI-key", json!("ZZPHI-value")),
        ("/parameter/7/part/2/resource/status", json!(["ZZPHI-code"])),
        ("/parameter/7/part/2/resource/date", json!("ZZPHI-date")),
        ("/parameter/7/part/2/resource/content", json!("ZZPHI-value")),
        ("/parameter/7/part/2/resource/content", json!([{"ZZPHI-key": "ZZPHI-value"}])),
        (attachment, json!({"data": "ZZPHI-not base64!"})),
        (attachment, json!({"data": base64("ZZPHI-bytes"), "hash": base64("ZZPHI-hash")})),
        (attachment, json!({"data": base64("ZZPHI-bytes"), "hash": "ZZPHI-hash"})),
        (attachment, json!({"data": base64("ZZPHI-bytes"), "size": "ZZPHI-size"})),
        (attachment, json!({"data": base64("ZZPHI-bytes"), "size": 3})),
        (attachment, json!({"data": base64("ZZPHI-bytes"), "creation": "ZZPHI-date"})),
        (attachment, json!({"data": base64("ZZPHI-bytes"), "url": "ZZPHI-url"})),
        (attachment, json!({"url": "http://ZZPHI-host.example/ZZPHI-path"})),
        (attachment, json!({"url": "http://gateway.test/upload/files/ZZPHI-id"})),
        (attachment, json!({"url": "http://user:ZZPHI-password@gateway.test/upload/files/x"})),
        (attachment, json!({"ZZPHI-key": "ZZPHI-value"})),
        (attachment, json!({"contentType": ["ZZPHI-type"], "data": "eA=="})),
    ];
    let good = submission::parameters(
        "ZZPHI-tracking",
        vec![submission::document(vec![submission::inline(b"ZZPHI-bytes")])],
    );
    let bodies = wrong.into_iter().map(|(pointer, value)| {
        let (parent, key) = pointer.rsplit_once('/').expect("a JSON Pointer");
        let mut body = good.clone();
        let case = format!("{pointer} = {value}");
        match body.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}")) {
            Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
            parent => parent[key] = value,
        }
        (case, body.to_string().into_bytes())
    });
    bodies.collect()
}
