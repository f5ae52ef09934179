//! `cargo fuzz run -s none extensions fuzz/corpus/extensions fuzz/seeds/extensions`; what must hold is in `fuzz/checks/extensions.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("extensions", input));
