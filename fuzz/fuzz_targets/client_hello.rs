//! Any bytes as a TLS stream, a hello, a DTLS datagram. `cargo fuzz run -s none client_hello fuzz/corpus/client_hello fuzz/seeds/client_hello`
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::client_hello(input));
