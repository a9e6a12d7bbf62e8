//! Fuzzes the codec of `Upload-Metadata`: what it accepts is written and read again alike. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::upload_metadata(input));
