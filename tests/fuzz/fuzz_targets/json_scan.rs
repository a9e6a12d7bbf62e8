//! Fuzzes the scanner of FHIR bodies: cuts make no difference, what it accepts is JSON. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::scan(input));
