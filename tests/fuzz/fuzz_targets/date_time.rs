//! Fuzzes the lexical form of `dateTime` against another reader. Must not panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::date_time(input));
