//! The published definitions and examples, for tests that derive from them or compare with them. They are no part of
//! the project; a test that does not find them says so and proves nothing.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::Value;

/// The value of a variable that steers the tests.
#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder of published material.
fn shared() -> PathBuf {
    variable("CDEX_SHARED_DIR")
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")))
}

/// The folder of R4 among it.
fn r4() -> PathBuf {
    variable("FHIR_R4_DIR").unwrap_or_else(|| shared().join("fhir-r4"))
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let Ok(bytes) = std::fs::read(path) else {
        let line = format!("SKIPPED: {} is not among the published material\n", path.display());
        std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
        return None;
    };
    Some(bytes)
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut whole).expect("published archives are whole");
    whole
}

/// A JSON file below the folder of published material (`CDEX_SHARED_DIR`, else `../shared`).
pub(crate) fn published(path: &str) -> Option<Value> {
    let text = read(&shared().join(path))?;
    Some(serde_json::from_slice(&text).expect("published files are JSON"))
}

/// The names of the JSON files in a folder of published material, in order; none, where it is missing.
pub(crate) fn published_names(path: &str) -> Vec<String> {
    let folder = shared().join(path);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        // Says that it is not there.
        read(&folder);
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let names = files.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The resources in one of the published Bundles of R4 definitions (`FHIR_R4_DIR`, else `fhir-r4` below that folder), or the
/// one resource that is there.
pub(crate) fn r4_definitions(name: &str) -> Option<Vec<Value>> {
    let bytes = read(&r4().join("definitions").join(format!("{name}.json.gz")))?;
    let mut bundle: Value = serde_json::from_slice(&unpacked(&bytes)).expect("published files are JSON");
    let Some(entries) = bundle["entry"].as_array_mut() else { return Some(vec![bundle]) };
    Some(entries.iter_mut().map(|entry| entry["resource"].take()).collect())
}

/// Every published example of R4 that is a resource, by its file name.
pub(crate) fn r4_examples() -> Vec<(String, Value)> {
    let Some(bytes) = read(&r4().join("examples.tar.gz")) else { return Vec::new() };
    let archive = unpacked(&bytes);
    let is_json = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "json");
    let files = tar_files(&archive).filter(|(name, _)| is_json(name));
    resources(files.map(|(name, content)| (name, content.to_vec())))
}

/// The published examples of R4 by file name, as published.
pub(crate) fn published_examples() -> &'static [(String, Vec<u8>)] {
    static EXAMPLES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
        let Some(bytes) = read(&r4().join("examples.tar.gz")) else { return Vec::new() };
        let archive = unpacked(&bytes);
        tar_files(&archive).map(|(name, content)| (name, content.to_vec())).collect()
    });
    &EXAMPLES
}

/// Every published example of CDex that is a resource, by its path.
pub(crate) fn cdex_examples() -> Vec<(String, Value)> {
    let mut folders = vec![shared().join("cdex/examples")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            // Says that it is not there.
            read(&folder);
            continue;
        };
        for path in entries.map(|entry| entry.expect("the folder is readable").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                files.push((path.display().to_string(), std::fs::read(&path).expect("the file is readable")));
            }
        }
    }
    files.sort();
    resources(files.into_iter())
}

fn resources(files: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Value)> {
    let parsed = files.map(|(name, content)| {
        let value: Value = serde_json::from_slice(&content).expect("published examples are JSON");
        (name, value)
    });
    parsed.filter(|(_, value)| value.get("resourceType").is_some()).collect()
}

/// The files of a tar archive with short names: a header of 512 bytes, then the content in blocks of 512.
fn tar_files(mut archive: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    std::iter::from_fn(move || {
        let (header, rest) = archive.split_at_checked(512)?;
        let field = |range: std::ops::Range<usize>| {
            let text = std::str::from_utf8(&header[range]).expect("the header is ASCII");
            text.trim_end_matches('\0').trim().to_owned()
        };
        let name = field(0..100);
        let length = usize::from_str_radix(field(124..136).trim_end_matches('\0'), 8).ok()?;
        let content = &rest[..length];
        archive = &rest[length.next_multiple_of(512)..];
        Some((name, content))
    })
}
