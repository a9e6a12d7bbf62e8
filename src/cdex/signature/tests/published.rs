//! The guide's own signed examples. Their certificates are their own issuers, so they are pinned, and began long after
//! the time that was signed, so time is that of receipt.

use crate::digest::{Digest, Sha256};

use super::super::canonical::canonical;
use super::super::element::Level;
use super::super::testing::now;
use super::super::{CertificateFault, Judgement, TrustAnchors, covers, verify};
use super::{broken, refused, verdict};
use crate::clock::Timestamp;
use crate::fhir::testing::published;

const QUESTIONNAIRE_RESPONSE: &str = "cdex/examples/cdex-questionnaireresponse-example4.json";
const SEARCHSET: &str = "cdex/examples/cdex-searchbundle-digital-sig-example.json";

/// File, pinned certificate, length and SHA-256 of the canonical form.
const EXAMPLES: [(&str, &str, usize, &str); 2] = [
    (
        QUESTIONNAIRE_RESPONSE,
        "f4eedd7ddc3578d672cf0c45f7f8d3039a8ceff35e88134c42e82faab4005091",
        1_423,
        "c026cc60e9d24cea40c8f5072b3fc14efe79d6c9a121ffe06193e77fef2b5e4f",
    ),
    (
        SEARCHSET,
        "e45fc2a01cb38eb779f1c4606d2ac717b778eee843d2851abd40dc842ebd28a0",
        3_073,
        "191774307cbfba569965ef316ce74cff4209f7919397d84352e7e7e8cbfa8681",
    ),
];

fn pinned(fingerprint: &str) -> TrustAnchors {
    let mut trust = TrustAnchors::default();
    trust.pin(fingerprint).expect("it is a SHA-256");
    trust
}

#[test]
fn conf_028_the_published_examples_verify() {
    for (file, certificate, length, sha256) in EXAMPLES {
        let Some(resource) = published(file) else { return };
        let payload =
            canonical(&resource, Level::of(&resource).expect("it can be signed")).expect("it is small");
        assert_eq!(
            (payload.len(), hex::encode(Sha256::digest(&payload))),
            (length, sha256.to_owned()),
            "{file}"
        );
        let verdicts = verify(&resource, "R", &pinned(certificate), now());
        let [(expression, verdict)] = &verdicts[..] else { panic!("one signature") };
        assert_eq!((verdict.judgement, broken(verdict)), (Judgement::Valid, Vec::new()), "{file}");
        assert_eq!(verdict.canonical_sha256.map(hex::encode).as_deref(), Some(sha256));
        assert_eq!(verdict.certificates.iter().map(hex::encode).collect::<Vec<_>>(), [certificate]);
        assert!(covers(&resource, "R", &[expression]), "{expression}");
    }
}

#[test]
fn a_published_example_is_refused_by_those_who_do_not_trust_it_or_at_another_time() {
    for (file, certificate, ..) in EXAMPLES {
        let Some(resource) = published(file) else { return };
        let untrusted = Judgement::BadCertificate(CertificateFault::Untrusted);
        refused(&verdict(&resource, &TrustAnchors::default()), untrusted, "CONF-050");
        for (at, fault) in [
            ("2020-10-23T04:54:56.048Z", CertificateFault::NotYetValid),
            ("2028-01-01T00:00:00Z", CertificateFault::Expired),
        ] {
            let at = Timestamp::parse_rfc3339(at).expect("it is an instant");
            let found = verify(&resource, "R", &pinned(certificate), at).remove(0).1;
            refused(&found, Judgement::BadCertificate(fault), "CONF-052");
        }
    }
}

#[test]
fn an_image_is_no_digital_signature() {
    let Some(resource) = published("cdex/examples/cdex-electronic-sig-example.json") else { return };
    let found = verdict(&resource, &TrustAnchors::default());
    refused(&found, Judgement::Electronic, "CONF-029");
    assert!(!found.judgement.is_bad());
}
