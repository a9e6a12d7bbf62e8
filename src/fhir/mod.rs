//! FHIR R4 as such; the only folder that knows fhirbolt.
//!
//! [`scan`] reads a body once as it arrives and gives what is large to a [`Spool`]; [`codec`] parses what
//! stays and [`structure`] checks it against [`r4`]; [`profile`] holds the rules of profiles and
//! [`validate`](mod@validate) applies them. Whatever is wrong becomes an [`Issue`].

pub(crate) mod address;
pub(crate) mod base64;
pub(crate) mod bundle;
mod codec;
pub(crate) mod datatype;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod outcome;
pub(crate) mod patch;
mod path;
pub(crate) mod pretty;
mod profile;
pub(crate) mod r4;
pub(crate) mod record;
pub(crate) mod reference;
pub(crate) mod resource;
pub(crate) mod scan;
pub(crate) mod search;
mod spool;
mod structure;
pub(crate) mod subset;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub(crate) use address::{Address, OperationAddress, Place, UnknownAddress};
pub(crate) use codec::{
    Chosen, FHIR_JSON, MediaTypeError, NotAcceptable, choose, media_type, negotiate, parse,
};
pub(crate) use outcome::{Issue, IssueType, Severity, issue_codes, operation_outcome, tells_of_holding};
pub(crate) use patch::{PATCH_TYPES, Patch, PatchError, PatchFormat};
pub(crate) use profile::{ProfileError, Profiles};
pub(crate) use r4::resource_type;
pub(crate) use scan::{KnownType, ScanError, ScanLimits, Scanned, ScannedPayload, Scanner, Shape, convert};
pub(crate) use spool::{Spool, SpoolError, Spooled};
pub(crate) use structure::{Mode as StructureMode, check as check_structure};
pub(crate) use validate::validate;
