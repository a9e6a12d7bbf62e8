//! Fuzzes the URL of an upload of ours: only origin, path and id make one. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::own_upload(input));
