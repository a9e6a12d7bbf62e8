//! Whose signatures are believed: those with a certificate that leads to a trust anchor, and those with a certificate
//! that was pinned. Each partner has its own.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, Error, ExpirationPolicy,
    ExtendedKeyUsageValidator, KeyPurposeIdIter, OwnedCertRevocationList, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::certificate::Certificate;
use super::verdict::{CertificateFault, Judgement, Lines};
use crate::clock::Timestamp;

/// What was given to trust cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrustError {
    /// It is no PEM, or has no certificate in it.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// A certificate in it cannot be read.
    #[error("holds a certificate that cannot be read")]
    Unreadable,
    /// It is no list of revoked certificates.
    #[error("holds no certificate revocation list (RFC 5280) in PEM or DER")]
    NoRevocationList,
    /// It is no SHA-256.
    #[error("is no SHA-256 in hexadecimal digits")]
    Fingerprint,
}

/// Who is trusted to sign, and how strictly a signature is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustAnchors {
    /// Each with the certificate that it was read from.
    anchors: Vec<(CertificateDer<'static>, TrustAnchor<'static>)>,
    pinned: Vec<[u8; 32]>,
    /// What authorities have revoked.
    revoked: Vec<Arc<CertRevocationList<'static>>>,
    is_lenient: bool,
    needs_key_usage: bool,
}

