//! Verification, in the order of the guide: the Signature, its JWS, the certificate, the signature itself, and whether
//! what was signed is what the Signature says. Every rule that can be looked at is, also after one is broken.

use std::collections::BTreeSet;

use crate::digest::{Digest, Sha256};
use serde_json::Value;

use super::canonical::{canonical, canonical_without_profiles, keeps_numbers};
use super::certificate::{self, Certificate};
use super::element::{Level, Signed, signatures, text};
use super::jws::{self, Algorithm, Encoded, Header};
use super::trust::TrustAnchors;
use super::verdict::{Judgement, Lines, Verdict};
use super::{CROSS_FORMAT, SIG_FORMAT, SIGNATURE_TYPES, TARGET_FORMAT, VERIFICATION, VERIFICATION_DISPLAY};
use crate::clock::Timestamp;
use crate::fhir::base64;
use crate::fhir::datatype::{Coding, is_instant};

/// Signatures of one resource that are verified; those beyond are not supported.
const MOST_SIGNATURES: usize = 32;

/// Verifies every signature in the resource at `at`, as it was received. Each verdict comes with the path of its
/// Signature; a resource without signatures has none.
pub(crate) fn verify(
    resource: &Value,
    at: &str,
    trust: &TrustAnchors,
    now: Timestamp,
) -> Vec<(String, Verdict)> {
    let found = signatures(resource, at, MOST_SIGNATURES + 1);
    let mut verdicts: Vec<_> = found
        .iter()
        .take(MOST_SIGNATURES)
        .map(|signed| (signed.expression.clone(), verify_one(signed, trust, now)))
        .collect();
    if let Some(beyond) = found.get(MOST_SIGNATURES) {
        let mut lines = Lines::default();
        lines.fail(
            "CONF-028",
            Judgement::Unsupported,
            "No more than 32 signatures of a resource are verified",
        );
        verdicts.push((beyond.expression.clone(), lines.into_verdict(Judgement::Unsupported)));
    }
    verdicts
}

fn verify_one(signed: &Signed<'_>, trust: &TrustAnchors, now: Timestamp) -> Verdict {
    let mut lines = Lines::new(trust.accepts_legacy());
    if !check_format(signed.signature, &mut lines) {
        return lines.into_verdict(Judgement::Malformed);
    }
    check_element(signed.signature, &mut lines);
    let payload = payload(signed, &mut lines);
    let canonical_sha256 = payload.as_ref().map(|canonical| Sha256::digest(canonical).into());
    let data = text(signed.signature, "data").and_then(|data| base64::decode(data).ok());
    let Some(data) = data else {
        let text = "The data is not the base64 of a JWS, which is itself in base64url";
        lines.fail("CONF-046", Judgement::Malformed, text);
        return Verdict { canonical_sha256, ..lines.into_verdict(Judgement::Malformed) };
    };
    let Some(encoded) = jws::parse(&data, &mut lines) else {
        return Verdict { canonical_sha256, ..lines.into_verdict(Judgement::Malformed) };
    };
    let judged: Vec<Verdict> = encoded
        .iter()
        .map(|encoded| {
            let mut found = lines.fresh();
            let certificates = judge(encoded, signed, payload.as_deref(), (trust, now), &mut found);
            Verdict { certificates, canonical_sha256, ..found.after(&lines).into_verdict(Judgement::Valid) }
        })
        .collect();
    best(judged)
}

/// Of several signatures of one JWS one that holds is enough (CONF-047); if none does, the first tells why.
fn best(judged: Vec<Verdict>) -> Verdict {
    let (count, valid) =
        (judged.len(), judged.iter().filter(|one| one.judgement == Judgement::Valid).count());
    let mut judged = judged.into_iter();
    let Some(first) = judged.next() else { return Lines::default().into_verdict(Judgement::Malformed) };
    let best = if first.judgement == Judgement::Valid {
        first
    } else {
        judged.find(|one| one.judgement == Judgement::Valid).unwrap_or(first)
    };
    if count == 1 {
        return best;
    }
    let mut lines = Lines::default();
    match valid {
        0 => lines.fail("CONF-047", best.judgement, "None of several signatures holds"),
        _ if valid == count => lines.pass("CONF-047", "All of several signatures hold"),
        _ => lines.warn("CONF-047", "Of several signatures not all hold"),
    }
    let summary = lines.into_verdict(best.judgement).lines;
    Verdict { lines: best.lines.into_iter().chain(summary).collect(), ..best }
}

