//! FHIR R4 as such; the only folder that knows fhirbolt.

pub(crate) mod base64;
pub(crate) mod codec;
#[cfg(fuzzing)]
pub mod fuzzing;
mod outcome;
mod path;
pub(crate) mod scan;
pub(crate) mod spool;
pub(crate) mod structure;

pub(crate) use outcome::{Issue, IssueType, Severity, operation_outcome};
pub(crate) use spool::{Spool, SpoolError, Spooled};
