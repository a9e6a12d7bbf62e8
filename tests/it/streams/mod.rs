//! The files of DEX from outside: followed while the gateway runs, manifests of version 1.0, and a deployment of DEX
//! that is moved with its environment. The published files are read where they lie.

mod moving;
mod reloading;
mod version_one;

use crate::support::gateway::Gateway;
use crate::support::http::Answer;
use crate::support::tus::{creation, metadata};

/// What a creation with this manifest is answered.
fn verdict(gateway: &Gateway, manifest: &[(&str, &str)]) -> Answer {
    gateway.ask(&creation("/upload/files", 3, &metadata(manifest)))
}
