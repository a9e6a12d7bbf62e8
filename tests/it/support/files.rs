//! Files below a folder.

use std::path::{Path, PathBuf};

/// All files below a folder, sorted; none where the folder is missing. Files that vanish meanwhile are left
/// out: the gateway is at work.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}

/// The last UUID in a path.
pub(crate) fn uuid_in(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    (0..text.len().saturating_sub(35))
        .rev()
        .filter_map(|start| text.get(start..start + 36))
        .find(|candidate| uuid::Uuid::try_parse(candidate).is_ok())
        .map(str::to_owned)
}

/// Whether this is a file that a delivery is still writing.
pub(crate) fn is_part(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".part-"))
}
