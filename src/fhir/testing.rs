//! The published definitions and examples, for tests that compare with them. They are no part of the
//! project; a test that does not find them says so and proves nothing.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// A JSON file below the folder of published material (`CDEX_SHARED_DIR`, else `../shared`).
pub(crate) fn published(path: &str) -> Option<Value> {
    let Ok(text) = std::fs::read_to_string(folder().join(path)) else {
        skip(path);
        return None;
    };
    Some(serde_json::from_str(&text).expect("published files are JSON"))
}

/// The names of the JSON files in a folder of published material, in order; none, where it is missing.
pub(crate) fn published_names(path: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder().join(path)) else {
        skip(path);
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let names = files.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
fn folder() -> PathBuf {
    std::env::var_os("CDEX_SHARED_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from)
}

fn skip(path: &str) {
    let line = format!("SKIPPED: {path} is not among the published material\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
}
