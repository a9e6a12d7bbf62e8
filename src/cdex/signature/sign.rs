//! Signing as a system: an organisation attests that it sent what it holds. What was signed is verified before it is
//! given out, so a certificate that has expired shows here and not at the receiver.

use base64_simd::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::canonical::canonical;
use super::certificate::{self, Certificate, MOST_CERTIFICATES};
use super::element::Level;
use super::jws::{self, PrivateKey};
use super::trust::TrustAnchors;
use super::verdict::Judgement;
use super::verify::verify;
use super::{
    QUESTIONNAIRE_RESPONSE_SIGNATURE, SIG_FORMAT, SIGNATURE_TYPES, TARGET_FORMAT, VERIFICATION,
    VERIFICATION_DISPLAY,
};
use crate::clock::Timestamp;

/// What was given to sign with cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignerError {
    /// There is no certificate that can be read, or there are too many.
    #[error("holds no chain of one to six certificates in PEM")]
    Certificate,
    /// The certificate has a key that is not used here.
    #[error("has a key that is neither RSA of 2048 bits or more nor EC on P-256 or P-384")]
    CertificateKey,
    /// There is no private key that can be read.
    #[error("is not a private key in PEM (PKCS #8, or PKCS #1 for RSA) of the kind that the certificate has")]
    Key,
    /// The key is another one than that in the certificate.
    #[error("is not the private key of the certificate")]
    OtherKey,
    /// The certificate is not that of who signs (CONF-049).
    #[error("is not in a subject alternative name of the certificate")]
    Identity,
}

/// Something was not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignError {
    /// It is no resource that can be signed, or has a number that no signature covers.
    #[error("the resource cannot be signed")]
    Unsignable,
    /// The key did not sign.
    #[error("the key did not sign")]
    Key,
    /// What was signed does not hold: the certificate's time, or what it is for.
    #[error("a signature of our own does not hold: {}", .0.as_code())]
    NotValid(Judgement),
}

/// Who signs for this gateway, and with what.
#[derive(Clone)]
pub(crate) struct Signer {
    key: PrivateKey,
    /// Of the key, the signer's own first.
    chain: Vec<Certificate>,
    /// The Identifier of the signer.
    identifier: Value,
    /// The signer's name for people.
    display: Option<String>,
    trust: TrustAnchors,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("algorithm", &self.key.algorithm).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a private key and the chain of its certificate, both in PEM. `who` is the signer as `system|value`.
    pub(crate) fn from_pem(
        key: &[u8],
        certificates: &[u8],
        who: &str,
        display: Option<&str>,
    ) -> Result<Self, SignerError> {
        let mut chain = Vec::new();
        for der in CertificateDer::pem_slice_iter(certificates) {
            let der = der.map_err(|_| SignerError::Certificate)?;
            chain.push(Certificate::from_der(der.to_vec()).map_err(|_| SignerError::Certificate)?);
        }
        let leaf =
            chain.first().filter(|_| chain.len() <= MOST_CERTIFICATES).ok_or(SignerError::Certificate)?;
        let public = leaf.key.as_ref().map_err(|_| SignerError::CertificateKey)?;
        let key = PrivateKey::from_pem(key, public).ok_or(SignerError::Key)?;
        let signature = key.sign("").ok_or(SignerError::Key)?;
        if !jws::is_signature_of("", &signature, public, key.algorithm) {
            return Err(SignerError::OtherKey);
        }
        let identifier = certificate::identifier(who);
        if !leaf.is_of(&identifier) {
            return Err(SignerError::Identity);
        }
        let trust = TrustAnchors::of_own(leaf);
        Ok(Self { key, chain, identifier, display: display.map(str::to_owned), trust })
    }

    /// Whether what is signed now would hold, by a trial.
    ///
    /// # Errors
    /// It would not.
    pub(crate) fn check_now(&self, now: Timestamp) -> Result<(), SignError> {
        self.sign(&mut json!({ "resourceType": "Bundle" }), now)
    }

