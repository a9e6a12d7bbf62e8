//! Whatever is changed of what is signed is found: every value of the content, every byte of the header, of the
//! certificate in it, and of the signature.

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::super::canonical::canonical;
use super::super::element::Level;
use super::super::testing::{Authority, Kind, bundle, now};
use super::super::{Judgement, TrustAnchors, verify};
use super::{broken, verdict};
use crate::fhir::testing::published;

/// Paths of all scalars, and of all objects and arrays, of a value.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                paths(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                paths(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Every way to change the value at a place by little.
fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!(false)],
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let digits = format!("{}1", number.as_str());
            vec![
                Value::String(number.to_string()),
                serde_json::from_str(&digits).expect("more digits are a number"),
            ]
        }
        Value::String(text) => {
            let mut changed =
                vec![json!(format!("{text} ")), json!(text.to_uppercase()), json!(text.to_lowercase())];
            // Characters by their lowest bit: each of a short text, some of a long one.
            for (at, character) in text.char_indices().step_by(1 + text.len() / 64) {
                let Some(other) = char::from_u32(u32::from(character) ^ 1) else { continue };
                let end = at + character.len_utf8();
                changed.push(json!(format!("{}{other}{}", &text[..at], &text[end..])));
            }
            changed
        }
        Value::Array(items) => {
            let mut shorter = items.clone();
            shorter.pop();
            let reversed: Vec<Value> = items.iter().rev().cloned().collect();
            vec![Value::Array(shorter), Value::Array(reversed)]
        }
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("another".to_owned(), json!(1));
            let mut changed = vec![Value::Object(more)];
            for name in members.keys() {
                let mut fewer = members.clone();
                fewer.shift_remove(name);
                changed.push(Value::Object(fewer));
            }
            changed
        }
    }
}

fn every_change_of_content_is_found(signed: &Value, trust: &TrustAnchors) {
    let level = Level::of(signed).expect("it can be signed");
    let before = canonical(signed, level).expect("it has a canonical form");
    let mut found = Vec::new();
    paths(signed, "", &mut found);
    // The signature itself is not signed, nor are id and meta.
    let is_signed = |path: &String| {
        !["/signature", "/extension", "/id", "/meta"].iter().any(|own| path.starts_with(own))
            && !path.is_empty()
    };
    let mut tried = 0;
    for path in found.iter().filter(|path| is_signed(path)) {
        let value = signed.pointer(path).expect("it was found there");
        for other in changes(value).into_iter().filter(|other| other != value) {
            let mut changed = signed.clone();
            *changed.pointer_mut(path).expect("it was found there") = other;
            if path == "/resourceType" || canonical(&changed, level).is_ok_and(|after| after == before) {
                continue;
            }
            tried += 1;
            let judged = verdict(&changed, trust);
            assert_eq!(
                (judged.judgement, broken(&judged)),
                (Judgement::BadSignature, vec!["CONF-028"]),
                "{path}"
            );
        }
    }
    assert!(tried > 100, "{tried}");
    for (name, value) in [("id", json!("another")), ("meta", json!({ "versionId": "9" }))] {
        let mut changed = signed.clone();
        changed[name] = value;
        assert_eq!(verdict(&changed, trust).judgement, Judgement::Valid, "{name} is not signed");
    }
}

#[test]
fn every_change_of_the_content_is_refused() {
    let authority = Authority::new();
    let signed = authority.identity(Kind::P256, |_| {}).signed(bundle());
    every_change_of_content_is_found(&signed, &authority.trust());
}

/// Tries every change of a published example, with its certificate pinned by its SHA-256.
fn every_change_of_a_published_example_is_found(file: &str, certificate: &str) {
    let Some(signed) = published(file) else { return };
    let mut trust = TrustAnchors::default();
    trust.pin(certificate).expect("it is a SHA-256");
    every_change_of_content_is_found(&signed, &trust);
    every_byte_of_the_content_counts(&signed, &trust);
    every_change_of_the_jws_is_found(&signed, &trust);
}

