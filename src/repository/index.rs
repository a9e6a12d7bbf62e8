//! What a resource can be searched for.

use serde_json::Value;

use super::entry::Entry;

/// The entries of a resource of this type, each once, in order. `base` is the gateway's FHIR base URL: references to
/// it are references to resources here.
pub(crate) fn entries(tenant: &str, resource_type: &'static str, resource: &Value, base: &str) -> Vec<Entry> {
    unimplemented!()
}
