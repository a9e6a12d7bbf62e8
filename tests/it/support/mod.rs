//! What the tests share: the gateway as a process, raw HTTP, tus requests, submissions, what was delivered.
//!
//! Nothing here asserts what the gateway should do beyond being able to talk to it; that is for the tests.

pub(crate) mod buckets;
pub(crate) mod content;
pub(crate) mod endpoint;
pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod install;
pub(crate) mod nats;
pub(crate) mod port;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod relay;
pub(crate) mod rows;
pub(crate) mod rust_source;
pub(crate) mod signing;
pub(crate) mod storage;
pub(crate) mod submission;
pub(crate) mod tus;
pub(crate) mod tus_server;
pub(crate) mod wait;
