//! The variables that steer the tests, and how a test says that it was skipped.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `CDEX_SHARED_DIR` | published examples and data files; else the folder `shared` beside the checkout |
//! | `FHIR_R4_DIR` | the published definitions and examples of R4; else `fhir-r4` in that folder |
//! | `CDEX_REWRITE_TABLES` | `1`: the tables in `profiles/r4` are written anew from those definitions |
//! | `CDEX_TEST_LARGE` | `1`: the 1 GiB attachment and 100 MiB client uploads too |
//! | `CDEX_TEST_KILL_ROUNDS` | rounds of the crash tests, 2 to 5 unless set |
//! | `CDEX_TEST_SEED` | seed of the crash tests and of the hostile queries, to repeat a run |
//! | `CDEX_TEST_QUERIES` | hostile queries per database, 1,500 unless set |
//! | `CDEX_TEST_EXAMPLES` | examples per operation of schemathesis, for all paths; a few for some unless set |
//! | `CDEX_CI_CACHE` | where clients are installed, `~/.cache/cdex-ci` unless set |
//! | `TEST_POSTGRES_URL` | a PostgreSQL server to use instead of a cluster of our own |

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The value of a variable that steers the tests.
#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The same as a number; anything else is a mistake worth a panic.
pub(crate) fn number(name: &str) -> Option<u64> {
    let value = variable(name)?.into_string().expect("a number is ASCII");
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Variables of DEX that set something here by themselves.
const OF_DEX: [&str; 9] = [
    "DEX_DELIVERY_CONFIG_FILE",
    "DEX_MANIFEST_CONFIG_CONTAINER_NAME",
    "DEX_S3_MANIFEST_CONFIG_FOLDER_NAME",
    "LISTENER_WORKERS",
    "LOCAL_FOLDER_UPLOADS_TUS",
    "OAUTH_AUTH_ENABLED",
    "S3_BUCKET_NAME",
    "TUS_AZURE_CONTAINER_NAME",
    "UPLOAD_CONFIG_PATH",
];

/// Settings of a gateway in the environment of the tests: one under test must not see them.
#[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
pub(crate) fn inherited_settings() -> impl Iterator<Item = OsString> {
    let is_setting = |name: &str| name.starts_with("CDEX_") || OF_DEX.contains(&name);
    std::env::vars_os().map(|(name, _)| name).filter(move |name| is_setting(&name.to_string_lossy()))
}

/// Whether the tests of large files run in full size.
pub(crate) fn large() -> bool {
    variable("CDEX_TEST_LARGE").is_some_and(|value| value == "1")
}

/// A published file or folder, or `None` (and a line that says so) where it is not on this machine.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let folder = variable("CDEX_SHARED_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let found = folder.join(path);
    if found.exists() {
        return Some(found.canonicalize().expect("an existing path has a canonical form"));
    }
    skipped(&format!("the published data are not here: {path}"));
    None
}

/// Says that a test did not run. Written past the capture of the test runner: a skip is never silent.
pub(crate) fn skipped(reason: &str) {
    note(&format!("SKIPPED: {reason}"));
}

/// A line for whoever watches, past the capture of the test runner.
pub(crate) fn note(line: &str) {
    // One write, so that lines of parallel tests stay whole.
    let _ = std::io::stderr().write_all(format!("\n{line}\n").as_bytes());
}
