//! `cargo fuzz run -s none echo fuzz/corpus/echo fuzz/seeds/echo`; what must hold is in `fuzz/checks/echo.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("echo", input));
