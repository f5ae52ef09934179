//! The text that `nft -f -` gets, and what its list says.
//!
//! Contract: only tables named `hopwatch` are named, so nothing else is touched; applying a text twice changes nothing. An element leaves by its timeout, in the kernel, also
//! when hopwatch is dead. Limits: pairs of addresses, in the namespace of the host; a sender that changes its address gets around them. A table of another program that flushes
//! all rules removes them: `respond run` puts them back. Design: `bridge`, because traffic within a bridge never passes `inet`; `inet`, for what is routed
//! from elsewhere. Priority −300 is before connection tracking, so the addresses are those that the container uses.

use std::net::IpAddr;

use serde_json::Value;

/// Container, and the other end.
pub type Pair = [IpAddr; 2];

/// Families of tables.
pub const FAMILIES: [&str; 2] = ["inet", "bridge"];
/// Sets of a table, of addresses of version 4 and 6.
pub const SETS: [&str; 2] = ["blocked4", "blocked6"];

/// What blocks the pairs for so long.
pub fn block(pairs: &[Pair], seconds: u64) -> String {
    // An element that is there keeps its timeout in older kernels, so it is made anew.
    let lines = |family: &str, pair: &Pair| {
        let (bare, timed) = (element(family, pair, None), element(family, pair, Some(seconds)));
        format!("add element {bare}\ndelete element {bare}\nadd element {timed}\n")
    };
    declarations() + &each(pairs, lines)
}

/// What lets the pairs through again.
pub fn unblock(pairs: &[Pair]) -> String {
    let lines = |family: &str, pair: &Pair| {
        let bare = element(family, pair, None);
        format!("add element {bare}\ndelete element {bare}\n")
    };
    FAMILIES.into_iter().map(sets).collect::<String>() + &each(pairs, lines)
}

fn each(pairs: &[Pair], lines: impl Fn(&str, &Pair) -> String) -> String {
    FAMILIES.iter().flat_map(|family| pairs.iter().map(|pair| lines(family, pair))).collect()
}

fn element(family: &str, [own, other]: &Pair, seconds: Option<u64>) -> String {
    let set = SETS[usize::from(own.is_ipv6())];
    let timeout = seconds.map(|seconds| format!(" timeout {seconds}s")).unwrap_or_default();
    format!("{family} hopwatch {set} {{ {own} . {other}{timeout} }}")
}

/// Tables and sets, so that there are some to remove from.
fn sets(family: &str) -> String {
    let mut text = format!("add table {family} hopwatch\n");
    for (set, kind) in SETS.into_iter().zip(["ipv4_addr", "ipv6_addr"]) {
        text += &format!("add set {family} hopwatch {set} {{ type {kind} . {kind}; flags timeout; }}\n");
    }
    text
}

fn declarations() -> String {
    let mut text = String::new();
    for (family, chains) in FAMILIES.into_iter().zip([&["prerouting", "forward"][..], &["prerouting"]]) {
        text += &sets(family);
        for chain in chains {
            text += &format!(
                "add chain {family} hopwatch {chain} {{ type filter hook {chain} priority -300; policy accept; }}\n"
            );
            text += &format!("flush chain {family} hopwatch {chain}\n");
            for (set, ip) in SETS.into_iter().zip(["ip", "ip6"]) {
                text += &format!("add rule {family} hopwatch {chain} {ip} saddr . {ip} daddr @{set} counter drop\n");
                text += &format!("add rule {family} hopwatch {chain} {ip} daddr . {ip} saddr @{set} counter drop\n");
            }
        }
    }
    text
}

/// The pairs of a set, as `nft -j list set` writes it.
pub fn listed(answer: &Value) -> Vec<Pair> {
    let sets = answer["nftables"].as_array().into_iter().flatten();
    let elements = sets.flat_map(|entry| entry["set"]["elem"].as_array().into_iter().flatten());
    let pair = |element: &Value| {
        let parts = if element["elem"].is_object() { &element["elem"]["val"] } else { element };
        let address = |at: usize| parts["concat"][at].as_str()?.parse::<IpAddr>().ok();
        Some([address(0)?, address(1)?])
    };
    elements.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pair() -> Pair {
        ["172.30.1.9", "198.51.100.7"].map(|ip| ip.parse().expect("an address"))
    }

    #[test]
    fn only_tables_of_that_name_are_touched_and_an_element_has_a_timeout() {
        let text = block(&[pair()], 1800);
        assert!(text.lines().all(|line| line.split(' ').nth(3) == Some("hopwatch")), "{text}");
        for family in FAMILIES {
            let line = format!("add element {family} hopwatch blocked4 {{ 172.30.1.9 . 198.51.100.7 timeout 1800s }}");
            assert!(text.lines().any(|other| other == line), "{text}");
        }
        let six = ["2001:db8::1", "2001:db8::2"].map(|ip| ip.parse().expect("an address"));
        assert!(unblock(&[six]).contains("delete element bridge hopwatch blocked6 { 2001:db8::1 . 2001:db8::2 }"));
    }

    #[test]
    fn elements_are_read_with_and_without_a_timeout() {
        let concat = json!({"concat": ["172.30.1.9", "198.51.100.7"]});
        let list = |element| json!({"nftables": [{"metainfo": {}}, {"set": {"name": "blocked4", "elem": [element]}}]});
        assert_eq!(listed(&list(json!({"elem": {"val": concat, "timeout": 30, "expires": 29}}))), [pair()]);
        assert_eq!(listed(&list(concat)), [pair()]);
        assert_eq!(listed(&json!({"nftables": [{"set": {"name": "blocked4"}}]})), Vec::<Pair>::new());
    }
}
