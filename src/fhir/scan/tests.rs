//! The corpus of bad bodies (J-01, J-02, J-04, J-05, J-08), and what must hold however a body is cut.

use base64_simd::STANDARD;
use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::fhir::spool::testing::MemorySpool;
use crate::fhir::{IssueType, Spool};

/// Limits that a readable test can pass.
fn small() -> ScanLimits {
    ScanLimits {
        depth: 12,
        nodes: 60,
        string_bytes: 48,
        skeleton_bytes: 600,
        inline_data_bytes: 16,
        ..ScanLimits::default()
    }
}

/// Scans `body`, cut before each of `cuts`.
fn scan_cut(
    body: &[u8],
    cuts: &[usize],
    limits: ScanLimits,
    shape: Shape,
    spool: &mut MemorySpool,
) -> Result<Scanned, ScanError> {
    let work = async {
        let mut scanner = Scanner::new(limits, shape);
        let mut from = 0;
        for &to in cuts.iter().chain([&body.len()]) {
            scanner.feed(Bytes::copy_from_slice(&body[from..to]), spool).await?;
            from = to;
        }
        scanner.finish(spool).await
    };
    let outcome = work.now_or_never().expect("memory does not wait");
    assert!(!spool.is_open(), "nothing remains open");
    outcome
}

fn scan(body: &str, shape: Shape) -> (Result<Scanned, ScanError>, MemorySpool) {
    let mut spool = MemorySpool::default();
    (scan_cut(body.as_bytes(), &[], small(), shape, &mut spool), spool)
}

