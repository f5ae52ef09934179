//! `cargo fuzz run -s none conntrack fuzz/corpus/conntrack fuzz/seeds/conntrack`; what must hold is in `fuzz/checks/conntrack.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("conntrack", input));
