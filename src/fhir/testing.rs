//! The published definitions and examples, for tests that compare with them. They are no part of the
//! project; a test that does not find them says so and proves nothing.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// A JSON file below the folder of published material (`CDEX_SHARED_DIR`, else `../shared`).
#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
pub(crate) fn published(path: &str) -> Option<Value> {
    let folder = std::env::var_os("CDEX_SHARED_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join(path)) else {
        let line = format!("SKIPPED: {path} is not among the published material\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
        return None;
    };
    Some(serde_json::from_str(&text).expect("published files are JSON"))
}
