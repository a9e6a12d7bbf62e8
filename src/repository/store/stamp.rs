//! Puts id, version and time into the text of a resource.

use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// The text is no resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The text to store: `resourceType`, `id` and `meta` first, then what was received.
pub(super) fn stamp(
    received: &[u8],
    id: &str,
    version: u64,
    last_updated: Timestamp,
) -> Result<Vec<u8>, Malformed> {
    let mut resource: Map<String, Value> = serde_json::from_slice(received).map_err(|_| Malformed)?;
    let mut meta = match resource.remove("meta") {
        Some(Value::Object(meta)) => meta,
        _ => Map::new(),
    };
    meta.insert("versionId".to_owned(), version.to_string().into());
    meta.insert("lastUpdated".to_owned(), last_updated.to_string().into());
    resource.insert("meta".to_owned(), meta.into());
    resource.insert("id".to_owned(), id.into());
    serde_json::to_vec(&resource).map_err(|_| Malformed)
}
