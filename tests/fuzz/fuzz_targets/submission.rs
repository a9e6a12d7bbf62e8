//! Fuzzes the reading of a `$submit-attachment` from bytes to a submission. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::submission(input));
