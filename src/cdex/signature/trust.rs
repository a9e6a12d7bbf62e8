//! Whose signatures are believed: those with a certificate that leads to a trust anchor, and those with a certificate
//! that was pinned. Each partner has its own.

use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};

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
    is_lenient: bool,
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

    /// Also takes signatures as the published 2.1.0 has them: without `srCms`, `sigT`, `targetFormat` or `sigFormat`, and
    /// made after `meta.profile` had been taken out of the entries of a Bundle.
    pub(crate) fn accept_legacy(&mut self, accept: bool) {
        self.is_lenient = accept;
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
        let (fault, text) = match self.verify_path(leaf, others, now) {
            Ok(()) => return lines.pass("CONF-050", "The certificate leads to a trusted authority"),
            Err(Error::CertExpired { .. }) => {
                (CertificateFault::Expired, "A certificate between signer and authority is expired")
            }
            Err(Error::CertNotValidYet { .. }) => {
                (CertificateFault::NotYetValid, "A certificate between signer and authority is not valid yet")
            }
            Err(Error::UnknownIssuer) if self.anchors.is_empty() => {
                (CertificateFault::Untrusted, "No authority is trusted for this partner")
            }
            Err(_) => (CertificateFault::Untrusted, "The certificate does not lead to a trusted authority"),
        };
        lines.fail("CONF-050", Judgement::BadCertificate(fault), text);
    }

    fn verify_path(&self, leaf: &Certificate, others: &[Certificate], now: Timestamp) -> Result<(), Error> {
        let anchors: Vec<TrustAnchor<'_>> = self.anchors.iter().map(|(_, anchor)| anchor.clone()).collect();
        let others: Vec<CertificateDer<'_>> = others.iter().map(|other| other.der().clone()).collect();
        // The signer's own time has been looked at before: here it is about those behind it.
        let since_1970 = Duration::from_secs(u64::try_from(leaf.nearest_second(now)).unwrap_or(0));
        let time = UnixTime::since_unix_epoch(since_1970);
        let leaf = EndEntityCert::try_from(leaf.der())?;
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &others, time, AnyPurpose, None, None)
            .map(drop)
    }
}

/// Extended key usages do not decide: the guide names none, and its own certificates have none.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