#[test]
fn every_change_of_the_published_response_is_refused() {
    every_change_of_a_published_example_is_found(
        "cdex/examples/cdex-questionnaireresponse-example4.json",
        "f4eedd7ddc3578d672cf0c45f7f8d3039a8ceff35e88134c42e82faab4005091",
    );
}

#[test]
fn every_change_of_the_published_searchset_is_refused() {
    every_change_of_a_published_example_is_found(
        "cdex/examples/cdex-searchbundle-digital-sig-example.json",
        "e45fc2a01cb38eb779f1c4606d2ac717b778eee843d2851abd40dc842ebd28a0",
    );
}

/// Changes single bits of single bytes of the text.
fn every_byte_of_the_content_counts(signed: &Value, trust: &TrustAnchors) {
    let level = Level::of(signed).expect("it can be signed");
    let before = canonical(signed, level).expect("it has a canonical form");
    let text = signed.to_string().into_bytes();
    let mut tried = 0;
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1 << (at % 7);
        // What is no JSON, or no longer of a type that can be signed, no door takes as signed.
        let Ok(changed) = serde_json::from_slice::<Value>(&changed) else { continue };
        if Level::of(&changed) != Some(level) {
            continue;
        }
        match canonical(&changed, level) {
            Ok(after) if after == before => continue,
            _ => tried += 1,
        }
        let verdicts = verify(&changed, "R", trust, now());
        let [(_, judged)] = &verdicts[..] else {
            assert!(verdicts.is_empty(), "byte {at}: its place for signatures has another name");
            continue;
        };
        assert_eq!(
            (judged.judgement, broken(judged)),
            (Judgement::BadSignature, vec!["CONF-028"]),
            "byte {at}"
        );
    }
    assert!(tried > before.len() / 2, "{tried}");
}

/// Where the data of the only signature is.
fn data(signed: &mut Value) -> &mut Value {
    let path = if signed.get("signature").is_some() {
        "/signature/data"
    } else {
        "/extension/0/valueSignature/data"
    };
    signed.pointer_mut(path).expect("it is signed")
}

/// The rules that a change of the JWS can break, besides that of the signature itself: those of its form, where it can
/// no longer be taken apart, and those of what is read from it.
const FORM: [&str; 3] = ["CONF-028", "CONF-046", "CONF-047"];
const HEADER: [&str; 8] =
    ["CONF-028", "CONF-038", "CONF-040", "CONF-042", "CONF-043", "CONF-044", "CONF-054", "CONF-055"];
const CERTIFICATE: [&str; 7] =
    ["CONF-042", "CONF-048", "CONF-050", "CONF-051", "CONF-052", "CONF-053", "CONF-040"];

