//! Fuzzes `Upload-Checksum` of tus: what is accepted has one spelling. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::upload_checksum(input));
