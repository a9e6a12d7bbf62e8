//! Fuzzes path templates with hostile manifests: nothing leaves a target. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::path_template(input));
