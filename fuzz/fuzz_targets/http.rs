//! Any bytes as HTTP, SOCKS, SSH and PROXY protocol. `cargo fuzz run -s none http fuzz/corpus/http fuzz/seeds/http`
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::http(input));
