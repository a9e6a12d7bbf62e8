//! Keys made on the spot, and an authorisation server's view of an assertion.

use std::collections::BTreeSet;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair, RsaKeyPair,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

/// A private key and what verifies its signatures.
pub(crate) struct TestKey {
    /// The private key, PKCS #8 in PEM.
    pub(crate) pem: String,
    public: DecodingKey,
    algorithm: Algorithm,
}

impl TestKey {
    /// An RSA key of 2048 bits.
    pub(crate) fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key can be made");
        let der = pair.as_der().expect("a key has a form");
        let public = RsaKeyPair::from_pkcs8(der.as_ref()).expect("it is one");
        Self {
            pem: pem(der.as_ref()),
            public: DecodingKey::from_rsa_der(public.public_key().as_ref()),
            algorithm: Algorithm::RS384,
        }
    }

    /// An EC key on P-384.
    pub(crate) fn p384() -> Self {
        Self::ec(&ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    /// An EC key on P-256, which SMART does not name.
    pub(crate) fn p256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    fn ec(curve: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(curve).expect("a key can be made");
        let der = pair.to_pkcs8v1().expect("a key has a form");
        Self {
            pem: pem(der.as_ref()),
            public: DecodingKey::from_ec_der(pair.public_key().as_ref()),
            algorithm: Algorithm::ES384,
        }
    }

    /// The claims of an assertion that this key signed for `audience`. Time is the caller's to judge.
    pub(crate) fn verify(&self, assertion: &str, audience: &str) -> Value {
        let mut validation = Validation::new(self.algorithm);
        validation.algorithms = vec![self.algorithm];
        validation.validate_exp = false;
        validation.set_audience(&[audience]);
        validation.required_spec_claims =
            ["exp", "iss", "sub", "aud"].map(str::to_owned).into_iter().collect();
        let token = jsonwebtoken::decode::<Value>(assertion, &self.public, &validation)
            .expect("the assertion is signed with the key");
        assert_eq!(token.header.typ.as_deref(), Some("JWT"));
        let names: BTreeSet<&str> =
            token.claims.as_object().expect("claims").keys().map(|name| &**name).collect();
        assert_eq!(names, BTreeSet::from(["aud", "exp", "iat", "iss", "jti", "sub"]));
        token.claims
    }
}

fn pem(der: &[u8]) -> String {
    let text = base64_simd::STANDARD.encode_to_string(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
