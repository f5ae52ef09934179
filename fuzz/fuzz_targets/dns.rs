//! `cargo fuzz run -s none dns fuzz/corpus/dns fuzz/seeds/dns`; what must hold is in `fuzz/checks/dns.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("dns", input));
