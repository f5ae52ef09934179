//! `cargo fuzz run -s none pcap_reader fuzz/corpus/pcap_reader fuzz/seeds/pcap_reader`; what must hold is in `fuzz/checks/pcap_reader.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("pcap_reader", input));
