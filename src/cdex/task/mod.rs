//! CDex Tasks: requests for data and for attachments, and what may become of them. Pure.
//!
//! [`request`] reads a Task, [`status`] says how its status may move, [`change`] what a change of it may touch,
//! [`query`] what the search that it asks for may be, [`questionnaire`] whether a form answers it, [`step`] makes
//! its next version. A Task is a CDex Task by its code, whether or not it claims a profile; all others are plain R4.

pub(crate) mod change;
pub(crate) mod query;
pub(crate) mod questionnaire;
mod request;
mod status;
pub(crate) mod step;
#[cfg(test)]
mod tests;

pub(crate) use request::{Asked, CdexTask, Input, Output, TaskKind, reference_of};
pub(crate) use status::TaskStatus;

/// The code system of CDex.
pub(crate) const CDEX_TEMP: &str = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp";

/// The code system of HRex.
pub(crate) const HREX_TEMP: &str = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp";

/// The code system of PAS, which codes attachment requests.
pub(crate) const PAS_TEMP: &str = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes";

/// The code system of SDC.
pub(crate) const SDC_TEMP: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";

/// LOINC.
pub(crate) const LOINC: &str = "http://loinc.org";

/// The profile of data requests.
const DATA_REQUEST: &str = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-data-request";

/// The profile of attachment requests.
const ATTACHMENT_REQUEST: &str =
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-attachment-request";
