//! What must hold for any body, however it is cut.

use base64_simd::STANDARD;
use proptest::prelude::*;

use super::*;

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
