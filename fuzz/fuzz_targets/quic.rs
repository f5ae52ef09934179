//! `cargo fuzz run -s none quic fuzz/corpus/quic fuzz/seeds/quic`; what must hold is in `fuzz/checks/quic.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("quic", input));
