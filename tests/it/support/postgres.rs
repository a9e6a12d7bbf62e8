//! A PostgreSQL cluster of the tests' own, from the binaries on this machine, on a free port; one per test
//! process. `TEST_POSTGRES_URL` names a server to use instead. Where there is neither, that is printed.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Starts the cluster under `postgres` when run by root, and ends it when standard input closes, which it
/// does however this process ends.
const SCRIPT: &str = r#"
set -e
dir=$(mktemp -d "${TMPDIR:-/tmp}/cdex-pg-XXXXXX")
as=""
if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; as="setpriv --reuid=postgres --regid=postgres --clear-groups --"; fi
cd "$dir"
$as "$BIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >/dev/null
$as "$BIN/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port="$PORT" \
    -c unix_socket_directories="$dir" -c fsync=off -c max_connections=200 >"$dir/log" 2>&1 &
server=$!
read -r _ || true
kill -QUIT "$server" 2>/dev/null || true
wait "$server" 2>/dev/null || true
rm -rf "$dir"
"#;

struct Cluster {
    base_url: String,
    /// Holds the pipe whose closing ends the cluster.
    _script: Option<Child>,
}

static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of a fresh, empty database, or `None` where no PostgreSQL can be had.
pub(crate) fn fresh_database() -> Option<String> {
    let cluster = CLUSTER.get_or_init(start).as_ref()?;
    let name = format!("test_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("psql")
        .args([&format!("{}/postgres", cluster.base_url), "-qc", &format!("CREATE DATABASE {name}")])
        .status()
        .expect("psql runs where initdb does");
    assert!(made.success(), "the test cluster refused a new database");
    Some(format!("{}/{name}", cluster.base_url))
}

#[expect(clippy::zombie_processes, reason = "it ends with the pipe; a failed start ends this process")]
fn start() -> Option<Cluster> {
    #[allow(clippy::disallowed_methods, reason = "tests are steered by the environment")]
    if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
        return Some(Cluster { base_url: url.trim_end_matches('/').to_owned(), _script: None });
    }
    let Some(bin) = find_binaries() else {
        // Written past the capture of the test runner: a skip is never silent.
        let _ = std::io::stderr().write_all(b"\nSKIPPED on PostgreSQL: no initdb on this machine\n");
        return None;
    };
    let port = super::port::free();
    let script = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("BIN", &bin)
        .env("PORT", port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let base_url = format!("postgres://postgres@127.0.0.1:{port}");
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let answers = Command::new("psql")
            .args([&format!("{base_url}/postgres"), "-qc", "SELECT 1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if answers.is_ok_and(|status| status.success()) {
            return Some(Cluster { base_url, _script: Some(script) });
        }
        assert!(Instant::now() < deadline, "the test cluster did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[allow(clippy::disallowed_methods, reason = "the tests look for programs as a shell does")]
fn find_binaries() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH")?));
    folders
        .into_iter()
        .rev()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
