//! The serialisations of a JWS.

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::super::canonical::canonical;
use super::super::element::Level;
use super::super::testing::{Authority, Identity, Kind, bundle};
use super::super::{Judgement, LineResult};
use super::{refused, verdict};

fn with(mut bundle: Value, jws: &str) -> Value {
    bundle["signature"] = Identity::element(jws);
    bundle
}

/// A signature of the general form.
fn part(identity: &Identity) -> Value {
    let (protected, signature) = identity.signature(&bundle(), Level::Bundle, &identity.header());
    json!({ "protected": protected, "signature": signature })
}

#[test]
fn conf_046_a_payload_that_is_not_detached_must_be_the_canonical_form() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let (protected, signature) = identity.signature(&bundle(), Level::Bundle, &identity.header());
    let payload = URL_SAFE_NO_PAD.encode_to_string(canonical(&bundle(), Level::Bundle).expect("it has one"));
    let judged = |jws: &str| verdict(&with(bundle(), jws), &authority.trust());
    assert_eq!(judged(&format!("{protected}.{payload}.{signature}")).judgement, Judgement::Valid);
    let other = URL_SAFE_NO_PAD.encode_to_string("{}");
    // The signature may well be that of the payload that is there: it is not that of the resource.
    let of_other = identity.sign(&format!("{protected}.{other}"), identity.algorithm);
    refused(&judged(&format!("{protected}.{other}.{of_other}")), Judgement::BadSignature, "CONF-028");
    for jws in [format!("{protected}.{signature}"), format!("{protected}...{signature}"), protected] {
        refused(&judged(&jws), Judgement::Malformed, "CONF-046");
    }
}

#[test]
fn conf_046_the_jws_is_encoded_twice() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let mut signed = identity.signed(bundle());
    let twice = signed["signature"]["data"].as_str().expect("text").to_owned();
    let once = String::from_utf8(STANDARD.decode_to_vec(&twice).expect("base64")).expect("a JWS is ASCII");
    signed["signature"]["data"] = once.into();
    refused(&verdict(&signed, &authority.trust()), Judgement::Malformed, "CONF-046");
    let lines: Vec<&str> =
        twice.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    signed["signature"]["data"] = lines.join("\r\n").into();
    assert_eq!(verdict(&signed, &authority.trust()).judgement, Judgement::Valid, "white space may be in it");
}

#[test]
fn conf_047_of_several_signatures_one_that_holds_is_enough() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (good, bad) = (authority.identity(Kind::P256, |_| {}), stranger.identity(Kind::Rsa, |_| {}));
    let (good, bad) = (part(&good), part(&bad));
    let judged = |signatures: &Value| {
        let jws = json!({ "signatures": signatures }).to_string();
        verdict(&with(bundle(), &jws), &authority.trust())
    };
    let summary = |found: &super::Verdict| found.lines.last().map(|line| (line.rule, line.result));
    let found = judged(&json!([bad, good]));
    assert_eq!((found.judgement, summary(&found)), (Judgement::Valid, Some(("CONF-047", LineResult::Warn))));
    let found = judged(&json!([good, good]));
    assert_eq!((found.judgement, summary(&found)), (Judgement::Valid, Some(("CONF-047", LineResult::Pass))));
    assert_eq!(judged(&json!([good])).judgement, Judgement::Valid);
    let untrusted = Judgement::BadCertificate(super::super::CertificateFault::Untrusted);
    let found = judged(&json!([bad, bad]));
    refused(&found, untrusted, "CONF-050");
    assert_eq!(summary(&found), Some(("CONF-047", LineResult::Fail)));
    let flattened = with(bundle(), &good.to_string());
    assert_eq!(verdict(&flattened, &authority.trust()).judgement, Judgement::Valid);
}

#[test]
fn what_stands_in_the_json_form_must_be_signed_and_stand_once() {
    let authority = Authority::new();
    let good = part(&authority.identity(Kind::P256, |_| {}));
    let (protected, signature) = (&good["protected"], &good["signature"]);
    for jws in [
        r#"{"signatures":[]}"#.to_owned(),
        r#"{"signatures":{}}"#.to_owned(),
        "{}".to_owned(),
        "{".to_owned(),
        json!({ "signatures": vec![good.clone(); 9] }).to_string(),
        json!({ "signatures": [good], "signature": signature, "protected": protected }).to_string(),
        json!({ "signatures": [{ "signature": signature }] }).to_string(),
        json!({ "payload": 1, "protected": protected, "signature": signature }).to_string(),
        json!({ "header": { "alg": "ES256" }, "protected": protected, "signature": signature }).to_string(),
        format!(r#"{{"protected":{protected},"signature":"x","signature":{signature}}}"#),
    ] {
        refused(&verdict(&with(bundle(), &jws), &authority.trust()), Judgement::Malformed, "CONF-047");
    }
    let unsigned =
        json!({ "header": { "kid": "key" }, "payload": "", "protected": protected, "signature": signature });
    assert_eq!(
        verdict(&with(bundle(), &unsigned.to_string()), &authority.trust()).judgement,
        Judgement::Valid
    );
}

#[test]
fn a_header_in_which_a_name_stands_twice_is_refused() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let header = identity.header().to_string();
    let payload = canonical(&bundle(), Level::Bundle).expect("it has one");
    let protected = URL_SAFE_NO_PAD.encode_to_string(format!("{{\"alg\":\"none\",{}", &header[1..]));
    let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode_to_string(payload));
    let jws = format!("{protected}..{}", identity.sign(&input, identity.algorithm));
    refused(&verdict(&with(bundle(), &jws), &authority.trust()), Judgement::Malformed, "CONF-028");
}
