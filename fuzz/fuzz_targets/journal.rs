//! `cargo fuzz run -s none journal fuzz/corpus/journal fuzz/seeds/journal`; what must hold is in `fuzz/checks/journal.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("journal", input));
