//! `cargo fuzz run -s none probe fuzz/corpus/probe fuzz/seeds/probe`; what must hold is in `fuzz/checks/probe.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("probe", input));
