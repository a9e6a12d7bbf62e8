//! The names that files and objects get below a target, by the rules that all targets share.

use std::path::Path;

use crate::delivery::DeliveryError;
use crate::id::UploadId;

/// The head of the name of everything that is not finished.
pub(super) const PART: &str = ".part-";

/// The directories and the name of a path, or a refusal: nothing may lead out of the root or look like
/// something unfinished.
pub(super) fn split(path: &str) -> Result<(Vec<&str>, &str), DeliveryError> {
    let mut parts: Vec<&str> = path.split('/').collect();
    let refused = |part: &&str| matches!(*part, "" | "." | "..") || part.contains('\0');
    let name = parts.pop().unwrap_or_default();
    if refused(&name) || name.starts_with(PART) || parts.iter().any(refused) {
        return Err(DeliveryError::PathRefused);
    }
    Ok((parts, name))
}

/// `report.pdf` becomes `report_{upload id}.pdf`; folders before it stay.
pub(super) fn with_suffix(path: &str, upload_id: UploadId) -> String {
    let (folders, name) = path.rsplit_once('/').map_or(("", path), |(folders, name)| (folders, name));
    let name = match (
        Path::new(name).file_stem().and_then(|stem| stem.to_str()),
        Path::new(name).extension().and_then(|extension| extension.to_str()),
    ) {
        (Some(stem), Some(extension)) => format!("{stem}_{upload_id}.{extension}"),
        _ => format!("{name}_{upload_id}"),
    };
    if folders.is_empty() { name } else { format!("{folders}/{name}") }
}

/// The file beside a payload that holds its manifest.
pub(super) fn sidecar_of(name: &str) -> String {
    format!("{name}.meta.json")
}