    /// Signs a Bundle or QuestionnaireResponse, in place of a signature of its own that it has.
    ///
    /// # Errors
    /// It is no such resource, or the signature would not hold.
    pub(crate) fn sign(&self, resource: &mut Value, now: Timestamp) -> Result<(), SignError> {
        let level = Level::of(resource).ok_or(SignError::Unsignable)?;
        let signature = self.signature(resource, level, now)?;
        let members = resource.as_object_mut().ok_or(SignError::Unsignable)?;
        if level == Level::Bundle {
            members.insert("signature".to_owned(), signature);
        } else {
            let extensions = members.entry("extension").or_insert_with(|| json!([]));
            let extensions = extensions.as_array_mut().ok_or(SignError::Unsignable)?;
            extensions.retain(|extension| !super::element::is_signature(extension));
            extensions.push(json!({ "url": QUESTIONNAIRE_RESPONSE_SIGNATURE, "valueSignature": signature }));
        }
        self.verify_own(resource, now)
    }

    /// Signs the text of a Bundle without a signature, which is not changed but for the signature at its end.
    ///
    /// # Errors
    /// It is no such Bundle, or the signature would not hold.
    pub(crate) fn sign_text(&self, bundle: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError> {
        let read = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|_| SignError::Unsignable);
        let value = read(bundle)?;
        if Level::of(&value) != Some(Level::Bundle) || value.get("signature").is_some() {
            return Err(SignError::Unsignable);
        }
        let signature = self.signature(&value, Level::Bundle, now)?.to_string();
        let end = bundle.iter().rposition(|byte| *byte == b'}').ok_or(SignError::Unsignable)?;
        let signed = [&bundle[..end], b",\"signature\":", signature.as_bytes(), &bundle[end..]].concat();
        self.verify_own(&read(&signed)?, now)?;
        Ok(signed)
    }

    /// A Reference to the signer.
    pub(super) fn reference(&self) -> Value {
        let mut who = json!({ "identifier": self.identifier });
        if let Some(display) = &self.display {
            who["display"] = display.as_str().into();
        }
        who
    }

    fn signature(&self, resource: &Value, level: Level, now: Timestamp) -> Result<Value, SignError> {
        let payload = canonical(resource, level).map_err(|_| SignError::Unsignable)?;
        let when = now.to_string();
        let certificates: Vec<String> =
            self.chain.iter().map(|certificate| STANDARD.encode_to_string(certificate.der())).collect();
        let header = json!({
            "alg": self.key.algorithm,
            "x5c": certificates,
            "sigT": when,
            "srCms": [{
                "commId": { "id": format!("urn:oid:{VERIFICATION}"), "desc": VERIFICATION_DISPLAY },
                "commQuals": ["Verification of medical record integrity"],
            }],
        });
        let protected = jws::encode(header.to_string().as_bytes());
        let signature = self.key.sign(&jws::signing_input(&protected, &payload)).ok_or(SignError::Key)?;
        Ok(json!({
            "type": [{ "system": SIGNATURE_TYPES, "code": VERIFICATION, "display": VERIFICATION_DISPLAY }],
            "when": when,
            "who": self.reference(),
            "targetFormat": TARGET_FORMAT,
            "sigFormat": SIG_FORMAT,
            "data": STANDARD.encode_to_string(format!("{protected}..{signature}")),
        }))
    }

    fn verify_own(&self, resource: &Value, now: Timestamp) -> Result<(), SignError> {
        let verdicts = verify(resource, "", &self.trust, now);
        let own = verdicts
            .iter()
            .find(|(expression, _)| expression == ".signature" || expression.starts_with(".extension["));
        match own.map(|(_, verdict)| verdict.judgement) {
            Some(Judgement::Valid) => Ok(()),
            other => Err(SignError::NotValid(other.unwrap_or(Judgement::Missing))),
        }
    }
}
