//! `cargo fuzz run -s none decode fuzz/corpus/decode fuzz/seeds/decode`; what must hold is in `fuzz/checks/decode.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("decode", input));
