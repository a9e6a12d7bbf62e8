//! What is taken out of a body and what is not, and data that is not base64 (J-08).

use base64_simd::STANDARD;

use super::*;
use crate::fhir::{IssueType, Spool};

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
    let error = converted.now_or_never().expect("memory does not wait").expect_err("it is refused");
    assert_eq!(
        error.issue().expression.as_deref(),
        Some("Parameters.x.resource.contained[0].data"),
        "{error}"
    );
    assert!(!spool.is_open());
}

#[test]
fn the_attachments_of_a_communication_are_taken_out_where_it_is_kept_and_stay_where_it_is_submitted() {
    let resource = format!(
        r#"{{"resourceType":"Communication","payload":[{{"contentString":"x"}},{{"contentAttachment":{{"data":"{LONG}"}}}}]}}"#
    );
    for (body, shape) in [
        (resource.clone(), Shape::Resource(Some(KnownType::Communication))),
        (format!(r#"{{"entry":[{{"resource":{resource}}}]}}"#), Shape::Bundle),
    ] {
        let (outcome, spool) = scan(&body, shape);
        let scanned = outcome.expect("it is fine");
        assert_eq!(scanned.skeleton, body.replace(LONG, ELIDED).as_bytes());
        let [taken] = &scanned.payloads[0].taken[..] else { panic!("one taken") };
        assert_eq!(taken.content, Some(1));
        assert_eq!(spool.bytes(&taken.spooled), b"ABCDEFGHIJKLMNOPQRSTUVWX");
    }
    let (outcome, spool) = scan(&submission(&resource), Shape::Submission);
    let raw = outcome.expect("it is fine").payloads[0].raw.clone().expect("it is the payload itself");
    assert_eq!(spool.bytes(&raw), resource.as_bytes());
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
    let data = STANDARD.encode_to_string(vec![7; 300_000]);
    for resource in [
        format!(r#"{{"resourceType":"Binary","data":"{data}"}}"#),
        format!(r#"{{"data":"{data}","resourceType":"Binary"}}"#),
    ] {
        let body = submission(&resource);
        let mut spool = MemorySpool::with_capacity(100_000);
        let outcome = scan_cut(body.as_bytes(), &[], ScanLimits::default(), Shape::Submission, &mut spool);
        let error = outcome.expect_err("it is refused");
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

#[test]
fn many_attachments_that_are_each_small_do_not_fill_the_skeleton() {
    let data = "QUJD".repeat(10_000);
    let attachment = format!(r#"{{"attachment":{{"data":"{data}"}}}}"#);
    let contents = vec![attachment; 500].join(",");
    let body = submission(&format!(r#"{{"resourceType":"DocumentReference","content":[{contents}]}}"#));
    let mut spool = MemorySpool::default();
    let outcome = scan_cut(body.as_bytes(), &[], ScanLimits::default(), Shape::Submission, &mut spool);
    let scanned = outcome.expect("20 MB of data are no reason to refuse it");
    assert!(scanned.skeleton.len() < 2 << 20, "{}", scanned.skeleton.len());
    let taken = &scanned.payloads[0].taken;
    assert!(taken.len() > 450 && taken.iter().all(|taken| spool.bytes(&taken.spooled).len() == 30_000));
}

#[test]
fn each_entry_of_a_bundle_is_a_payload() {
    let body = format!(
        r#"{{"resourceType":"Bundle","entry":[{{"fullUrl":"urn:x"}},
           {{"resource":{{"resourceType":"Binary","data":"{LONG}"}}}},
           {{"request":{{"method":"GET"}},"resource":{{"resourceType":"Patient"}}}}]}}"#
    );
    let (outcome, spool) = scan(&body, Shape::Bundle);
    let scanned = outcome.expect("it is a body");
    let found: Vec<_> = scanned
        .payloads
        .iter()
        .map(|payload| (payload.parameter, payload.resource_type.as_deref(), payload.taken.len()))
        .collect();
    assert_eq!(found, [(1, Some("Binary"), 1), (2, Some("Patient"), 0)]);
    assert_eq!(spool.bytes(&scanned.payloads[0].taken[0].spooled), b"ABCDEFGHIJKLMNOPQRSTUVWX");
}
