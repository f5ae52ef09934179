//! `cargo fuzz run -s none payload fuzz/corpus/payload fuzz/seeds/payload`; what must hold is in `fuzz/checks/payload.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("payload", input));
