//! Fuzzes patches of all three kinds on any resource. Must not panic, and must keep what the resource is.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::patch(input));
