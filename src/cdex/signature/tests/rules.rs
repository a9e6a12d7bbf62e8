//! Every rule, broken once: which judgement that is, and which rule is named.

use rcgen::{CertificateParams, KeyUsagePurpose, SanType, date_time_ymd};
use serde_json::{Value, json};

use super::super::testing::{Authority, Identity, Kind, NPI, bundle, npi, other_name, unknown_extension};
use super::super::{CertificateFault, Judgement, LineResult, TrustAnchors};
use super::{broken, refused, verdict};

use CertificateFault::{Expired, KeyUsage, NotYetValid, Untrusted};
use Judgement::{
    BadCertificate, BadSignature, CommitmentMismatch, IdentityMismatch, Malformed, TimeMismatch, Unsupported,
    Valid,
};

/// A change of the JSON in question, by the path of what is changed; nothing removes it.
type Change = (&'static str, Option<Value>);

fn change(json: &mut Value, (path, value): &Change) {
    let (parent, name) = path.rsplit_once('/').expect("a pointer has a slash");
    let parent = json.pointer_mut(parent).expect("what is changed is there");
    match (parent, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value.clone())),
        (Value::Object(members), None) => drop(members.shift_remove(name)),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().expect("an index")] = value.clone(),
        _ => panic!("nothing to change"),
    }
}

#[test]
fn a_signature_of_every_kind_of_key_is_valid() {
    let authority = Authority::new();
    for kind in [Kind::Rsa, Kind::P256, Kind::P384] {
        let signed = authority.identity(kind, |_| {}).signed(bundle());
        let found = verdict(&signed, &authority.trust());
        assert_eq!((found.judgement, broken(&found)), (Valid, Vec::new()), "{kind:?}");
    }
}