/// Whether this is a digital signature at all (CONF-029).
fn check_format(signature: &Value, lines: &mut Lines) -> bool {
    let format = text(signature, "sigFormat");
    let (judgement, text) = match format {
        Some(SIG_FORMAT) | None => {
            let missing = (Judgement::Malformed, "There is no sigFormat");
            let is_there = format.is_some();
            return lines.hold_new("CONF-029", is_there, "sigFormat is application/jose", missing)
                || lines.is_clean();
        }
        Some(format) if ["image/", "text/"].iter().any(|family| format.starts_with(family)) => {
            (Judgement::Electronic, "sigFormat is that of an electronic signature")
        }
        Some(_) => (Judgement::Unsupported, "sigFormat is not application/jose"),
    };
    lines.fail("CONF-029", judgement, text);
    false
}

/// The other elements of the Signature (CONF-027, 031, 033).
fn check_element(signature: &Value, lines: &mut Lines) {
    match text(signature, "targetFormat") {
        Some(TARGET_FORMAT) => lines.pass("CONF-031", "targetFormat is that of canonical FHIR JSON"),
        Some(CROSS_FORMAT) => {
            lines.fail(
                "CONF-033",
                Judgement::Unsupported,
                "The canonicalization for JSON and XML is not supported",
            );
        }
        Some(_) => {
            lines.fail("CONF-031", Judgement::Malformed, "targetFormat is not that of canonical FHIR JSON");
        }
        None => {
            let missing = (Judgement::Malformed, "There is no targetFormat");
            lines.hold_new("CONF-031", false, "targetFormat is there", missing);
        }
    }
    let types = signature.get("type").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let verification = types.iter().find(|coding| {
        Coding::of(coding) == Coding { system: Some(SIGNATURE_TYPES), code: Some(VERIFICATION) }
    });
    lines.hold(
        "CONF-027",
        verification.is_some(),
        "The type holds a verification signature",
        (Judgement::Malformed, "The type does not hold a verification signature"),
    );
    if verification.is_some_and(|coding| text(coding, "display") != Some(VERIFICATION_DISPLAY)) {
        lines.warn(
            "CONF-027",
            "The type of a verification signature lacks the display that the profile fixes",
        );
    }
    lines.hold(
        "CONF-027",
        text(signature, "when").is_some_and(is_instant),
        "The signature has its time",
        (Judgement::Malformed, "There is no when that is an instant"),
    );
    lines.hold(
        "CONF-027",
        signature.get("who").is_some_and(certificate::is_identified),
        "The signature names the signer by an identifier",
        (Judgement::Malformed, "There is no who with an identifier"),
    );
}

/// What is signed, if it has a canonical form (CONF-030).
fn payload(signed: &Signed<'_>, lines: &mut Lines) -> Option<Vec<u8>> {
    let Ok(canonical) = canonical(signed.element, signed.level) else {
        lines.fail("CONF-030", Judgement::Malformed, "A number is too large for the canonical form");
        return None;
    };
    if keeps_numbers(signed.element) {
        lines.pass("CONF-030", "The content has a canonical form");
    } else {
        lines.warn("CONF-030", "Some numbers have more digits than a signature protects");
    }
    Some(canonical)
}

