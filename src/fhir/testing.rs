//! The published definitions and examples, for tests that compare with them. They are no part of the
//! project; a test that does not find them says so and proves nothing.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::Value;

/// A JSON file below the folder of published material (`CDEX_SHARED_DIR`, else `../shared`).
pub(crate) fn published(path: &str) -> Option<Value> {
    let text = published_file(path)?;
    Some(serde_json::from_slice(&text).expect("published files are JSON"))
}

/// The example resources of FHIR R4, by file name, as published; none where they are not on this machine.
pub(crate) fn published_examples() -> &'static [(String, Vec<u8>)] {
    static EXAMPLES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
        let Some(packed) = published_file("fhir-r4/examples.tar.gz") else { return Vec::new() };
        let mut archive = Vec::new();
        let mut unpacked = flate2::read::GzDecoder::new(&packed[..]);
        unpacked.read_to_end(&mut archive).expect("published archives are whole");
        files_of_tar(&archive)
    });
    &EXAMPLES
}

/// The files of a tar archive: a block of 512 bytes with name and length (octal) before each, whole blocks each.
fn files_of_tar(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = |field: &[u8]| {
        String::from_utf8_lossy(field.split(|&byte| byte == 0).next().unwrap_or_default()).trim().to_owned()
    };
    let mut files = Vec::new();
    while archive.len() > 512 && archive[0] != 0 {
        let name = text(&archive[..100]);
        let length = usize::from_str_radix(&text(&archive[124..136]), 8).expect("a length in octal");
        if matches!(archive[156], b'0' | 0) {
            files.push((name, archive[512..512 + length].to_vec()));
        }
        archive = &archive[512 + length.next_multiple_of(512)..];
    }
    files
}

#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
fn published_file(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("CDEX_SHARED_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let Ok(text) = std::fs::read(folder.join(path)) else {
        let line = format!("SKIPPED: {path} is not among the published material\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
        return None;
    };
    Some(text)
}
