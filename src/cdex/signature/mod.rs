//! Digital signatures of CDex: a detached JWS over the canonical form of a Bundle, a QuestionnaireResponse or an item
//! of one. Pure functions: the time, the keys and what is trusted are given, and nothing is read or kept here.
//!
//! [`element`] finds the signatures of a resource and what each of them covers, [`canonical`] makes the bytes that are
//! signed, [`jws`] takes the JOSE side apart, [`certificate`] says what is known of the signer and [`trust`] whether
//! that is believed. [`verify`](mod@verify) puts them together into a [`Verdict`]; [`sign`](mod@sign) goes the other
//! way and checks what it made; [`document`] wraps resources so that they can be signed. [`demand`] says what must be
//! signed and is not.

mod canonical;
mod certificate;
mod demand;
mod document;
mod element;
mod jws;
mod sign;
mod trust;
mod verdict;
mod verify;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use demand::{Unsigned, may_be_attested, passes_as_signed, unsigned};
pub(crate) use document::{attest, sign_document};
pub(crate) use element::{covers, has_signature};
pub(crate) use sign::{SignError, Signer, SignerError};
pub(crate) use trust::{TrustAnchors, TrustError};
#[cfg(test)]
pub(crate) use verdict::{CertificateFault, LineResult};
pub(crate) use verdict::{Judgement, Verdict};
pub(crate) use verify::verify;

/// Where a QuestionnaireResponse, or an item of one, has its signatures.
pub(crate) const QUESTIONNAIRE_RESPONSE_SIGNATURE: &str =
    "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature";

/// `Signature.sigFormat` of a digital signature (CONF-029).
const SIG_FORMAT: &str = "application/jose";

/// `Signature.targetFormat` of a digital signature (CONF-031).
const TARGET_FORMAT: &str =
    "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json#document";

/// `Signature.targetFormat` of a signature that is valid for the XML of a resource too (CONF-033).
const CROSS_FORMAT: &str =
    "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json+xml#document";

/// The code system of `Signature.type`.
const SIGNATURE_TYPES: &str = "urn:iso-astm:E1762-95:2013";

/// The code of a verification signature in it (CONF-038).
const VERIFICATION: &str = "1.2.840.10065.1.12.1.5";

/// Its display, which the profile fixes.
const VERIFICATION_DISPLAY: &str = "Verification Signature";

/// The numbering of National Provider Identifiers.
const NPI_SYSTEM: &str = "http://hl7.org/fhir/sid/us-npi";
