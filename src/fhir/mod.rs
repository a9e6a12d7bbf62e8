//! FHIR R4 as such; the only folder that knows fhirbolt.

pub(crate) mod datatype;
mod outcome;
mod profile;
mod spool;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub(crate) use outcome::{Issue, IssueType, Severity, operation_outcome};
pub(crate) use profile::{ProfileError, Profiles};
pub(crate) use spool::{Spool, SpoolError, Spooled};
pub(crate) use validate::validate;
