//! Fuzzes `Content-Type` and `Accept`: space and repetition make no difference. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::media_type(input));
