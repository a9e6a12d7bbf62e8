//! Clients and servers that others have written, unmodified, from their registries, and our own examples and commands
//! against them. They are installed once into a cache outside the checkout; where Node, Python or the registry is
//! missing that is said.

mod examples;
mod fhir;
mod forwarding;
mod signature;
mod tus;
mod upload;
