//! Clients and services of others, installed once from their registries into a cache outside the checkout. The tests
//! inside the library use this file too.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::environment::{skipped, variable};

/// The folder of what was installed, or `None` (and a line that says so) where that was not possible.
pub(crate) fn available(installed: &Result<PathBuf, String>) -> Option<PathBuf> {
    installed.clone().inspect_err(|reason| skipped(&format!("a client is not available: {reason}"))).ok()
}

/// A folder with copies of these files, the first of which is a `package.json`, and what that asks for. `package` is
/// there once all is.
pub(crate) fn node(name: &str, files: &[&str], package: &str) -> Result<PathBuf, String> {
    let folder = prepare(name, files)?;
    run(Command::new("node").arg("--version"))?;
    if !folder.join("node_modules").join(package).exists() {
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    }
    Ok(folder)
}

/// A folder with copies of these files, one of which is a `requirements.txt`, and a virtual environment `venv` with
/// what that asks for. `module` can be imported once all is there.
pub(crate) fn python(name: &str, files: &[&str], module: &str) -> Result<PathBuf, String> {
    let folder = prepare(name, files)?;
    let python = folder.join("venv/bin/python");
    if run(Command::new(&python).args(["-c", &format!("import {module}")])).is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement"];
        run(Command::new(&python).args(install).arg(folder.join("requirements.txt")))?;
    }
    Ok(folder)
}

/// A folder in the cache with copies of these files: clients are resolved from where the script lies.
fn prepare(name: &str, files: &[&str]) -> Result<PathBuf, String> {
    let cache = variable("CDEX_CI_CACHE").map(PathBuf::from);
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache/cdex-ci"));
    let cache = cache.or_else(home).unwrap_or_else(|| std::env::temp_dir().join("cdex-ci"));
    let folder = cache.join(name);
    let told = |error: std::io::Error| format!("the cache folder cannot be written: {error}");
    std::fs::create_dir_all(&folder).map_err(told)?;
    for file in files {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(file);
        let name = source.file_name().unwrap_or_default().to_owned();
        std::fs::copy(source, folder.join(name)).map_err(told)?;
    }
    Ok(folder)
}

/// Runs a command to its end; its last line tells what went wrong.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{program}: {}", text.lines().last().unwrap_or("failed")))
}
