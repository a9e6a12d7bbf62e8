//! The tus door from outside, by raw requests: tus 1.0.0 with its extensions, the IETF draft, and the DEX side of it.

mod appending;
mod breaking;
mod checksums;
mod concatenating;
mod creating;
mod deferring;
mod draft;
mod info;
mod manifests;
mod origins;
mod redelivery;
mod small;
mod terminating;
