//! For tests: where DEX's published files are, streams made of texts, and a manifest. The files lie beside the project
//! and are never copied into it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{ConfigProblem, ManifestFields, StreamConfigs, StreamFile, Variables, stream_files};

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

/// The rules in a folder.
pub(crate) fn load(folder: &Path, variables: Variables<'_>) -> Result<StreamConfigs, Vec<ConfigProblem>> {
    StreamConfigs::read(&stream_files(folder).expect("the folder can be read"), false, variables)
}

/// Files of these names and texts.
pub(crate) fn files<const N: usize>(texts: [(&str, &str); N]) -> Vec<StreamFile> {
    texts.map(|(name, text)| StreamFile { name: name.to_owned(), text: Ok(text.to_owned()) }).into()
}

/// What a sender says of an upload to the built-in stream.
pub(crate) fn manifest() -> ManifestFields {
    let fields = [
        ("data_stream_id", "cdex"),
        ("data_stream_route", "attachment"),
        ("sender_id", "s"),
        ("data_producer_id", "p"),
        ("jurisdiction", "null"),
        ("received_filename", "f.txt"),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
