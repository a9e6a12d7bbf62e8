//! Clients and servers that others have written, unmodified, from their registries, and our own examples and commands
//! against them. They are installed once into a cache outside the checkout; where Node, Python or the registry is missing
//! that is said.

mod examples;
mod fhir;
mod forwarding;
mod signature;
mod tus;
mod tus_server;
mod upload;

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
