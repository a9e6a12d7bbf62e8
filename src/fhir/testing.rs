//! The published definitions and examples, for tests that compare with them. They are no part of the
//! project; a test that does not find them says so and proves nothing.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;

/// The value of a variable that steers the tests.
#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The resources in one of the published Bundles of R4 definitions (`FHIR_R4_DIR`, else `fhir-r4` below the folder of
/// published material), or the one resource that is there.
pub(crate) fn r4_definitions(name: &str) -> Option<Vec<Value>> {
    let shared = variable("CDEX_SHARED_DIR")
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")));
    let folder = variable("FHIR_R4_DIR").unwrap_or_else(|| shared.join("fhir-r4"));
    let Ok(packed) = std::fs::read(folder.join("definitions").join(format!("{name}.json.gz"))) else {
        let line = format!("SKIPPED: {name} is not among the published material\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
        return None;
    };
    let mut text = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut text).expect("published archives are whole");
    let mut published: Value = serde_json::from_slice(&text).expect("published files are JSON");
    let Some(entries) = published["entry"].as_array_mut() else { return Some(vec![published]) };
    Some(entries.iter_mut().map(|entry| entry["resource"].take()).collect())
}

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
