//! Keys, certificates and signed resources for tests, made anew for each run. What a test makes wrong it makes wrong
//! here: everything is right by default.

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CustomExtension,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, RsaKeySize, SanType,
    date_time_ymd,
};
use serde_json::{Value, json};

use super::canonical::canonical;
use super::element::Level;
use super::{NPI_SYSTEM, SIG_FORMAT, SIGNATURE_TYPES, Signer, TARGET_FORMAT, TrustAnchors, VERIFICATION};
use crate::clock::Timestamp;

/// The signer's National Provider Identifier.
pub(crate) const NPI: &str = "1234567893";

/// The serial number of an authority below another.
pub(crate) const BELOW: u64 = 99;

/// The time at which tests verify.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").expect("it is an instant")
}

/// An authority with a certificate of its own.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params.self_signed(&key).expect("it signs itself");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// An authority below this one.
    pub(crate) fn below(&self) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.serial_number = Some(BELOW.into());
        params.distinguished_name.push(DnType::CommonName, "Authority below");
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it is signed");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// The anchors that trust it.
    pub(crate) fn trust(&self) -> TrustAnchors {
        let mut trust = TrustAnchors::default();
        trust.add_pem(self.certificate.pem().as_bytes()).expect("it is a certificate");
        trust
    }

    /// What it has revoked, in PEM: certificates by their serial numbers. The next list is due in this year.
    pub(crate) fn revocation_list(&self, serials: &[u64], due: i32) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2025, 7, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 7, 1),
            next_update: date_time_ymd(due, 7, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("it is signed").pem().expect("it is PEM")
    }

    /// A certificate for a signer, with a key of this kind; `change` makes it another one than usual.
    pub(crate) fn identity(&self, kind: Kind, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (key, algorithm) = match kind {
            Kind::Rsa => {
                (KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048), Algorithm::RS256)
            }
            Kind::P256 => (KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256), Algorithm::ES256),
            Kind::P384 => (KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384), Algorithm::ES384),
        };
        let key = key.expect("keys can be made");
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2025, 6, 1);
        params.not_after = date_time_ymd(2027, 6, 1);
        params.distinguished_name.push(DnType::CommonName, "Signer");
        params.subject_alt_names = vec![npi(NPI)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("it is signed");
        Identity { key, algorithm, chain: vec![certificate] }
    }
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    P256,
    P384,
}

/// The subject alternative name of an NPI.
pub(crate) fn npi(number: &str) -> SanType {
    other_name(&[2, 16, 840, 1, 113_883, 4, 6], number)
}

/// A subject alternative name in some numbering.
pub(crate) fn other_name(oid: &[u64], number: &str) -> SanType {
    SanType::OtherName((oid.to_vec(), number.into()))
}

/// An extension that nobody knows, and that must be known.
pub(crate) fn unknown_extension() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    extension
}

/// Somebody who signs.
pub(crate) struct Identity {
    pub(crate) key: KeyPair,
    pub(crate) algorithm: Algorithm,
    /// The signer's certificate, then those behind it.
    pub(crate) chain: Vec<Certificate>,
}

impl Identity {
    /// The same with another certificate behind it.
    pub(crate) fn with(mut self, authority: &Authority) -> Self {
        self.chain.push(authority.certificate.clone());
        self
    }

    /// Anchors that trust this one certificate.
    pub(crate) fn trust(&self) -> TrustAnchors {
        let mut trust = TrustAnchors::default();
        trust.add_pem(self.chain[0].pem().as_bytes()).expect("it is a certificate");
        trust
    }

    /// The chain in PEM.
    pub(crate) fn pem(&self) -> String {
        self.chain.iter().map(Certificate::pem).collect()
    }

    /// What the gateway signs with.
    pub(crate) fn signer(&self) -> Signer {
        let who = format!("{NPI_SYSTEM}|{NPI}");
        Signer::from_pem(self.key.serialize_pem().as_bytes(), self.pem().as_bytes(), &who, Some("Signer"))
            .expect("key and certificate belong together")
    }

    pub(crate) fn x5c(&self) -> Value {
        self.chain.iter().map(|one| Value::from(STANDARD.encode_to_string(one.der()))).collect()
    }

    /// The header that it signs with by default.
    pub(crate) fn header(&self) -> Value {
        json!({
            "alg": self.algorithm,
            "x5c": self.x5c(),
            "sigT": "2025-12-31T18:00:00-06:00",
            "srCms": [{ "commId": { "id": format!("urn:oid:{VERIFICATION}"), "desc": "Verification Signature" } }],
        })
    }

    /// The signature of an input, in base64url.
    pub(crate) fn sign(&self, input: &str, algorithm: Algorithm) -> String {
        let der = self.key.serialized_der();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_der(der),
            _ => EncodingKey::from_rsa_pem(self.key.serialize_pem().as_bytes()).expect("it is an RSA key"),
        };
        jsonwebtoken::crypto::sign(input.as_bytes(), &key, algorithm).expect("it signs")
    }

    /// A compact, detached JWS with this header over a resource.
    pub(crate) fn jws(&self, resource: &Value, header: &Value) -> String {
        let (protected, signature) =
            self.signature(resource, Level::of(resource).expect("it can be signed"), header);
        format!("{protected}..{signature}")
    }

    /// Its header and its signature.
    pub(in crate::cdex::signature) fn signature(
        &self,
        resource: &Value,
        level: Level,
        header: &Value,
    ) -> (String, String) {
        let payload = canonical(resource, level).expect("it has a canonical form");
        let protected = URL_SAFE_NO_PAD.encode_to_string(header.to_string());
        let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode_to_string(payload));
        let signature = self.sign(&input, self.algorithm);
        (protected, signature)
    }

    /// A Signature with this JWS in it.
    pub(crate) fn element(jws: &str) -> Value {
        json!({
            "type": [{ "system": SIGNATURE_TYPES, "code": VERIFICATION, "display": "Verification Signature" }],
            "when": "2026-01-01T00:00:00Z",
            "who": { "identifier": { "system": NPI_SYSTEM, "value": NPI } },
            "targetFormat": TARGET_FORMAT,
            "sigFormat": SIG_FORMAT,
            "data": STANDARD.encode_to_string(jws),
        })
    }

    /// The Bundle with its signature.
    pub(crate) fn signed(&self, bundle: Value) -> Value {
        self.signed_with(bundle, &self.header())
    }

    /// The Bundle with a signature that has this header.
    pub(crate) fn signed_with(&self, mut bundle: Value, header: &Value) -> Value {
        bundle["signature"] = Self::element(&self.jws(&bundle, header));
        bundle
    }
}

/// A Bundle with all kinds of values in it.
pub(crate) fn bundle() -> Value {
    let text = r#"{
        "resourceType": "Bundle", "id": "b1", "meta": {"versionId": "1"}, "type": "document",
        "entry": [{"fullUrl": "http://example.org/Observation/1", "resource": {
            "resourceType": "Observation", "id": "o1", "meta": {"profile": ["http://example.org/profile"]},
            "status": "final", "valueQuantity": {"value": 6.20}, "component": [
                {"valueInteger": 7}, {"valueQuantity": {"value": 1.0e2}}, {"valueBoolean": true}],
            "note": [{"text": "non-BMP \ud83d\ude00, \u20ac and \"quotes\"\n"}],
            "\ud83d\ude00": null, "\ufb33": "a key that sorts after it by code point"
        }}]
    }"#;
    serde_json::from_str(text).expect("it is JSON")
}
