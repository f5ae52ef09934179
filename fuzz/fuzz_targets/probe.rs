//! Any payload in any order, through the meter. `cargo fuzz run -s none probe fuzz/corpus/probe fuzz/seeds/probe`
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::probe(input));
