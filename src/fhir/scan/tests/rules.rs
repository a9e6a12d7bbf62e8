//! The corpus of bad bodies: J-01, J-02, J-04 and J-05.

use base64_simd::STANDARD;

use super::*;
use crate::fhir::IssueType;

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
    let names: Vec<String> = (0..40).map(|name| format!("\"n{name}\":[],")).collect();
    let names = names.concat();
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
    let error = outcome.expect_err("it is refused");
    let issue = error.issue();
    assert_eq!(issue.code, IssueType::Invalid);
    assert_eq!(issue.expression.as_deref(), Some("Resource.name"));
    assert!(!error.is_too_large());
    let told = format!("{issue:?} {error}");
    assert!(!told.contains("Jane") && !told.contains("secret"), "{told}");
    let (outcome, _) = scan(&format!("{{\"a\":\"{}\"}}", "x".repeat(50)), Shape::Plain);
    assert!(outcome.expect_err("it is refused").is_too_large());
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
