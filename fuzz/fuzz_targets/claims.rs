//! `cargo fuzz run -s none claims fuzz/corpus/claims fuzz/seeds/claims`; what must hold is in `fuzz/checks/claims.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("claims", input));
