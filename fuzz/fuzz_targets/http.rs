//! `cargo fuzz run -s none http fuzz/corpus/http fuzz/seeds/http`; what must hold is in `fuzz/checks/http.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("http", input));
