//! The configuration as recordings and bundles of evidence keep it, and the hash that names it.
//!
//! Contract: without `sinks`, whose addresses hold secrets, and with the baseline beside it. A configuration that was kept and is read again is kept as the same text,
//! so that a replay names the same hash. Limits: the hash says nothing about what stands in other files (the baseline), or about options of the command line; another
//! version of hopwatch may have other defaults, and so another hash.

use sha2::{Digest as _, Sha256};

/// What a recording calls its copy of the baseline.
pub const KEPT_BASELINE: &str = "baseline.yaml";

/// The whole configuration as YAML in the form in which it is kept.
pub fn kept_text(printed: &str, has_baseline: bool) -> String {
    let text = without_section(printed, "sinks");
    if has_baseline { with_baseline_beside(&text) } else { text }
}

/// SHA-256 of a text, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A YAML text without one of its sections.
fn without_section(text: &str, name: &str) -> String {
    let mut is_in_it = false;
    let keep = |line: &&str| {
        if !line.starts_with([' ', '\t', '-', '#']) && !line.is_empty() {
            is_in_it = line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        }
        !is_in_it
    };
    text.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

fn with_baseline_beside(config: &str) -> String {
    let beside = format!("baseline: {KEPT_BASELINE}");
    let mut found = false;
    let mut lines: Vec<&str> = Vec::new();
    for line in config.lines() {
        let is_it = line.starts_with("baseline:");
        found |= is_it;
        lines.push(if is_it { &beside } else { line });
    }
    if !found {
        lines.push(&beside);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_str;

    #[test]
    fn the_sinks_with_their_addresses_stay_out_of_it() {
        let text = "alerts:\n  burst: 1\nsinks:\n- name: chat\n  webhook:\n    url: https://hooks.example/T0/secret\n\
            # about rules\n  - odd\nrules: {}\n";
        assert_eq!(kept_text(text, false), "alerts:\n  burst: 1\nrules: {}\n");
        assert_eq!(kept_text("baseline: /etc/hopwatch/baseline.yaml\n", true), "baseline: baseline.yaml\n");
    }

    #[test]
    fn what_was_kept_and_read_again_has_the_same_hash() {
        let text = "baseline: /somewhere/expected.yaml\nsinks: {log: {file: {path: /var/log/alerts.jsonl}}}\nalerts: {burst: 7}\n";
        let loaded = from_str("hopwatch.yaml", text).expect("a configuration");
        let kept = kept_text(&loaded.printed, true);
        let again = from_str("again.yaml", &kept).expect("what was kept");
        let hash = |loaded: &crate::config::Loaded| loaded.config.engine.config_sha256.clone();
        assert_eq!(
            hash(&loaded).as_deref(),
            Some(sha256(kept.as_bytes()).as_str()),
            "the hash of the text that is kept"
        );
        assert_eq!(hash(&again), hash(&loaded));
        let other = from_str("hopwatch.yaml", &text.replace("burst: 7", "burst: 8")).expect("a configuration");
        assert_ne!(hash(&other), hash(&loaded));
    }
}
