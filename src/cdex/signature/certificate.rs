//! What a signer's certificate says: its key, its time, what it may be used for and whom it is for. Whether it is
//! believed is for [`trust`](super::trust) to say.

use crate::digest::{Digest, Sha256};
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;

use super::element::text;
use super::verdict::{CertificateFault, Judgement, Lines};
use super::{NPI_SYSTEM, jws};
use crate::clock::Timestamp;
use crate::fhir::datatype::{Identifier, codings};

/// Certificates of one signature at most, and bytes of each: no chain is longer, and none of them larger.
pub(super) const MOST_CERTIFICATES: usize = 6;
const LONGEST_CERTIFICATE: usize = 8 * 1024;

/// RSA keys with fewer bits are not taken (NIST SP 800-131A).
const FEWEST_RSA_BITS: usize = 2048;

/// The `otherName` of a National Provider Identifier.
const NPI_OID: &str = "2.16.840.1.113883.4.6";
/// The `otherName` of a US tax id, and its system as a FHIR URI.
const TAX_OID: &str = "2.16.840.1.113883.4.4";

/// A text is no certificate, or one with a key that is not used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateError {
    /// It is no X.509 certificate.
    #[error("is no X.509 certificate")]
    Unreadable,
    /// Its key is of another kind, or too short.
    #[error("has a key that is neither RSA of 2048 bits or more nor EC on P-256 or P-384")]
    Key,
}

/// A public key of a kind that signs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA: the PKCS #1 form.
    Rsa(Vec<u8>),
    /// EC on P-256: the point.
    P256(Vec<u8>),
    /// EC on P-384: the point.
    P384(Vec<u8>),
}

/// A subject that a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// `otherName`: the numbering, and the number in it.
    Other(String, String),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// Anything else.
    Foreign,
}

/// A certificate of a signer.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    /// SHA-256 of it.
    pub(super) fingerprint: [u8; 32],
    /// Its public key.
    pub(super) key: Result<Key, CertificateError>,
    not_before: i64,
    not_after: i64,
    /// Whether it may sign documents; nothing if it does not say what it is for.
    signs: Option<bool>,
    names: Vec<Name>,
}

impl Certificate {
    /// Reads a certificate from its DER.
    pub(super) fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        if der.len() > LONGEST_CERTIFICATE {
            return Err(CertificateError::Unreadable);
        }
        let Ok((rest, parsed)) = X509Certificate::from_der(&der) else {
            return Err(CertificateError::Unreadable);
        };
        // An extension that stands twice or is malformed could mean two things to two readers.
        let (Ok(usage), Ok(names), true) =
            (parsed.key_usage(), parsed.subject_alternative_name(), rest.is_empty())
        else {
            return Err(CertificateError::Unreadable);
        };
        let read = Self {
            fingerprint: Sha256::digest(&der).into(),
            key: key(&parsed),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            signs: usage.map(|usage| usage.value.digital_signature() || usage.value.non_repudiation()),
            names: names.map_or_else(Vec::new, |names| {
                names.value.general_names.iter().map(|name| Name::of(name)).collect()
            }),
            der: CertificateDer::from(Vec::new()),
        };
        Ok(Self { der: CertificateDer::from(der), ..read })
    }

    /// The certificate as it came.
    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether it is for signatures and holds at `now` (CONF-048, 051, 052). `must_say` tells whether one that says
    /// nothing about its use is refused.
    pub(super) fn check(&self, now: Timestamp, must_say: bool, lines: &mut Lines) {
        let seconds = seconds(now);
        let fault = |fault, text| (Judgement::BadCertificate(fault), text);
        if seconds < self.not_before {
            lines.fail(
                "CONF-052",
                Judgement::BadCertificate(CertificateFault::NotYetValid),
                "The certificate is not valid yet",
            );
        } else {
            lines.hold(
                "CONF-052",
                seconds <= self.not_after,
                "The certificate is valid now",
                fault(CertificateFault::Expired, "The certificate is expired"),
            );
        }
        match self.signs {
            None if must_say => lines.fail(
                "CONF-051",
                Judgement::BadCertificate(CertificateFault::KeyUsage),
                "The certificate does not say that its key is for signatures",
            ),
            None => lines.warn("CONF-051", "The certificate does not say what its key is for"),
            Some(signs) => {
                lines.hold(
                    "CONF-051",
                    signs,
                    "The certificate is for signatures",
                    fault(
                        CertificateFault::KeyUsage,
                        "The certificate is for other purposes than signatures",
                    ),
                );
            }
        }
        lines.hold(
            "CONF-048",
            !self.names.is_empty(),
            "The certificate has a subject alternative name",
            (Judgement::IdentityMismatch, "The certificate has no subject alternative name"),
        );
    }

    /// The moment in its time that is nearest to `now`, in seconds since 1970.
    pub(super) fn nearest_second(&self, now: Timestamp) -> i64 {
        seconds(now).min(self.not_after).max(self.not_before)
    }

    /// Whether it is that of the signer that a Signature names (CONF-053, which is CONF-049 on this side).
    pub(super) fn check_identity(&self, who: &Value, lines: &mut Lines) {
        lines.hold(
            "CONF-053",
            who.get("identifier").is_some_and(|identifier| self.is_of(identifier)),
            "A subject alternative name is that of the signer",
            (Judgement::IdentityMismatch, "No subject alternative name is that of the signer"),
        );
    }

    /// Whether one of its names is this Identifier.
    pub(super) fn is_of(&self, identifier: &Value) -> bool {
        let Identifier { system, value: Some(value) } = Identifier::of(identifier) else { return false };
        let numbering = match system {
            Some(NPI_SYSTEM) => Some(NPI_OID),
            Some(system) => system.strip_prefix("urn:oid:"),
            None => identifier.get("type").and_then(|kind| {
                codings(kind).find_map(|coding| match coding.code {
                    Some("NPI") => Some(NPI_OID),
                    Some("TAX") => Some(TAX_OID),
                    _ => None,
                })
            }),
        };
        self.names.iter().any(|name| match name {
            Name::Other(oid, number) => Some(oid.as_str()) == numbering && number == value,
            Name::Uri(uri) => uri == value,
            Name::Foreign => false,
        })
    }
}

