//! Fuzzes the Boolean of the IETF draft. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::upload_complete(input));
