//! `cargo fuzz run -s none pcapng_reader fuzz/corpus/pcapng_reader fuzz/seeds/pcapng_reader`; what must hold is in `fuzz/checks/pcapng_reader.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("pcapng_reader", input));