/// Changes single bits of single bytes: of the JWS as text, of the header behind its encoding, and of the certificate
/// behind its own. Each is refused by the rule of what was changed, and where the header can still be read by that of
/// the signature, too, which covers it.
fn every_change_of_the_jws_is_found(signed: &Value, trust: &TrustAnchors) {
    let jws = STANDARD.decode_to_vec(data(&mut signed.clone()).as_str().expect("text")).expect("base64");
    let judge = |jws: Vec<u8>| {
        let mut changed = signed.clone();
        *data(&mut changed) = STANDARD.encode_to_string(jws).into();
        verdict(&changed, trust)
    };
    let refuses = |jws: Vec<u8>, rules: &[&str], what: &str| {
        let judged = judge(jws);
        let broken = broken(&judged);
        assert_ne!(judged.judgement, Judgement::Valid, "{what}");
        let first = broken.first().expect("a rule is broken");
        assert!(rules.contains(first), "{what}: {broken:?}");
        let is_read = judged.lines.iter().any(|line| line.rule == "CONF-050");
        assert!(
            !is_read || broken.iter().any(|rule| ["CONF-028", "CONF-040"].contains(rule)),
            "{what}: {broken:?}"
        );
    };
    let text = String::from_utf8(jws.clone()).expect("a JWS is ASCII");
    let (protected, rest) = text.split_once('.').expect("it has segments");
    let any: Vec<&str> = [&FORM[..], &HEADER, &CERTIFICATE].concat();
    for at in 0..jws.len() {
        let mut changed = jws.clone();
        changed[at] ^= 1 << (at % 7);
        let rules = if at < protected.len() { &any[..] } else { &FORM };
        refuses(changed, rules, &format!("byte {at} of the JWS"));
    }
    let header = URL_SAFE_NO_PAD.decode_to_vec(protected).expect("base64url");
    let with_header =
        |header: &[u8]| format!("{}.{rest}", URL_SAFE_NO_PAD.encode_to_string(header)).into_bytes();
    let parsed: Value = serde_json::from_slice(&header).expect("a header is JSON");
    let certificate = parsed["x5c"][0].as_str().expect("text");
    let place =
        String::from_utf8(header.clone()).expect("a header is text").find(certificate).expect("it is there");
    let within = place..place + certificate.len();
    let both: Vec<&str> = [&HEADER[..], &CERTIFICATE].concat();
    for at in 0..header.len() {
        let mut changed = header.clone();
        changed[at] ^= 1 << (at % 7);
        let rules = if within.contains(&at) { &both } else { &HEADER[..] };
        refuses(with_header(&changed), rules, &format!("byte {at} of the header"));
    }
    let der = STANDARD.decode_to_vec(certificate).expect("base64");
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1 << (at % 8);
        let mut header = parsed.clone();
        header["x5c"][0] = STANDARD.encode_to_string(changed).into();
        refuses(
            with_header(header.to_string().as_bytes()),
            &CERTIFICATE,
            &format!("byte {at} of the certificate"),
        );
    }
}

#[test]
fn every_change_of_header_certificate_and_signature_is_refused() {
    let authority = Authority::new();
    for kind in [Kind::P256, Kind::Rsa] {
        let signed = authority.identity(kind, |_| {}).signed(bundle());
        every_change_of_the_jws_is_found(&signed, &authority.trust());
    }
}

/// Any JSON that has a canonical form.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        proptest::num::f64::NORMAL
            .prop_map(|double| Number::from_f64(double).map_or(Value::Null, Value::Number)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The same JSON written another way: members turned round, numbers with an exponent, white space between tokens.
fn rewritten(value: &Value) -> Value {
    let text = match value {
        Value::Object(members) => {
            return Value::Object(
                members.iter().rev().map(|(name, value)| (name.clone(), rewritten(value))).collect(),
            );
        }
        Value::Array(items) => return items.iter().map(rewritten).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(double) => format!("{double:e}"),
            None => number.to_string(),
        },
        other => return other.clone(),
    };
    serde_json::from_str(&text).expect("it is a number")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_content_can_be_signed_and_how_it_is_written_does_not_matter(content in json_value(), other in json_value()) {
        let authority = Authority::new();
        let identity = authority.identity(Kind::P256, |_| {});
        let signed = identity.signed(json!({ "resourceType": "Bundle", "entry": [{ "resource": content }] }));
        prop_assert_eq!(verdict(&signed, &authority.trust()).judgement, Judgement::Valid);
        let text = serde_json::to_string_pretty(&rewritten(&signed)).expect("it is JSON");
        let read: Value = serde_json::from_str(&text).expect("it is JSON");
        prop_assert_eq!(verdict(&read, &authority.trust()).judgement, Judgement::Valid);
        let mut changed = signed.clone();
        changed["entry"][0]["resource"] = other;
        let same = canonical(&changed, Level::Bundle) == canonical(&signed, Level::Bundle);
        prop_assert_eq!(verdict(&changed, &authority.trust()).judgement == Judgement::Valid, same);
    }
}
