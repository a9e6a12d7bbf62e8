//! The JOSE side of a signature (RFC 7515): its serialisations, the rules of its header, and the cryptography. The
//! header is signed as it was received, so it is never written anew.

use std::collections::HashSet;

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::Value;

use super::VERIFICATION;
use super::certificate::Key;
use super::element::text;
use super::verdict::{Judgement, Lines};
use crate::clock::Timestamp;
use crate::fhir::datatype::is_instant;
use crate::fhir::resource::members;

pub(super) use jsonwebtoken::Algorithm;

/// Signatures of one JWS at most.
const MOST_SIGNATURES: usize = 8;

/// Header parameters that decide; they count only where they are signed.
const DECISIVE: [&str; 6] = ["alg", "b64", "crit", "sigT", "srCms", "x5c"];

/// One signature of a JWS, still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encoded {
    /// The protected header, as it was received.
    pub(super) protected: String,
    /// The payload, if it is not detached.
    pub(super) payload: Option<String>,
    /// The signature itself.
    pub(super) signature: String,
}

/// Takes `Signature.data`, once decoded, apart: compact or JSON serialisation. Both have the payload detached.
pub(super) fn parse(jws: &[u8], lines: &mut Lines) -> Option<Vec<Encoded>> {
    let Ok(jws) = std::str::from_utf8(jws) else {
        lines.fail("CONF-046", Judgement::Malformed, "The data is no JWS");
        return None;
    };
    if jws.starts_with('{') {
        let found = parse_json(jws);
        if found.is_none() {
            lines.fail("CONF-047", Judgement::Malformed, "The data is no JWS in JSON serialization");
        }
        return found;
    }
    let segments: Vec<&str> = jws.split('.').collect();
    let [protected, payload, signature] = segments[..] else {
        lines.fail("CONF-046", Judgement::Malformed, "The data is no JWS of three segments");
        return None;
    };
    lines.pass("CONF-046", "The data is a JWS in compact serialization");
    Some(vec![Encoded {
        protected: protected.to_owned(),
        payload: (!payload.is_empty()).then(|| payload.to_owned()),
        signature: signature.to_owned(),
    }])
}

/// The general or the flattened form (RFC 7515, 7.2).
fn parse_json(jws: &str) -> Option<Vec<Encoded>> {
    let value = unique(jws.as_bytes())?;
    let payload = match value.get("payload") {
        None => None,
        Some(payload) => Some(payload.as_str()?).filter(|payload| !payload.is_empty()).map(str::to_owned),
    };
    let one = |signature: &Value| {
        // What is not signed must not stand in for what is.
        let unprotected = signature.get("header");
        if DECISIVE.iter().any(|name| unprotected.is_some_and(|header| header.get(name).is_some())) {
            return None;
        }
        Some(Encoded {
            protected: text(signature, "protected")?.to_owned(),
            payload: payload.clone(),
            signature: text(signature, "signature")?.to_owned(),
        })
    };
    match value.get("signatures") {
        None => Some(vec![one(&value)?]),
        Some(_) if value.get("signature").is_some() => None,
        Some(several) => {
            let several = several.as_array().filter(|all| (1..=MOST_SIGNATURES).contains(&all.len()))?;
            several.iter().map(one).collect()
        }
    }
}

/// An object none of whose names stands twice: of two with one name, readers would take different ones.
fn unique(json: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let mut names = HashSet::new();
    members(json).all(|member| member.is_ok_and(|member| names.insert(member.name))).then_some(value)
}

/// A header whose form is right.
#[derive(Debug, Clone)]
pub(super) struct Header {
    json: Value,
    /// The algorithm.
    pub(super) algorithm: Algorithm,
    /// When it says that it was signed.
    pub(super) signed_at: Option<Timestamp>,
    /// `sigT` as written.
    pub(super) signed_at_text: Option<String>,
    /// The purposes that it says are signed for, as OIDs.
    pub(super) commitments: Option<Vec<String>>,
}

impl Header {
    /// Reads the protected header and looks at each of its rules.
    pub(super) fn read(protected: &str, lines: &mut Lines) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode_to_vec(protected).ok().and_then(|json| unique(&json));
        let Some(json) = json.filter(Value::is_object) else {
            lines.fail("CONF-028", Judgement::Malformed, "The header is no JSON object in base64url");
            return None;
        };
        check_critical(&json, lines);
        let algorithm = algorithm(&json, lines);
        let signed_at_text = text(&json, "sigT").map(str::to_owned);
        let signed_at =
            signed_at_text.as_deref().filter(|text| is_instant(text)).and_then(Timestamp::parse_rfc3339);
        lines.hold_new(
            "CONF-043",
            signed_at.is_some(),
            "The header says when it was signed",
            (Judgement::Malformed, "The header has no sigT that is an instant"),
        );
        let commitments = commitments(&json);
        let commits = commitments.as_ref();
        let there = lines.hold_new(
            "CONF-044",
            commits.is_some(),
            "The header says what was signed for",
            (Judgement::Malformed, "The header has no srCms with the purposes of signing"),
        );
        if there {
            lines.hold(
                "CONF-038",
                commits.is_some_and(|all| all.iter().any(|one| one == VERIFICATION)),
                "It was signed for verification",
                (Judgement::CommitmentMismatch, "srCms does not hold the verification signature"),
            );
        }
        Some(Self { algorithm: algorithm?, signed_at, signed_at_text, commitments, json })
    }

    /// One of its parameters.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.json.get(name)
    }
}

