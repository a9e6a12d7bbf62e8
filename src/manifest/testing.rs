//! For tests: where DEX's published files are. They lie beside the project and are never copied into it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder of DEX's files, or a line on stderr that says why a test proves nothing.
#[expect(clippy::disallowed_methods, reason = "tests find the shared files through the environment")]
pub(crate) fn dex_folder(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("CDEX_SHARED_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = shared.join("dex").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let line = format!("SKIPPED: DEX's {name} are not there; set CDEX_SHARED_DIR\n");
    // Not `eprintln!`, which the test harness would hide.
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}
