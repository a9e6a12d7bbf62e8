//! The tus door from outside, by raw requests: core, creation, creation-with-upload, and the DEX side of it.

mod appending;
mod breaking;
mod creating;
mod info;
mod manifests;
mod redelivery;
