//! `cargo fuzz run -s none audit_log fuzz/corpus/audit_log fuzz/seeds/audit_log`; what must hold is in `fuzz/checks/audit_log.rs`.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::run("audit_log", input));