/// RFC 7515, 4.1.11: whatever is said to be critical must be understood.
fn check_critical(header: &Value, lines: &mut Lines) {
    let is_understood = match header.get("crit") {
        None => true,
        Some(names) => names.as_array().is_some_and(|names| {
            !names.is_empty()
                && names.iter().all(|name| {
                    name.as_str()
                        .is_some_and(|name| matches!(name, "sigT" | "srCms") && header.get(name).is_some())
                })
        }),
    };
    // RFC 7797 would change what is signed.
    let is_encoded = header.get("b64").is_none_or(|b64| b64 == &Value::Bool(true));
    lines.hold(
        "CONF-028",
        is_understood && is_encoded,
        "Nothing in the header asks for more than is done here",
        (Judgement::Unsupported, "The header asks for an extension of JWS that is not supported"),
    );
}

/// CONF-040 and CONF-045.
fn algorithm(header: &Value, lines: &mut Lines) -> Option<Algorithm> {
    let algorithm = match text(header, "alg") {
        Some("RS256") => Algorithm::RS256,
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        Some("PS256") => Algorithm::PS256,
        Some("PS384") => Algorithm::PS384,
        Some("PS512") => Algorithm::PS512,
        Some("ES256") => Algorithm::ES256,
        Some("ES384") => Algorithm::ES384,
        Some(_) => {
            let text = "The algorithm is none of RS, PS or ES with 256 or 384, nor RS512 or PS512";
            lines.fail("CONF-040", Judgement::Unsupported, text);
            return None;
        }
        None => {
            lines.fail("CONF-040", Judgement::Malformed, "The header names no algorithm");
            return None;
        }
    };
    lines.pass("CONF-040", "The header names an algorithm that is supported");
    match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => {
            lines.pass("CONF-045", "The hash is SHA-256");
        }
        _ => lines.warn("CONF-045", "The hash is another one than SHA-256"),
    }
    Some(algorithm)
}

/// The ids of the signer's commitments, without `urn:oid:`; nothing if they are not of the form of JAdES.
fn commitments(header: &Value) -> Option<Vec<String>> {
    let entries = header.get("srCms")?.as_array().filter(|entries| !entries.is_empty())?;
    let id = |entry: &Value| {
        let id = text(entry.get("commId")?, "id")?;
        Some(id.strip_prefix("urn:oid:").unwrap_or(id).to_owned())
    };
    entries.iter().map(id).collect()
}

/// Text that is signed: the header as received and the payload.
pub(super) fn signing_input(protected: &str, payload: &[u8]) -> String {
    format!("{protected}.{}", encode(payload))
}

/// Base64url without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Whether an algorithm is one of those of a key.
pub(super) fn fits(algorithm: Algorithm, key: &Key) -> bool {
    use Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
    match key {
        Key::Rsa(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        Key::P256(_) => algorithm == ES256,
        Key::P384(_) => algorithm == ES384,
    }
}

/// Whether a signature in base64url is that of this input by this key.
pub(super) fn is_signature_of(input: &str, signature: &str, key: &Key, algorithm: Algorithm) -> bool {
    choose_provider();
    let key = match key {
        Key::Rsa(pkcs1) => DecodingKey::from_rsa_der(pkcs1),
        Key::P256(point) | Key::P384(point) => DecodingKey::from_ec_der(point),
    };
    jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, algorithm).unwrap_or(false)
}

/// A private key that signs.
#[derive(Clone)]
pub(super) struct PrivateKey {
    key: EncodingKey,
    /// The algorithm that it signs with.
    pub(super) algorithm: Algorithm,
}

impl PrivateKey {
    /// Reads a key from PEM: PKCS #8, or PKCS #1 for RSA. `public` is the key in its certificate, which decides about
    /// the algorithm.
    pub(super) fn from_pem(pem: &[u8], public: &Key) -> Option<Self> {
        let (key, algorithm) = match public {
            Key::Rsa(_) => (EncodingKey::from_rsa_pem(pem).ok()?, Algorithm::RS256),
            Key::P256(_) => (EncodingKey::from_ec_pem(pem).ok()?, Algorithm::ES256),
            Key::P384(_) => (EncodingKey::from_ec_pem(pem).ok()?, Algorithm::ES384),
        };
        Some(Self { key, algorithm })
    }

    /// The signature of this input, in base64url.
    pub(super) fn sign(&self, input: &str) -> Option<String> {
        choose_provider();
        jsonwebtoken::crypto::sign(input.as_bytes(), &self.key, self.algorithm).ok()
    }
}

/// Several providers in one process would make the library refuse to choose. The error says that one was chosen
/// before, which is this one.
fn choose_provider() {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
