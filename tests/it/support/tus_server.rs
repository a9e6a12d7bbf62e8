//! `@tus/server` (npm) as a process: a tus server that is not ours, with its uploads in a folder. It outlives the
//! gateways that send to it, and ends with the test.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::files;
use super::install::{available, node};

/// The server. Dropping it ends it.
pub(crate) struct TusServer {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl TusServer {
    /// Starts one, if it can be installed.
    pub(crate) fn start() -> Option<Self> {
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
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The contents of its uploads, complete or not.
    pub(crate) fn uploads(&self) -> Vec<Vec<u8>> {
        self.kept().into_iter().map(|(_, content)| content).collect()
    }

    /// The metadata and the contents of the uploads that are complete.
    pub(crate) fn complete(&self) -> Vec<(Value, Vec<u8>)> {
        let complete = self.kept().into_iter().filter(|(kept, content)| kept["size"] == content.len());
        complete.map(|(mut kept, content)| (kept["metadata"].take(), content)).collect()
    }

    /// What it keeps of each upload: a JSON file beside the bytes.
    fn kept(&self) -> Vec<(Value, Vec<u8>)> {
        let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let kept = files::below(self.folder.path()).into_iter().filter(is_json).map(|path| {
            let text = std::fs::read(&path).expect("what it keeps can be read");
            let kept = serde_json::from_slice(&text).expect("what it keeps is JSON");
            (kept, std::fs::read(path.with_extension("")).expect("an upload can be read"))
        });
        kept.collect()
    }
}

impl Drop for TusServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
