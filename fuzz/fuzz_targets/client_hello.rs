//! `cargo fuzz run -s none client_hello fuzz/corpus/client_hello fuzz/seeds/client_hello`; what must hold is in `fuzz/checks/client_hello.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("client_hello", input));
