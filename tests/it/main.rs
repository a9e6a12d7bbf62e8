//! The program from outside: the real binary over real sockets, with files and databases that are looked at
//! afterwards. `architecture` alone reads the source instead.
//!
//! `cargo test --test it` needs nothing by hand. What a machine lacks (PostgreSQL, Node, Python, the published
//! examples) is skipped and said so; `support::environment` lists the variables that steer the tests.

mod architecture;
mod clients;
mod configuration;
mod conformance;
mod crash;
mod delivery;
mod exchange;
mod faults;
mod fhir;
mod oauth;
mod operations;
mod privacy;
mod reports;
mod retention;
mod signatures;
mod storage;
mod streams;
mod submit;
mod support;
mod tus;
mod weaknesses;