/// CONF-027, 029, 031, 033, 046, 049, 053, 055: the elements of the Signature, which are not signed themselves.
#[test]
fn every_rule_of_the_signature_element_is_named_when_it_is_broken() {
    let authority = Authority::new();
    let signed = authority.identity(Kind::P256, |_| {}).signed(bundle());
    let cross =
        "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json+xml#document";
    let other_type = json!({ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1" });
    let cases: Vec<(Change, Judgement, &str)> = vec![
        (("/sigFormat", None), Malformed, "CONF-029"),
        (("/sigFormat", Some(json!("application/pkcs7-signature"))), Unsupported, "CONF-029"),
        (("/sigFormat", Some(json!("image/jpeg"))), Judgement::Electronic, "CONF-029"),
        (("/targetFormat", None), Malformed, "CONF-031"),
        (("/targetFormat", Some(json!("application/fhir+json"))), Malformed, "CONF-031"),
        (("/targetFormat", Some(json!(cross))), Unsupported, "CONF-033"),
        (("/type", None), Malformed, "CONF-027"),
        (("/type/0/system", Some(json!("http://example.org"))), Malformed, "CONF-027"),
        (("/type/0", Some(other_type)), Malformed, "CONF-027"),
        (("/when", None), Malformed, "CONF-027"),
        (("/when", Some(json!("2026-01-01"))), Malformed, "CONF-027"),
        (("/when", Some(json!("2026-01-01T00:00:00.001Z"))), TimeMismatch, "CONF-055"),
        (("/who", None), Malformed, "CONF-027"),
        (("/who", Some(json!({ "reference": "Practitioner/1" }))), Malformed, "CONF-027"),
        (("/who/identifier/value", Some(json!("1111111111"))), IdentityMismatch, "CONF-053"),
        (
            ("/who/identifier/system", Some(json!("urn:oid:2.16.840.1.113883.4.4"))),
            IdentityMismatch,
            "CONF-053",
        ),
        (("/who/identifier/system", None), IdentityMismatch, "CONF-053"),
        (("/data", None), Malformed, "CONF-046"),
        (("/data", Some(json!("a.b.c"))), Malformed, "CONF-046"),
        (("/data", Some(json!("Li4="))), Malformed, "CONF-028"),
        (("/data", Some(json!("LQ=="))), Malformed, "CONF-046"),
        (("/data", Some(json!("/w=="))), Malformed, "CONF-046"),
    ];
    for (changed, judgement, rule) in cases {
        let mut signed = signed.clone();
        change(&mut signed["signature"], &changed);
        let found = verdict(&signed, &authority.trust());
        assert_eq!((found.judgement, broken(&found).first()), (judgement, Some(&rule)), "{changed:?}");
    }
}

/// CONF-039, which is CONF-054 on the verifying side.
#[test]
fn another_purpose_in_the_type_must_be_signed_too() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let mut signed = identity.signed(bundle());
    let review = json!({ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.14" });
    signed["signature"]["type"].as_array_mut().expect("types").push(review);
    refused(&verdict(&signed, &authority.trust()), CommitmentMismatch, "CONF-054");
    let mut header = identity.header();
    let both = ["urn:oid:1.2.840.10065.1.12.1.14", "urn:oid:1.2.840.10065.1.12.1.5"];
    header["srCms"] = both.iter().map(|id| json!({ "commId": { "id": id } })).collect();
    signed["signature"]["data"] = Identity::element(&identity.jws(&signed, &header))["data"].take();
    assert_eq!(verdict(&signed, &authority.trust()).judgement, Valid);
}

/// CONF-037 to CONF-045: the header. It is signed, so each case is signed anew.
#[test]
fn every_rule_of_the_header_is_named_when_it_is_broken() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let other = json!([{ "commId": { "id": "urn:oid:1.2.840.10065.1.12.1.1" } }]);
    let mut urlsafe = identity.x5c();
    let encoded = urlsafe[0].as_str().expect("text").replace('+', "-").replace('/', "_");
    urlsafe[0] = encoded.trim_end_matches('=').into();
    let x5c = identity.x5c();
    let six_more: Vec<Value> = vec![x5c[0].clone(); 7];
    let spaced = format!("{}\n", x5c[0].as_str().expect("text"));
    let cases: Vec<(Change, Judgement, &str)> = vec![
        (("/alg", None), Malformed, "CONF-040"),
        (("/alg", Some(json!("none"))), Unsupported, "CONF-040"),
        (("/alg", Some(json!("HS256"))), Unsupported, "CONF-040"),
        (("/alg", Some(json!("EdDSA"))), Unsupported, "CONF-040"),
        (("/alg", Some(json!("RS256"))), BadSignature, "CONF-040"),
        (("/alg", Some(json!("ES384"))), BadSignature, "CONF-040"),
        (("/x5c", None), Malformed, "CONF-042"),
        (("/x5c", Some(json!([]))), Malformed, "CONF-042"),
        (("/x5c", Some(json!("text"))), Malformed, "CONF-042"),
        (("/x5c", Some(json!(["AAAA"]))), Malformed, "CONF-042"),
        (("/x5c", Some(urlsafe)), Malformed, "CONF-042"),
        (("/x5c/0", Some(json!(spaced))), Malformed, "CONF-042"),
        (("/x5c", Some(json!(six_more))), Malformed, "CONF-042"),
        (("/sigT", None), Malformed, "CONF-043"),
        (("/sigT", Some(json!("2026-01-01T00:00:00"))), Malformed, "CONF-043"),
        (("/sigT", Some(json!(1_767_225_600))), Malformed, "CONF-043"),
        (("/sigT", Some(json!("2026-01-01T00:00:01Z"))), TimeMismatch, "CONF-055"),
        (("/srCms", None), Malformed, "CONF-044"),
        (("/srCms", Some(json!([]))), Malformed, "CONF-044"),
        (("/srCms", Some(json!([{ "commId": "text" }]))), Malformed, "CONF-044"),
        (("/srCms", Some(other)), CommitmentMismatch, "CONF-038"),
        (("/crit", Some(json!(["exp"]))), Unsupported, "CONF-028"),
        (("/crit", Some(json!([]))), Unsupported, "CONF-028"),
        (("/crit", Some(json!("sigT"))), Unsupported, "CONF-028"),
        (("/b64", Some(json!(false))), Unsupported, "CONF-028"),
    ];
    for (changed, judgement, rule) in cases {
        let mut header = identity.header();
        change(&mut header, &changed);
        let found = verdict(&identity.signed_with(bundle(), &header), &authority.trust());
        assert_eq!((found.judgement, broken(&found).first()), (judgement, Some(&rule)), "{changed:?}");
    }
    for (name, value) in [
        ("crit", json!(["sigT", "srCms"])),
        ("kty", json!("RS")),
        ("typ", json!("JWT")),
        ("kid", json!("key")),
        ("jwk", json!({ "kty": "oct" })),
        ("jku", json!("http://127.0.0.1/")),
        ("b64", json!(true)),
    ] {
        let mut header = identity.header();
        header[name] = value;
        let found = verdict(&identity.signed_with(bundle(), &header), &authority.trust());
        assert_eq!(found.judgement, Valid, "{name}");
    }
}

#[test]
fn conf_045_another_hash_than_sha_256_is_taken_and_told() {
    let authority = Authority::new();
    let signed = authority.identity(Kind::P384, |_| {}).signed(bundle());
    let found = verdict(&signed, &authority.trust());
    let told: Vec<_> =
        found.lines.iter().filter(|line| line.rule == "CONF-045").map(|line| line.result).collect();
    assert_eq!((found.judgement, told), (Valid, vec![LineResult::Warn]));
}

/// CONF-048 to CONF-052: the certificate.
#[test]
fn every_rule_of_the_certificate_is_named_when_it_is_broken() {
    type Make = fn(&mut CertificateParams);
    let authority = Authority::new();
    let cases: [(&str, Make, Judgement, Option<&str>); 10] = [
        ("usual", |_| {}, Valid, None),
        (
            "expired",
            |params| params.not_after = date_time_ymd(2025, 12, 31),
            BadCertificate(Expired),
            Some("CONF-052"),
        ),
        (
            "not yet",
            |params| params.not_before = date_time_ymd(2026, 1, 2),
            BadCertificate(NotYetValid),
            Some("CONF-052"),
        ),
        (
            "for keys",
            |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            BadCertificate(KeyUsage),
            Some("CONF-051"),
        ),
        (
            "non-repudiation",
            |params| params.key_usages = vec![KeyUsagePurpose::ContentCommitment],
            Valid,
            None,
        ),
        ("any use", |params| params.key_usages = Vec::new(), Valid, None),
        ("no names", |params| params.subject_alt_names = Vec::new(), IdentityMismatch, Some("CONF-048")),
        (
            "other name",
            |params| params.subject_alt_names = vec![npi("1111111111")],
            IdentityMismatch,
            Some("CONF-053"),
        ),
        (
            "another numbering",
            |params| {
                params.subject_alt_names =
                    vec![other_name(&[1, 2, 3], NPI), SanType::DnsName(NPI.try_into().expect("ASCII"))];
            },
            IdentityMismatch,
            Some("CONF-053"),
        ),
        (
            "critical extension",
            |params| params.custom_extensions = vec![unknown_extension()],
            BadCertificate(Untrusted),
            Some("CONF-050"),
        ),
    ];
    for (name, make, judgement, rule) in cases {
        let found = verdict(&authority.identity(Kind::P256, make).signed(bundle()), &authority.trust());
        assert_eq!((found.judgement, broken(&found).first().copied()), (judgement, rule), "{name}");
    }
}

#[test]
fn conf_050_a_certificate_must_lead_to_an_authority_that_is_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let below = authority.below();
    let untrusted = BadCertificate(Untrusted);
    let identity = below.identity(Kind::P256, |_| {});
    let without = identity.signed(bundle());
    refused(&verdict(&without, &authority.trust()), untrusted, "CONF-050");
    assert_eq!(verdict(&without, &below.trust()).judgement, Valid);
    assert_eq!(verdict(&without, &identity.trust()).judgement, Valid, "it is trusted by itself");
    let mut pinned = TrustAnchors::default();
    let fingerprint: Vec<String> = verdict(&without, &stranger.trust()).certificates[0]
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pinned.pin(&fingerprint.join(":")).expect("it is a SHA-256");
    assert_eq!(verdict(&without, &pinned).judgement, Valid, "it is pinned");
    let with = below.identity(Kind::P256, |_| {}).with(&below).signed(bundle());
    assert_eq!(verdict(&with, &authority.trust()).judgement, Valid);
    refused(&verdict(&with, &stranger.trust()), untrusted, "CONF-050");
    refused(&verdict(&with, &TrustAnchors::default()), untrusted, "CONF-050");
    // An authority is no signer, whoever trusts it.
    let mut forged = below.identity(Kind::P256, |_| {});
    forged.chain = vec![authority.certificate.clone()];
    assert_ne!(verdict(&forged.signed(bundle()), &authority.trust()).judgement, Valid);
}

/// CONF-049 and CONF-053: which names are which identifiers (cdex.md 8.4, step 9).
#[test]
fn conf_049_a_name_of_the_certificate_is_the_identifier_of_the_signer() {
    let npi_system = "http://hl7.org/fhir/sid/us-npi";
    let tax = || other_name(&[2, 16, 840, 1, 113_883, 4, 4], "12-345");
    let uri = || SanType::URI("https://example.org/fhir/Practitioner/123".try_into().expect("ASCII"));
    let typed = |code: &str, value: &str| json!({ "type": { "coding": [{ "code": code }] }, "value": value });
    for (name, identifier, matches) in [
        (npi("1"), json!({ "system": npi_system, "value": "1" }), true),
        (npi("1"), json!({ "system": "urn:oid:2.16.840.1.113883.4.6", "value": "1" }), true),
        (npi("1"), typed("NPI", "1"), true),
        (npi("1"), typed("TAX", "1"), false),
        (npi("1"), json!({ "value": "1" }), false),
        (npi("1"), json!({ "system": npi_system, "value": "01" }), false),
        (npi("1"), json!({ "system": npi_system, "value": "" }), false),
        (tax(), json!({ "system": "urn:oid:2.16.840.1.113883.4.4", "value": "12-345" }), true),
        (tax(), typed("TAX", "12-345"), true),
        (tax(), json!({ "system": npi_system, "value": "12-345" }), false),
        (other_name(&[1, 2, 3], "x"), json!({ "system": "urn:oid:1.2.3", "value": "x" }), true),
        (other_name(&[1, 2, 3], "x"), json!({ "system": "urn:oid:1.2.4", "value": "x" }), false),
        (
            uri(),
            json!({ "system": "urn:ietf:rfc:3986", "value": "https://example.org/fhir/Practitioner/123" }),
            true,
        ),
        (uri(), json!({ "value": "https://example.org/fhir/Practitioner/12" }), false),
    ] {
        let authority = Authority::new();
        let what = format!("{name:?} {identifier}");
        let identity = authority.identity(Kind::P256, |params| params.subject_alt_names = vec![name]);
        let mut signed = identity.signed(bundle());
        signed["signature"]["who"]["identifier"] = identifier;
        assert_eq!(verdict(&signed, &authority.trust()).judgement == Valid, matches, "{what}");
    }
}

#[test]
fn the_published_2_1_0_is_taken_where_that_is_agreed() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let mut lenient = authority.trust();
    lenient.accept_legacy(true);
    let header = json!({ "alg": "ES256", "kty": "RS", "x5c": identity.x5c() });
    let mut signed = identity.signed_with(bundle(), &header);
    for name in ["sigFormat", "targetFormat"] {
        change(
            &mut signed["signature"],
            &(
                match name {
                    "sigFormat" => "/sigFormat",
                    _ => "/targetFormat",
                },
                None,
            ),
        );
    }
    refused(&verdict(&signed, &authority.trust()), Malformed, "CONF-029");
    let found = verdict(&signed, &lenient);
    let warned: Vec<_> =
        found.lines.iter().filter(|line| line.result == LineResult::Warn).map(|line| line.rule).collect();
    assert_eq!((found.judgement, warned), (Valid, vec!["CONF-029", "CONF-031", "CONF-043", "CONF-044"]));
    // What is there must be right all the same.
    signed["entry"][0]["fullUrl"] = "urn:x".into();
    refused(&verdict(&signed, &lenient), BadSignature, "CONF-028");
}

