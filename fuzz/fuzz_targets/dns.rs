//! Any bytes as a DNS message and as a DNS stream. `cargo fuzz run -s none dns fuzz/corpus/dns fuzz/seeds/dns`
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::dns(input));
