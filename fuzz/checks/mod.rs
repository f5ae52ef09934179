//! What must hold for any input, one file a target. The fuzzer runs them on what it invents (`fuzz_targets/`), and
//! `tests/shell/fuzz_regression.rs` runs them on the seeds and on every input that once failed.
//!
//! A new target is a file here, a line in `targets!`, and a file of three lines in `fuzz_targets/` with its entry in
//! `fuzz/Cargo.toml`.

/// Declares the modules and the table of them.
macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// Name and check of each target.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::check)),*];
    };
}

targets![
    audit_log,
    claims,
    client_hello,
    conntrack,
    decode,
    dns,
    echo,
    extensions,
    http,
    journal,
    openvpn,
    payload,
    pcap_reader,
    pcapng_reader,
    quic
];

/// Runs the check of a target; panics where something does not hold.
pub fn run(target: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.expect("a target of the table").1(input);
}
