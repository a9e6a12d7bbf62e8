//! Clients that others have written, unmodified, from their registries. They are installed once into a cache outside
//! the checkout; where Node, Python or the registry is missing that is said.

mod fhir;
mod signature;
mod tus;

use std::path::PathBuf;

use crate::support::environment::skipped;

fn available(installed: &Result<PathBuf, String>) -> Option<PathBuf> {
    match installed {
        Ok(folder) => Some(folder.clone()),
        Err(reason) => {
            skipped(&format!("a client is not available: {reason}"));
            None
        }
    }
}
