//! `cargo fuzz run -s none openvpn fuzz/corpus/openvpn fuzz/seeds/openvpn`; what must hold is in `fuzz/checks/openvpn.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("openvpn", input));
