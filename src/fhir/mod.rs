//! FHIR R4 as such; the only folder that knows fhirbolt.

mod outcome;
mod spool;

pub(crate) use outcome::{Issue, IssueType, Severity, operation_outcome};
pub(crate) use spool::{Spool, SpoolError, Spooled};
