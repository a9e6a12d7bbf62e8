//! Fuzzes the base64 decoder: cuts make no difference, what it accepts has one encoding. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::base64(input));
