//! Any bytes as a QUIC datagram and as its frames. `cargo fuzz run -s none quic fuzz/corpus/quic fuzz/seeds/quic`
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::quic(input));
