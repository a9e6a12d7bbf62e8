//! `@tus/server` (npm) as a process: a tus server that is not ours, with its uploads in a folder.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::available;
use crate::support::files;
use crate::support::install::node;

/// The server. Dropping it ends it.
pub(super) struct TusServer {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl TusServer {
    /// Starts one, if it can be installed.
    pub(super) fn start() -> Option<Self> {
        static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let files = ["tus-server/package.json", "tus-server/server.mjs"];
        let installed = INSTALLED.get_or_init(|| node("tus-server", &files, "@tus/server"));
        let script = available(installed)?.join("server.mjs");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an installed server runs");
        let told = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines().next();
        let line = told.expect("it says its port").expect("text");
        let port = line.strip_prefix("PORT ").and_then(|port| port.parse().ok()).expect("a port");
        Some(Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), folder })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The contents of its uploads, complete or not; it keeps a JSON file beside each.
    pub(super) fn uploads(&self) -> Vec<Vec<u8>> {
        let is_content = |path: &PathBuf| Path::new(path).extension().is_none();
        let contents = files::below(self.folder.path()).into_iter().filter(is_content);
        contents.map(|path| std::fs::read(path).expect("an upload can be read")).collect()
    }
}

impl Drop for TusServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