fn seconds(moment: Timestamp) -> i64 {
    moment.as_nanos().div_euclid(1_000_000_000)
}

impl Name {
    fn of(name: &GeneralName<'_>) -> Self {
        match name {
            GeneralName::OtherName(oid, wrapped) => {
                other_name(wrapped).map_or(Self::Foreign, |value| Self::Other(oid.to_id_string(), value))
            }
            GeneralName::URI(uri) => Self::Uri((*uri).to_owned()),
            _ => Self::Foreign,
        }
    }
}

/// The text in an `otherName`: `[0] EXPLICIT` around a string (RFC 5280, 4.2.1.6).
fn other_name(wrapped: &[u8]) -> Option<String> {
    let (rest, explicit) = Any::from_der(wrapped).ok()?;
    let (inner_rest, string) = Any::from_der(explicit.data).ok()?;
    if !rest.is_empty() || !inner_rest.is_empty() || explicit.tag().0 != 0 {
        return None;
    }
    // UTF8String, NumericString, PrintableString, IA5String: all of them are UTF-8.
    matches!(string.tag().0, 12 | 18 | 19 | 22).then_some(())?;
    String::from_utf8(string.data.to_vec()).ok()
}

fn key(certificate: &X509Certificate<'_>) -> Result<Key, CertificateError> {
    let info = certificate.public_key();
    let bytes = info.subject_public_key.data.to_vec();
    if info.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        return match info.parsed() {
            Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= FEWEST_RSA_BITS => Ok(Key::Rsa(bytes)),
            _ => Err(CertificateError::Key),
        };
    }
    if info.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return Err(CertificateError::Key);
    }
    let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match curve {
        Some(curve) if curve == OID_EC_P256 => Ok(Key::P256(bytes)),
        Some(curve) if curve == OID_NIST_EC_P384 => Ok(Key::P384(bytes)),
        _ => Err(CertificateError::Key),
    }
}

/// Reads `x5c`: base64 of DER, the signer's certificate first (CONF-042).
pub(super) fn chain(header: &jws::Header, lines: &mut Lines) -> Option<Vec<Certificate>> {
    let malformed = |lines: &mut Lines, text| {
        lines.fail("CONF-042", Judgement::Malformed, text);
        None
    };
    let Some(entries) = header.member("x5c").and_then(Value::as_array).filter(|entries| !entries.is_empty())
    else {
        return malformed(lines, "The header has no x5c with the signer's certificate");
    };
    if entries.len() > MOST_CERTIFICATES {
        return malformed(lines, "x5c has more than 6 certificates");
    }
    let mut chain = Vec::new();
    for entry in entries {
        // White space is for Signature.data alone.
        let der = entry.as_str().filter(|text| !text.contains(char::is_whitespace));
        let Some(der) = der.and_then(|text| crate::fhir::base64::decode(text).ok()) else {
            return malformed(lines, "x5c is not standard base64 throughout");
        };
        let Ok(certificate) = Certificate::from_der(der) else {
            return malformed(lines, "x5c holds something that is no X.509 certificate");
        };
        chain.push(certificate);
    }
    lines.pass("CONF-042", "The header has the signer's certificate");
    Some(chain)
}

/// The identifier that `system|value` or `value` writes, as FHIR has it.
pub(super) fn identifier(token: &str) -> Value {
    match token.split_once('|') {
        Some((system, value)) if !system.is_empty() => {
            serde_json::json!({ "system": system, "value": value })
        }
        Some((_, value)) => serde_json::json!({ "value": value }),
        None => serde_json::json!({ "value": token }),
    }
}

/// Whether an Identifier has what the profile of a signature demands of its signer.
pub(super) fn is_identified(who: &Value) -> bool {
    who.get("identifier")
        .and_then(|identifier| text(identifier, "value"))
        .is_some_and(|value| !value.is_empty())
}