#[test]
fn a_bundle_that_was_signed_without_the_profiles_of_its_entries_is_taken_where_that_is_agreed() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |_| {});
    let mut lenient = authority.trust();
    lenient.accept_legacy(true);
    let mut stripped = bundle();
    change(&mut stripped["entry"][0]["resource"], &("/meta", None));
    let mut signed = bundle();
    signed["signature"] = identity.signed(stripped)["signature"].take();
    refused(&verdict(&signed, &authority.trust()), BadSignature, "CONF-028");
    let found = verdict(&signed, &lenient);
    assert_eq!(found.judgement, Valid);
    assert!(found.lines.iter().any(|line| line.rule == "CONF-028" && line.result == LineResult::Warn));
}

/// CONF-025 and CONF-052: the guide's words.
#[test]
fn what_is_answered_to_a_bad_signature_is_what_the_guide_shows() {
    let authority = Authority::new();
    let identity = authority.identity(Kind::P256, |params| params.not_after = date_time_ymd(2025, 12, 31));
    let found = verdict(&identity.signed(bundle()), &authority.trust());
    let issues = found.issues("Bundle.signature", true);
    assert_eq!(issues[0].text, "The signature cannot be verified because the certificate is expired");
    assert_eq!(issues[0].code.as_code(), "business-rule");
    assert_eq!(issues[0].diagnostics.as_deref(), Some("Resubmit with valid digital signature"));
    assert_eq!(issues.iter().filter(|issue| issue.is_error()).count(), 2, "the judgement and its rule");
    assert_eq!(issues.len(), found.lines.len() + 1, "a line for each rule");
    assert!(found.issues("Bundle.signature", false).iter().all(|issue| !issue.is_error()));
    let missing = super::super::Verdict::missing().issues("Bundle", true);
    assert_eq!(missing[0].text, "This health care attachments transactions requires a digital signature");
}
