//! Fuzzes `Upload-Concat` of tus: the parts are those that the field names. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::upload_concat(input));