impl TrustAnchors {
    /// Trusts the certificates of a PEM file: as authorities, and as signers where one is that of a signer.
    pub(crate) fn add_pem(&mut self, pem: &[u8]) -> Result<(), TrustError> {
        let mut found = false;
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|_| TrustError::NoCertificate)?;
            let anchor =
                webpki::anchor_from_trusted_cert(&der).map_err(|_| TrustError::Unreadable)?.to_owned();
            self.anchors.push((der, anchor));
            found = true;
        }
        if found { Ok(()) } else { Err(TrustError::NoCertificate) }
    }

    /// Takes note of what an authority has revoked: a list in DER, or one or several in PEM.
    pub(crate) fn add_revocation_lists(&mut self, file: &[u8]) -> Result<(), TrustError> {
        let mut lists: Vec<CertificateRevocationListDer<'_>> = Vec::new();
        for list in CertificateRevocationListDer::pem_slice_iter(file) {
            lists.push(list.map_err(|_| TrustError::NoRevocationList)?);
        }
        if lists.is_empty() {
            lists.push(file.into());
        }
        for list in lists {
            let list = OwnedCertRevocationList::from_der(&list).map_err(|_| TrustError::NoRevocationList)?;
            self.revoked.push(Arc::new(list.into()));
        }
        Ok(())
    }

    /// Trusts the one certificate whose SHA-256 this is, in hexadecimal digits with or without colons.
    pub(crate) fn pin(&mut self, fingerprint: &str) -> Result<(), TrustError> {
        let digits: Vec<u8> = fingerprint.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(TrustError::Fingerprint);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| TrustError::Fingerprint)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| TrustError::Fingerprint)?;
        }
        self.pinned.push(bytes);
        Ok(())
    }

    /// Also takes signatures as the published 2.1.0 has them: without `srCms`, `sigT`, `targetFormat` or `sigFormat`,
    /// and made after `meta.profile` had been taken out of the entries of a Bundle.
    pub(crate) fn accept_legacy(&mut self, accept: bool) {
        self.is_lenient = accept;
    }

    /// Whether a certificate must say that its key is for signatures (CONF-051).
    pub(crate) fn require_key_usage(&mut self, require: bool) {
        self.needs_key_usage = require;
    }

    /// Whether it must.
    pub(super) fn requires_key_usage(&self) -> bool {
        self.needs_key_usage
    }

    /// Whether it does.
    pub(super) fn accepts_legacy(&self) -> bool {
        self.is_lenient
    }

    /// Trusts one certificate as it is; for checks of our own signatures.
    pub(super) fn of_own(certificate: &Certificate) -> Self {
        Self { pinned: vec![certificate.fingerprint], ..Self::default() }
    }

    /// Whether somebody who is trusted vouches for the first certificate of a chain (CONF-050).
    pub(super) fn check(&self, chain: &[Certificate], now: Timestamp, lines: &mut Lines) {
        let Some((leaf, others)) = chain.split_first() else { return };
        let is_known = self.pinned.contains(&leaf.fingerprint)
            || self.anchors.iter().any(|(certificate, _)| certificate == leaf.der());
        if is_known {
            return lines.pass("CONF-050", "The certificate is one that is trusted by itself");
        }
        let (fault, text) = match self.find_path(leaf, others, now) {
            Ok(Revocation::NotRevoked) => {
                let text = "The certificate leads to a trusted authority and was not revoked";
                return lines.pass("CONF-050", text);
            }
            Ok(Revocation::NotLookedAt) => {
                let text =
                    "The certificate leads to a trusted authority; whether it was revoked is not checked";
                return lines.pass("CONF-050", text);
            }
            Ok(Revocation::Unknown) => {
                let text = "The certificate leads to a trusted authority; no list in force tells whether it was revoked";
                return lines.warn("CONF-050", text);
            }
            Err(Error::CertRevoked) => (
                CertificateFault::Revoked,
                "The certificate, or one between signer and authority, was revoked",
            ),
            Err(Error::CertExpired { .. }) => {
                (CertificateFault::Expired, "A certificate between signer and authority is expired")
            }
            Err(Error::CertNotValidYet { .. }) => {
                (CertificateFault::NotYetValid, "A certificate between signer and authority is not valid yet")
            }
            Err(Error::UnknownIssuer) if self.anchors.is_empty() => {
                (CertificateFault::Untrusted, "No authority is trusted for this partner")
            }
            Err(Error::InvalidCrlSignatureForPublicKey | Error::IssuerNotCrlSigner) => (
                CertificateFault::Untrusted,
                "The list of what the authority has revoked is not signed by that authority",
            ),
            Err(_) => (CertificateFault::Untrusted, "The certificate does not lead to a trusted authority"),
        };
        lines.fail("CONF-050", Judgement::BadCertificate(fault), text);
    }

    /// Looks for a path to an authority on which nothing was revoked. Where the lists do not tell, because there is
    /// none of an authority or its next one is overdue, what they do tell still counts.
    fn find_path(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        now: Timestamp,
    ) -> Result<Revocation, Error> {
        if self.revoked.is_empty() {
            return self.verify_path(leaf, others, now, None).map(|()| Revocation::NotLookedAt);
        }
        let strict = (UnknownStatusPolicy::Deny, ExpirationPolicy::Enforce);
        match self.verify_path(leaf, others, now, Some(strict)) {
            Err(Error::UnknownRevocationStatus | Error::CrlExpired { .. }) => {
                let lenient = (UnknownStatusPolicy::Allow, ExpirationPolicy::Ignore);
                self.verify_path(leaf, others, now, Some(lenient)).map(|()| Revocation::Unknown)
            }
            found => found.map(|()| Revocation::NotRevoked),
        }
    }

    fn verify_path(
        &self,
        leaf: &Certificate,
        others: &[Certificate],
        now: Timestamp,
        policies: Option<(UnknownStatusPolicy, ExpirationPolicy)>,
    ) -> Result<(), Error> {
        let anchors: Vec<TrustAnchor<'_>> = self.anchors.iter().map(|(_, anchor)| anchor.clone()).collect();
        let others: Vec<CertificateDer<'_>> = others.iter().map(|other| other.der().clone()).collect();
        // The signer's own time has been looked at before: here it is about those behind it.
        let since_1970 = Duration::from_secs(u64::try_from(leaf.nearest_second(now)).unwrap_or(0));
        let time = UnixTime::since_unix_epoch(since_1970);
        let leaf = EndEntityCert::try_from(leaf.der())?;
        let lists: Vec<&CertRevocationList<'_>> = self.revoked.iter().map(AsRef::as_ref).collect();
        let revocation = policies.and_then(|(unknown, expired)| {
            let options = RevocationOptionsBuilder::new(&lists).ok()?;
            Some(options.with_status_policy(unknown).with_expiration_policy(expired).build())
        });
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &others, time, AnyPurpose, revocation, None)
            .map(drop)
    }
}

/// What is known of revocation on the path to an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revocation {
    /// No lists were given.
    NotLookedAt,
    /// Nothing was revoked.
    NotRevoked,
    /// Not all lists that would tell are there and in force.
    Unknown,
}

/// Extended key usages do not decide: the guide names none, and its own certificates have none.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
