//! Fuzzes the parameters of a search. Must not panic, nor repeat what was sent.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cdex_gateway::fuzzing::search_query(input));
