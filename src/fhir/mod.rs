//! FHIR R4 as such; the only folder that knows fhirbolt.
//!
//! [`scan`] reads a body once as it arrives and gives what is large to a [`Spool`]; [`codec`] parses what
//! stays and [`structure`] checks it against R4; [`profile`] holds the rules of profiles and [`validate`](mod@validate)
//! applies them. Whatever is wrong becomes an [`Issue`].

pub(crate) mod base64;
mod codec;
pub(crate) mod datatype;
#[cfg(fuzzing)]
pub mod fuzzing;
mod outcome;
mod path;
mod profile;
pub(crate) mod scan;
pub(crate) mod search;
mod spool;
mod structure;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub(crate) use codec::{FHIR_JSON, NotAcceptable, media_type, negotiate, parse};
#[cfg(test)]
pub(crate) use outcome::Severity;
pub(crate) use outcome::{Issue, IssueType, operation_outcome};
pub(crate) use profile::Profiles;
pub(crate) use scan::{KnownType, ScanError, ScanLimits, Scanned, ScannedPayload, Scanner, Shape, convert};
pub(crate) use spool::{Spool, SpoolError, Spooled};
pub(crate) use structure::{check as check_structure, resource_type};
pub(crate) use validate::validate;
