//! Settings: plain types; the only reader of files and environment.

mod fhir_mapping;
mod secret;

pub use fhir_mapping::{FhirFieldsConfig, FhirMappingConfig, FhirSource, FhirStreamConfig};
pub use secret::Secret;
