//! Somebody who signs Bundles, with an authority of its own: keys and certificates are made anew for each test. What is
//! signed here is signed without the program under test.

use std::path::{Path, PathBuf};

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use serde_json::{Value, json};

/// The signer's National Provider Identifier.
pub(crate) const NPI: &str = "1234567893";

/// A signer.
pub(crate) struct Signing {
    authority: String,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Signing {
    /// One with a certificate that holds.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One with another certificate.
    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority");
        let key = KeyPair::generate().expect("keys can be made");
        let authority = params.self_signed(&key).expect("it signs itself").pem();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::OtherName((vec![2, 16, 840, 1, 113_883, 4, 6], NPI.into()))];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params.signed_by(&key, &issuer).expect("it is signed");
        Self { authority, certificate, key }
    }

    /// Writes `ca.pem`, `chain.pem` and `key.pem` into a folder, and gives the first.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        for (name, text) in [
            ("ca.pem", self.authority.clone()),
            ("chain.pem", self.certificate.pem()),
            ("key.pem", self.key.serialize_pem()),
        ] {
            std::fs::write(folder.join(name), text).expect("the test's folder takes files");
        }
        folder.join("ca.pem")
    }

    /// The Bundle with its signature.
    pub(crate) fn signed(&self, mut bundle: Value) -> Value {
        let when = "2026-01-01T00:00:00Z";
        let header = json!({
            "alg": "ES256",
            "x5c": [STANDARD.encode_to_string(self.certificate.der())],
            "sigT": when,
            "srCms": [{ "commId": { "id": "urn:oid:1.2.840.10065.1.12.1.5" } }],
        });
        let mut payload = bundle.clone();
        let members = payload.as_object_mut().expect("a Bundle is an object");
        for name in ["id", "meta", "signature"] {
            members.shift_remove(name);
        }
        let payload = serde_json_canonicalizer::to_vec(&payload).expect("it has a canonical form");
        let protected = URL_SAFE_NO_PAD.encode_to_string(header.to_string());
        let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode_to_string(payload));
        let key = EncodingKey::from_ec_der(self.key.serialized_der());
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &key, Algorithm::ES256).expect("it signs");
        bundle["signature"] = json!({
            "type": [{ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5", "display": "Verification Signature" }],
            "when": when,
            "who": { "identifier": { "system": "http://hl7.org/fhir/sid/us-npi", "value": NPI } },
            "targetFormat": "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json#document",
            "sigFormat": "application/jose",
            "data": STANDARD.encode_to_string(format!("{protected}..{signature}")),
        });
        bundle
    }
}