fn refused(outcome: Result<Scanned, ScanError>) -> Refused {
    match outcome {
        Err(ScanError::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn submission(resource: &str) -> String {
    format!(
        r#"{{"resourceType":"Parameters","parameter":[{{"name":"a"}},{{"part":[{{"resource":{resource}}}]}}]}}"#
    )
}

/// 24 bytes, 32 characters: over the small limit.
const LONG: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY";

#[test]
fn a_small_body_stays_as_it_is() {
    for body in [
        "{}",
        " {\t\"a\" : [ ] ,\r\n\"b\":{}}\n ",
        r#"{"a":[0,-0,0.10,1.00,1e5,1E-5,-1.5e+3,25,1234567890123456789012345],"b":[true,false,null]}"#,
        r#"{"a":"\"\\\/\n\r\t\u00e9\uD83D\ude00 é 😀 ü\u007f","":{"":""}}"#,
        r#"{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}"#,
        "{\"a\":\"\u{202e}\u{200b}\u{7f}\"}",
        r#"{"a":0e-999,"b":1e308,"data":"not base64"}"#,
    ] {
        for shape in [Shape::Plain, Shape::Submission, Shape::Resource(None)] {
            let (outcome, spool) = scan(body, shape);
            let scanned = outcome.unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(scanned.skeleton, body.as_bytes());
            assert_eq!(spool.count(), 0);
        }
    }
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_place() {
    let deep = format!("{{\"a\":{}", "[".repeat(12));
    let many = format!("{{\"a\":[{}0]}}", "0,".repeat(59));
    let long_number = format!("{{\"a\":{}}}", "1".repeat(41));
    let long_string = format!("{{\"a\":{{\"b\":\"{}\"}}}}", "x".repeat(49));
    let long_name = format!("{{\"{}\":1}}", "x".repeat(49));
    let names: String = (0..40).map(|name| format!("\"n{name}\":[],")).collect();
    let forty_names = format!("{{{names}\"n7\":1}}");
    let cases: Vec<(&[u8], Rule, Option<&str>, u64)> = vec![
        (b"", Rule::Empty, None, 0),
        (b" \n", Rule::Empty, None, 2),
        (b"[]", Rule::NotAnObject, None, 0),
        (b"\"a\"", Rule::NotAnObject, None, 0),
        (b"17", Rule::NotAnObject, None, 0),
        (b"\xEF\xBB\xBF{}", Rule::ByteOrderMark, None, 0),
        (b"\xFF\xFE{\0}\0", Rule::ByteOrderMark, None, 0),
        (b"{\0}\0", Rule::Encoding, Some("Resource"), 1),
        (b"\0{\0}", Rule::Encoding, None, 0),
        (b"{", Rule::UnexpectedEnd, None, 1),
        (b"{\"a\":\"\xC3", Rule::UnexpectedEnd, None, 7),
        (b"{\"a\":tru", Rule::UnexpectedEnd, None, 8),
        (b"{}}", Rule::Grammar, Some("Resource"), 2),
        (b"{}{}", Rule::Grammar, Some("Resource"), 2),
        (b"{\"a\":1,}", Rule::Grammar, Some("Resource.a"), 7),
        (b"{,}", Rule::Grammar, Some("Resource"), 1),
        (b"{\"a\" 1}", Rule::Grammar, Some("Resource.a"), 5),
        (b"{\"a\":[1,]}", Rule::Grammar, Some("Resource.a[1]"), 8),
        (b"{\"a\":[1 2]}", Rule::Grammar, Some("Resource.a[0]"), 8),
        (b"{\"a\":[1}", Rule::Grammar, Some("Resource.a[0]"), 7),
        (b"{\"a\":{\"b\":1]}", Rule::Grammar, Some("Resource.a.b"), 11),
        (b"{a:1}", Rule::Grammar, Some("Resource"), 1),
        (b"{'a':1}", Rule::Grammar, Some("Resource"), 1),
        (b"{\"a\":01}", Rule::Grammar, Some("Resource.a"), 6),
        (b"{\"a\":1.}", Rule::Grammar, Some("Resource.a"), 7),
        (b"{\"a\":.5}", Rule::Grammar, Some("Resource.a"), 5),
        (b"{\"a\":+1}", Rule::Grammar, Some("Resource.a"), 5),
        (b"{\"a\":-}", Rule::Grammar, Some("Resource.a"), 6),
        (b"{\"a\":1e}", Rule::Grammar, Some("Resource.a"), 7),
        (b"{\"a\":1e+}", Rule::Grammar, Some("Resource.a"), 8),
        (b"{\"a\":NaN}", Rule::Grammar, Some("Resource.a"), 5),
        (b"{\"a\":Infinity}", Rule::Grammar, Some("Resource.a"), 5),
        (b"{\"a\":nul}", Rule::Grammar, Some("Resource.a"), 8),
        (b"{\"a\":truee}", Rule::Grammar, Some("Resource.a"), 9),
        (b"{\"a\":\"\\x\"}", Rule::Grammar, Some("Resource.a"), 7),
        (b"{\"a\":\"\\u12g4\"}", Rule::Grammar, Some("Resource.a"), 10),
        (b"{/**/}", Rule::Grammar, Some("Resource"), 1),
        (b"{\"a\":1e400}", Rule::NumberOutOfRange, Some("Resource.a"), 10),
        (b"{\"a\":1e-400}", Rule::NumberOutOfRange, Some("Resource.a"), 11),
        (long_number.as_bytes(), Rule::NumberTooLong, Some("Resource.a"), 46),
        (b"{\"a\":\"\xC0\xAF\"}", Rule::Encoding, Some("Resource.a"), 6),
        (b"{\"a\":\"x\xE0\x80\xAF\"}", Rule::Encoding, Some("Resource.a"), 7),
        (b"{\"a\":\"\xED\xA0\x80\"}", Rule::Encoding, Some("Resource.a"), 6),
        (b"{\"a\":\"\xF0\x9F\x98\"}", Rule::Encoding, Some("Resource.a"), 6),
        (b"{\"a\":\"\x80\"}", Rule::Encoding, Some("Resource.a"), 6),
        (b"{\"\xFF\":1}", Rule::Encoding, Some("Resource"), 2),
        (b"{\"a\":\xC3}", Rule::Encoding, Some("Resource.a"), 5),
        (b"{\"a\":\"x\ny\"}", Rule::ControlCharacter, Some("Resource.a"), 7),
        (b"{\"a\":\"\x00\"}", Rule::ControlCharacter, Some("Resource.a"), 6),
        (b"{\"a\":\"\\u0000\"}", Rule::ControlCharacter, Some("Resource.a"), 11),
        (b"{\"a\":\"\\u001f\"}", Rule::ControlCharacter, Some("Resource.a"), 11),
        (b"{\"a\":\"\\b\"}", Rule::ControlCharacter, Some("Resource.a"), 7),
        (b"{\"a\":\"\\ud800\"}", Rule::LoneSurrogate, Some("Resource.a"), 12),
        (b"{\"a\":\"\\ud800x\"}", Rule::LoneSurrogate, Some("Resource.a"), 12),
        (b"{\"a\":\"\\ud800\\n\"}", Rule::LoneSurrogate, Some("Resource.a"), 13),
        (b"{\"a\":\"\\ud800\\ud800\"}", Rule::LoneSurrogate, Some("Resource.a"), 17),
        (b"{\"a\":\"\\udc00\"}", Rule::LoneSurrogate, Some("Resource.a"), 11),
        (b"{\"status\":1,\"st\\u0061tus\":2}", Rule::DuplicateKey, Some("Resource.status"), 13),
        (
            b"{\"resourceType\":\"Task\",\"a\":[{\"b c\":1,\"b c\":1}]}",
            Rule::DuplicateKey,
            Some("Task.a[0].?"),
            38,
        ),
        (forty_names.as_bytes(), Rule::DuplicateKey, Some("Resource.n7"), 352),
        (deep.as_bytes(), Rule::TooDeep, Some("Resource.a[0][0][0][0][0][0][0][0][0][0][0]"), 16),
        (many.as_bytes(), Rule::TooManyNodes, Some("Resource.a[58]"), 122),
        (long_string.as_bytes(), Rule::StringTooLong, Some("Resource.a.b"), 59),
        (long_name.as_bytes(), Rule::StringTooLong, Some("Resource"), 50),
    ];
    for (body, rule, path, offset) in cases {
        let mut spool = MemorySpool::default();
        let found = refused(scan_cut(body, &[], small(), Shape::Plain, &mut spool));
        let wanted = Refused { rule, path: path.map(str::to_owned), offset };
        assert_eq!(found, wanted, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn an_issue_names_the_element_and_the_rule_and_nothing_that_was_sent() {
    let (outcome, _) = scan(r#"{"resourceType":"Jane","name":"secret\u0000"}"#, Shape::Plain);
    let error = outcome.unwrap_err();
    let issue = error.issue();
    assert_eq!(issue.code, IssueType::Invalid);
    assert_eq!(issue.expression.as_deref(), Some("Resource.name"));
    assert!(!error.is_too_large());
    let told = format!("{issue:?} {error}");
    assert!(!told.contains("Jane") && !told.contains("secret"), "{told}");
    let (outcome, _) = scan(&format!("{{\"a\":\"{}\"}}", "x".repeat(50)), Shape::Plain);
    assert!(outcome.unwrap_err().is_too_large());
}

#[test]
fn the_skeleton_is_bounded_and_data_does_not_count() {
    let filler = format!("\"{}\",", "x".repeat(40)).repeat(14);
    let body = format!("{{\"a\":[{filler}0]}}");
    let (outcome, _) = scan(&body, Shape::Plain);
    assert_eq!(refused(outcome), Refused { rule: Rule::TooLarge, path: None, offset: 600 });

    let data = STANDARD.encode_to_string([7; 3000]);
    let body = submission(&format!(r#"{{"resourceType":"Binary","data":"{data}"}}"#));
    let (outcome, _) = scan(&body, Shape::Submission);
    outcome.expect("the data is not in the skeleton");
}

#[test]
fn depth_costs_no_stack() {
    let work = || {
        for inside in ["[", "{\"extension\":[", "{\"contained\":", "{\"a\":{\"item\":["] {
            for depth in [128, 100_000, 1_000_000] {
                let mut body = b"{\"a\":".to_vec();
                body.extend(inside.as_bytes().repeat(depth));
                let unbounded = ScanLimits { skeleton_bytes: 1 << 30, ..ScanLimits::default() };
                let mut spool = MemorySpool::default();
                let found = refused(scan_cut(&body, &[], unbounded, Shape::Plain, &mut spool));
                assert_eq!(found.rule, Rule::TooDeep);
                let unbounded = ScanLimits { depth: usize::MAX, nodes: usize::MAX, ..unbounded };
                let found = refused(scan_cut(&body, &[], unbounded, Shape::Plain, &mut spool));
                assert_eq!(found.rule, Rule::UnexpectedEnd);
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(work).expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn short_data_stays_where_it_is() {
    let resource =
        r#"{"resourceType":"DocumentReference","content":[{"attachment":{"data":"QUJDREVGR0hJSkts"}}]}"#;
    let body = submission(resource);
    let (outcome, spool) = scan(&body, Shape::Submission);
    let scanned = outcome.expect("it is fine");
    assert_eq!(scanned.skeleton, body.as_bytes());
    let [payload] = &scanned.payloads[..] else { panic!("one payload") };
    assert_eq!((payload.parameter, payload.part), (1, 0));
    assert_eq!(payload.resource_type.as_deref(), Some("DocumentReference"));
    assert_eq!(&scanned.skeleton[payload.text.clone()], resource.as_bytes());
    assert_eq!((&payload.raw, payload.taken.len(), spool.count()), (&None, 0, 0));
}

#[test]
fn long_data_of_a_known_type_is_taken_out_decoded() {
    let resource = |data: &str, other: &str| {
        format!(
            r#"{{"resourceType":"DocumentReference","content":[{{"attachment":{{"data":"QUJD"}}}},{{"attachment":{{"data":"{data}","title":"t"}}}},{{"attachment":{{"data":"{other}"}}}}]}}"#
        )
    };
    let escaped = r"QUJ\u0044 RE\nVG\r\tR0\/+\u002fAA=";
    let (outcome, spool) = scan(&submission(&resource(LONG, escaped)), Shape::Submission);
    let scanned = outcome.expect("it is fine");
    assert_eq!(scanned.skeleton, submission(&resource(ELIDED, ELIDED)).as_bytes());
    let [payload] = &scanned.payloads[..] else { panic!("one payload") };
    assert_eq!(&scanned.skeleton[payload.text.clone()], resource(ELIDED, ELIDED).as_bytes());
    let [first, second] = &payload.taken[..] else { panic!("two taken") };
    assert_eq!((first.content, second.content, &payload.raw), (Some(1), Some(2), &None));
    assert_eq!(spool.bytes(&first.spooled), b"ABCDEFGHIJKLMNOPQRSTUVWX");
    assert_eq!(spool.bytes(&second.spooled), b"ABCDEFGO\xfe\xfc\x00");

    let binary = format!(r#"{{"resourceType":"Binary","contentType":"a/b","data":"{LONG}"}}"#);
    let (outcome, spool) = scan(&submission(&binary), Shape::Submission);
    let payload = &outcome.expect("it is fine").payloads[0];
    assert_eq!(payload.taken[0].content, None);
    assert_eq!(spool.bytes(&payload.taken[0].spooled).len(), 24);
}

#[test]
fn long_data_of_another_type_goes_out_as_raw_text() {
    for resource in [
        format!(r#"{{ "resourceType":"Observation","x":{{"data":"{LONG}"}}, "y":[{{"data":"{LONG}"}}] }}"#),
        format!(r#"{{"x":[{{"data":"{LONG}"}}],"resourceType":"Media"}}"#),
        format!(r#"{{"signature":{{"data":"{LONG}"}}}}"#),
    ] {
        let (outcome, spool) = scan(&submission(&resource), Shape::Submission);
        let scanned = outcome.expect("it is fine");
        assert_eq!(scanned.skeleton, submission(&resource.replace(LONG, ELIDED)).as_bytes());
        let payload = &scanned.payloads[0];
        let raw = payload.raw.as_ref().expect("the raw text is kept");
        assert_eq!(spool.bytes(raw), resource.as_bytes());
        assert!(payload.taken.is_empty());
    }
}

#[test]
fn a_type_at_the_end_is_raw_text_first_and_converted_then() {
    let resource = format!(
        r#"{{"content":[{{"attachment":{{"data":"{LONG}"}}}}],"extension":[{{"data":"QUJDQUJDQUJDQUJDQUJD"}}],"resourceType":"DocumentReference"}}"#
    );
    let (outcome, mut spool) = scan(&submission(&resource), Shape::Submission);
    let scanned = outcome.expect("it is fine");
    let payload = &scanned.payloads[0];
    assert_eq!(payload.resource_type.as_deref(), Some("DocumentReference"));
    let raw = payload.raw.clone().expect("the type came too late");
    assert_eq!(spool.bytes(&raw), resource.as_bytes());

    let converted = convert(small(), &raw, KnownType::DocumentReference, "Parameters.x", &mut spool);
    let (skeleton, taken) = converted.now_or_never().expect("memory does not wait").expect("it converts");
    spool.discard(&raw).now_or_never().expect("memory does not wait");
    assert_eq!(skeleton, resource.replace(LONG, ELIDED).as_bytes());
    let [taken] = &taken[..] else { panic!("one taken") };
    assert_eq!(taken.content, Some(0));
    assert_eq!(spool.bytes(&taken.spooled), b"ABCDEFGHIJKLMNOPQRSTUVWX");
    assert_eq!(spool.count(), 1);
}

#[test]
fn a_refusal_while_converting_names_the_place_in_the_whole_body() {
    let resource = format!(
        r#"{{"content":[{{"attachment":{{"data":"{LONG}"}}}}],"contained":[{{"data":"{}"}}],"resourceType":"Binary"}}"#,
        LONG.repeat(2)
    );
    let (outcome, mut spool) = scan(&submission(&resource), Shape::Submission);
    let raw = outcome.expect("it is fine").payloads[0].raw.clone().expect("the type came too late");
    let converted = convert(small(), &raw, KnownType::Binary, "Parameters.x.resource", &mut spool);
    let error = converted.now_or_never().expect("memory does not wait").unwrap_err();
    assert_eq!(
        error.issue().expression.as_deref(),
        Some("Parameters.x.resource.contained[0].data"),
        "{error}"
    );
    assert!(!spool.is_open());
}

#[test]
fn data_that_is_no_payload_is_an_ordinary_string() {
    let long = "x y!".repeat(10);
    for resource in [
        format!(r#"{{"resourceType":"Observation","valueSampledData":{{"data":"{long}"}}}}"#),
        format!(r#"{{"component":[{{"valueSampledData":{{"data":"{long}"}}}}]}}"#),
        format!(r#"{{"resourceType":"DocumentReference","extension":[{{"data":"{long}"}}]}}"#),
        format!(r#"{{"resourceType":"DocumentReference","content":{{"attachment":{{"data":"{long}"}}}}}}"#),
        format!(r#"{{"resourceType":"Binary","x":{{"data":"{long}"}}}}"#),
        format!(r#"{{"resourceType":"Binary","Data":"{long}"}}"#),
    ] {
        let (outcome, spool) = scan(&submission(&resource), Shape::Submission);
        assert_eq!(outcome.expect("it is fine").skeleton, submission(&resource).as_bytes());
        assert_eq!(spool.count(), 0);
    }
    for elsewhere in [
        format!(r#"{{"data":"{long}"}}"#),
        format!(r#"{{"parameter":[{{"resource":{{"data":"{long}"}}}}]}}"#),
        format!(r#"{{"parameter":{{"part":[{{"resource":{{"data":"{long}"}}}}]}}}}"#),
    ] {
        let (outcome, _) = scan(&elsewhere, Shape::Submission);
        assert_eq!(outcome.expect("it is fine").payloads, []);
    }
}

#[test]
fn long_data_that_is_not_base64_is_refused_where_it_shows() {
    for (data, at) in [
        (format!("{LONG}="), 32),
        (format!("{LONG}Q"), 33),
        (format!("{LONG}QQ=="), usize::MAX),
        (format!("{LONG}QR=="), 34),
        (format!("-{LONG}"), 0),
        (format!("{LONG}_AAA"), 32),
        (format!("{LONG}QQ==AAAA"), 36),
        (format!("{LONG}é"), 32),
        (format!("{LONG}\\\""), 32),
        (format!("QUJDé{LONG}"), 4),
        (format!("QUJD\\u00e9{LONG}"), 4),
    ] {
        for resource_type in ["Binary", "Library"] {
            let resource = format!(r#"{{"resourceType":"{resource_type}","data":"{data}"}}"#);
            let body = submission(&resource);
            let (outcome, _) = scan(&body, Shape::Submission);
            if at == usize::MAX {
                outcome.expect("it is base64");
                continue;
            }
            let start = body.find(&data).expect("it is there");
            let path = Some("Parameters.parameter[1].part[0].resource.data".to_owned());
            let wanted = Refused { rule: Rule::NotBase64, path, offset: (start + at) as u64 };
            assert_eq!(refused(outcome), wanted, "{body}");
        }
    }
    let body = submission(&format!("{{\"resourceType\":\"Binary\",\"data\":\"{LONG}\nAAAA\"}}"));
    assert_eq!(refused(scan(&body, Shape::Submission).0).rule, Rule::ControlCharacter);
}

#[test]
fn a_spool_that_fails_ends_the_body_and_nothing_remains_open() {
    let data = STANDARD.encode_to_string([7; 300_000]);
    for resource in [
        format!(r#"{{"resourceType":"Binary","data":"{data}"}}"#),
        format!(r#"{{"data":"{data}","resourceType":"Binary"}}"#),
    ] {
        let body = submission(&resource);
        let mut spool = MemorySpool::with_capacity(100_000);
        let outcome = scan_cut(body.as_bytes(), &[], ScanLimits::default(), Shape::Submission, &mut spool);
        let error = outcome.unwrap_err();
        assert!(matches!(error, ScanError::Spool(SpoolError::Full)));
        assert_eq!(error.issue().code, IssueType::NoStore);
        assert_eq!(spool.count(), 0);
    }
}

#[test]
fn what_waits_for_the_spool_is_bounded_whatever_the_payload() {
    let data = STANDARD.encode_to_string(vec![7; 6_000_000]);
    for resource in [
        format!(r#"{{"resourceType":"Binary","data":"{data}"}}"#),
        format!(r#"{{"data":"{data}","resourceType":"Binary"}}"#),
    ] {
        let body = submission(&resource);
        let mut spool = MemorySpool::default();
        let outcome = scan_cut(body.as_bytes(), &[], ScanLimits::default(), Shape::Submission, &mut spool);
        assert!(outcome.expect("it is fine").skeleton.len() < 300);
        assert!(spool.largest_write() <= 2 * PIECE_BYTES, "{}", spool.largest_write());
    }
}

/// What a scan came to, without identifiers.
fn told(outcome: Result<Scanned, ScanError>, spool: &MemorySpool) -> String {
    match outcome {
        Ok(scanned) => {
            let kept: Vec<_> = scanned
                .payloads
                .iter()
                .map(|payload| {
                    let raw = payload.raw.as_ref().map(|raw| spool.bytes(raw).to_vec());
                    let taken: Vec<_> = payload
                        .taken
                        .iter()
                        .map(|taken| (taken.content, spool.bytes(&taken.spooled).to_vec()))
                        .collect();
                    (
                        payload.parameter,
                        payload.part,
                        &payload.resource_type,
                        payload.text.clone(),
                        raw,
                        taken,
                    )
                })
                .collect();
            format!("{:?} {kept:?}", scanned.skeleton)
        }
        Err(error) => format!("{error:?}"),
    }
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let document = format!(
        r#"{{"resourceType":"DocumentReference","content":[{{"attachment":{{"data":"{LONG}\n{LONG}"}}}}],"é\u0041":"ü😀\ud83d\ude00 {}"}}"#,
        "y".repeat(20)
    );
    let late = format!(r#"{{"signature":{{"data":"{LONG}{LONG}AA=="}},"resourceType":"Binary"}}"#);
    let plain = r#"{"a":[1,-2.50,3e5,{"b":[true,false,null,[]]}],"c":{}}"#;
    let texts = vec![
        submission(&document),
        submission(&late),
        submission(&format!("{document}}},{{\"name\":\"n\",\"resource\":{late}")),
        plain.to_owned(),
    ];
    let spoiled = (
        prop::sample::select(texts),
        proptest::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop::sample::select(vec![
                    &b"\""[..],
                    b"\\",
                    b"{",
                    b"]",
                    b",",
                    b"\xC3",
                    b"\xF0\x9F",
                    b"\x01",
                    b"0",
                    b"\\u00",
                    b"\\ud800",
                    b" ",
                    b"=",
                    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                ]),
                0..3_usize,
            ),
            0..3,
        ),
    );
    spoiled.prop_map(|(text, changes)| {
        let mut body = text.into_bytes();
        for (place, bytes, removed) in changes {
            let from = place.index(body.len());
            let to = (from + removed).min(body.len());
            body.splice(from..to, bytes.iter().copied());
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn however_a_body_is_cut_the_result_is_the_same(
        body in bodies(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        bytewise in any::<bool>(),
        skeleton_bytes in prop::sample::select(vec![60, 100, 150, 200, 600]),
    ) {
        let mut cuts: Vec<usize> = if bytewise {
            (0..body.len()).collect()
        } else {
            cuts.iter().map(|cut| cut.index(body.len() + 1)).collect()
        };
        cuts.sort_unstable();
        let limits = ScanLimits { skeleton_bytes, ..small() };
        let (mut whole, mut pieces) = (MemorySpool::default(), MemorySpool::default());
        let at_once = scan_cut(&body, &[], limits, Shape::Submission, &mut whole);
        let cut = scan_cut(&body, &cuts, limits, Shape::Submission, &mut pieces);
        prop_assert_eq!(told(at_once, &whole), told(cut, &pieces), "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn whatever_is_accepted_is_json_for_others_too(body in bodies()) {
        for shape in [Shape::Submission, Shape::Resource(None), Shape::Plain] {
            let outcome = scan_cut(&body, &[], small(), shape, &mut MemorySpool::default());
            if let Ok(scanned) = outcome {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&scanned.skeleton).is_ok());
                for payload in scanned.payloads {
                    let text = &scanned.skeleton[payload.text];
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
                }
            }
        }
    }

    #[test]
    fn any_base64_survives_any_writing_of_it(
        bytes in proptest::collection::vec(any::<u8>(), 30..300),
        writing in proptest::collection::vec((any::<prop::sample::Index>(), 0..5_usize), 0..8),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut written: Vec<String> =
            STANDARD.encode_to_string(&bytes).chars().map(String::from).collect();
        for (place, how) in writing {
            let place = place.index(written.len());
            let unit = &mut written[place];
            match how {
                0 if unit.len() == 1 => *unit = format!("\\u{:04X}", u32::from(unit.as_bytes()[0])),
                0 | 1 => unit.push_str("\\n"),
                2 => unit.push(' '),
                3 => unit.push_str("\\u000d"),
                _ if unit == "/" => *unit = "\\/".to_owned(),
                _ => unit.push_str("\\t"),
            }
        }
        let resource = format!(r#"{{"resourceType":"Binary","data":"{}"}}"#, written.concat());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(resource.len() + 1)).collect();
        cuts.sort_unstable();
        let mut spool = MemorySpool::default();
        let outcome = scan_cut(resource.as_bytes(), &cuts, small(), Shape::Resource(None), &mut spool);
        let scanned = outcome.expect("it is base64");
        prop_assert_eq!(spool.bytes(&scanned.payloads[0].taken[0].spooled), &bytes[..]);
    }

    #[test]
    fn a_property_repeated_anywhere_is_refused(
        places in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        escaped in any::<bool>(),
    ) {
        // A random tree of objects, one of which has a property twice.
        let name = |n: usize| format!("n{n}");
        let repeated = if escaped { "\\u006e0" } else { "n0" };
        let mut text = format!(r#"{{"n0":1,"n1":2,"{repeated}":3}}"#);
        for place in places {
            let width = 1 + place.index(30);
            let at = place.index(width);
            let members: Vec<String> = (0..width)
                .map(|n| format!("\"{}\":{}", name(n), if n == at { text.as_str() } else { "[{\"n0\":1}]" }))
                .collect();
            text = format!("{{{}}}", members.join(","));
        }
        let limits = ScanLimits::default();
        let outcome = scan_cut(text.as_bytes(), &[], limits, Shape::Plain, &mut MemorySpool::default());
        prop_assert_eq!(refused(outcome).rule, Rule::DuplicateKey);
    }
}