/// One signature of the JWS.
fn judge(
    encoded: &Encoded,
    signed: &Signed<'_>,
    canonical: Option<&[u8]>,
    (trust, now): (&TrustAnchors, Timestamp),
    lines: &mut Lines,
) -> Vec<[u8; 32]> {
    let Some(header) = Header::read(&encoded.protected, lines) else { return Vec::new() };
    let Some(chain) = certificate::chain(&header, lines) else { return Vec::new() };
    let certificates = chain.iter().map(|certificate| certificate.fingerprint).collect();
    let Some(leaf) = chain.first() else { return certificates };
    leaf.check(now, trust.requires_key_usage(), lines);
    trust.check(&chain, now, lines);
    if let Some(canonical) = canonical {
        let proof = Proof { encoded, algorithm: header.algorithm, leaf };
        proof.check(signed, canonical, trust, lines);
    }
    let signature = signed.signature;
    leaf.check_identity(signature.get("who").unwrap_or(&Value::Null), lines);
    if let Some(commitments) = &header.commitments {
        check_types(signature, commitments, lines);
    }
    if header.signed_at.is_some() {
        check_time(signature, &header, lines);
    }
    certificates
}

/// A signature, and the key that should have made it.
struct Proof<'a> {
    encoded: &'a Encoded,
    algorithm: Algorithm,
    leaf: &'a Certificate,
}

impl Proof<'_> {
    /// Whether it is the signature of the canonical form (CONF-028).
    fn check(&self, signed: &Signed<'_>, canonical: &[u8], trust: &TrustAnchors, lines: &mut Lines) {
        let Ok(key) = &self.leaf.key else {
            let text = "The certificate's key is neither RSA of 2048 bits or more nor EC on P-256 or P-384";
            return lines.fail("CONF-040", Judgement::Unsupported, text);
        };
        if !jws::fits(self.algorithm, key) {
            let text = "The algorithm is not one of the certificate's key";
            return lines.fail("CONF-040", Judgement::BadSignature, text);
        }
        if self.encoded.payload.as_ref().is_some_and(|payload| *payload != jws::encode(canonical)) {
            let text = "The payload is not detached, and is another one than the canonical form";
            return lines.fail("CONF-028", Judgement::BadSignature, text);
        }
        let is_of = |payload: &[u8]| {
            let input = jws::signing_input(&self.encoded.protected, payload);
            jws::is_signature_of(&input, &self.encoded.signature, key, self.algorithm)
        };
        if is_of(canonical) {
            return lines.pass("CONF-028", "The signature is that of the canonical form");
        }
        let is_stripped = signed.level == Level::Bundle
            && trust.accepts_legacy()
            && canonical_without_profiles(signed.element).is_ok_and(|stripped| is_of(&stripped));
        if is_stripped {
            return lines
                .warn("CONF-028", "The signature is valid after stripping the profiles of the entries");
        }
        lines.fail("CONF-028", Judgement::BadSignature, "The signature is not that of the canonical form");
    }
}

/// Whether what was signed for is what the type says (CONF-054, which is CONF-039 on this side).
fn check_types(signature: &Value, commitments: &[String], lines: &mut Lines) {
    let types = signature.get("type").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let types: BTreeSet<Option<&str>> = types.iter().map(|coding| text(coding, "code")).collect();
    let commitments: BTreeSet<Option<&str>> = commitments.iter().map(|one| Some(one.as_str())).collect();
    lines.hold(
        "CONF-054",
        types == commitments,
        "The purposes that were signed are those of the type",
        (Judgement::CommitmentMismatch, "The purposes that were signed are not those of the type"),
    );
}

/// Whether the time that was signed is the signature's (CONF-055): the instant counts, not how it is written.
fn check_time(signature: &Value, header: &Header, lines: &mut Lines) {
    let when = text(signature, "when").filter(|when| is_instant(when));
    let same = when.and_then(Timestamp::parse_rfc3339) == header.signed_at;
    let is_written_alike = when == header.signed_at_text.as_deref();
    lines.hold(
        "CONF-055",
        same,
        if is_written_alike {
            "The time that was signed is when"
        } else {
            "The time that was signed is when, written differently"
        },
        (Judgement::TimeMismatch, "The time that was signed is not when"),
    );
}
