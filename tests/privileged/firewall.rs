//! The tables of iptables-legacy, as a real kernel has them.
//!
//! Contract: needs root, ip and iptables-legacy; skips with a message where they are not there. All of it happens in a namespace of its own.

use std::path::Path;

use crate::support::hosts::{on_a_host, sh};
use hopwatch::host::firewall::legacy_rules;

#[test]
fn rules_of_iptables_legacy_are_read_and_a_host_without_tables_has_none() {
    if !Path::new("/usr/sbin/xtables-legacy-multi").is_file() {
        eprintln!("skipped: needs iptables-legacy (Debian package iptables)");
        return;
    }
    on_a_host(|_| {
        let shown = || -> Vec<String> {
            let rules = legacy_rules().expect("they can be read");
            rules.iter().map(|rule| format!("{} {} {} {}", rule.family, rule.table, rule.chain, rule.action)).collect()
        };
        assert_eq!(shown(), [""; 0]);
        sh("iptables-legacy -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 3128");
        sh("ip6tables-legacy -P FORWARD DROP");
        let both = ["ip nat (legacy) PREROUTING redirect", "ip6 filter (legacy) FORWARD policy drop"];
        assert_eq!(shown(), both);
        let before = legacy_rules();
        sh("iptables-legacy -t nat -A PREROUTING -j ACCEPT; ip6tables-legacy -Z");
        assert_eq!(legacy_rules(), before, "what comes after it overrules nothing, and counters count nothing");
        sh("iptables-legacy -t nat -F");
        assert_eq!(shown(), ["ip6 filter (legacy) FORWARD policy drop"]);
    });
}
