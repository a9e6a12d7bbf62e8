//! Fuzzes the verification of signatures, from the resource and from the JWS on. Must not panic, and must not trust.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::signature(input));
