//! FHIR R4 as such; the only folder that knows fhirbolt.
//!
//! [`scan`] reads a body once as it arrives and gives what is large to a [`Spool`]; what stays is parsed and
//! its structure checked; [`profile`] holds the rules of profiles and [`validate`] applies them. Whatever is
//! wrong becomes an [`Issue`].

pub(crate) mod base64;
mod codec;
pub(crate) mod datatype;
mod outcome;
mod path;
mod profile;
pub(crate) mod scan;
pub(crate) mod spool;
pub(crate) mod structure;
mod validate;

pub(crate) use codec::{FHIR_JSON, media_type, negotiate, parse};
pub(crate) use outcome::{Issue, IssueType, Severity, operation_outcome};
pub(crate) use profile::{ProfileError, Profiles};
pub(crate) use scan::{KnownType, ScanError, ScanLimits, Scanned, ScannedPayload, Scanner, Shape, convert};
pub(crate) use spool::{Spool, SpoolError, Spooled};
pub(crate) use structure::check as check_structure;
pub(crate) use validate::validate;
