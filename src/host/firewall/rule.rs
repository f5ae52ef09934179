//! What a rule of nftables means, from its expressions.
//!
//! Contract: total; a rule that redirects, marks, queues, copies, drops or jumps is read, with a hash of its expressions without what
//! changes by itself (counters, handles, numbers of sets). Limits: names of at most [`MAX_NAME`] characters. Of sets and maps only names
//! count, and not even those of anonymous ones.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::host::netlink::{attributes, text};
use crate::input::FirewallRule;

pub(super) const MAX_NAME: usize = 64;
/// `struct nfgenmsg`.
const FIXED: usize = 4;
/// Chains of container runtimes and cluster networks: their rules come and go with containers.
const RUNTIMES: [&str; 8] = ["DOCKER", "KUBE-", "CNI-", "cali-", "NETAVARK", "nv_", "FLANNEL", "LIBVIRT"];
/// The one of these that administrators fill.
const ADMINISTRATORS: &str = "DOCKER-USER";

/// Family, table, chain.
pub(super) type Place = (String, String, String);
pub(super) type Chains = BTreeMap<Place, Chain>;

/// What is known of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    drops: bool,
}

/// What a rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It redirects, marks, queues, drops or jumps.
    Rule(FirewallRule),
    /// It accepts or returns: packets that it matches do not see the rules after it.
    Passes(Place),
    Other,
}

impl Chain {
    /// A chain that drops what no rule accepts is a rule too.
    pub(super) fn policy(self, place: &Place) -> Option<FirewallRule> {
        let (family, table, chain) = place.clone();
        let (action, id) = ("policy drop".to_owned(), "policy".to_owned());
        self.drops.then_some(FirewallRule { family, table, chain, action, id, overruled_by: 0 })
    }
}

/// The process of a new generation.
pub(super) fn generation(body: &[u8]) -> Option<String> {
    const PROCESS: u16 = 3;
    find(body.get(FIXED..)?, PROCESS).map(name)
}

/// A chain.
pub(super) fn chain(body: &[u8]) -> Option<(Place, Chain)> {
    const POLICY: u16 = 5;
    let inside = body.get(FIXED..)?;
    let place = (family(*body.first()?), name(find(inside, 1)?), name(find(inside, 3)?));
    let drops = find(inside, POLICY).and_then(big) == Some(0);
    Some((place, Chain { drops }))
}

/// A rule; nothing of one in a runtime's chain.
pub(super) fn read(body: &[u8]) -> Option<Read> {
    const EXPRESSIONS: u16 = 4;
    let inside = body.get(FIXED..)?;
    let (table, chain) = (name(find(inside, 1)?), name(find(inside, 2)?));
    if is_runtimes(&chain) || is_runtimes(&table) || table.starts_with("docker-") {
        return Some(Read::Other);
    }
    let place = (family(*body.first()?), table, chain);
    let (mut hash, mut action, mut passes) = (Sha256::new(), None, false);
    for (_, expression) in attributes(find(inside, EXPRESSIONS).unwrap_or_default()) {
        let Some(kind) = find(expression, 1).map(text) else { continue };
        let data = find(expression, 2).unwrap_or_default();
        mix(&mut hash, &kind, data);
        match meaning(&kind, data) {
            Meaning::Does(what) => action = action.or(Some(what)),
            Meaning::Passes => passes = true,
            Meaning::Matches => {}
        }
    }
    let (family, table, chain) = place.clone();
    let id: String = hash.finalize().iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Some(match action {
        Some(action) => Read::Rule(FirewallRule { family, table, chain, action, id, overruled_by: 0 }),
        None if passes => Read::Passes(place),
        None => Read::Other,
    })
}

enum Meaning {
    Does(String),
    Passes,
    Matches,
}

fn meaning(kind: &str, data: &[u8]) -> Meaning {
    /// `NFT_META_MARK` and `NFT_CT_MARK`.
    const MARK: u32 = 3;
    let does = |what: &str| Meaning::Does(what.to_owned());
    match kind {
        "redir" => does("redirect"),
        "tproxy" => does("tproxy"),
        "queue" => does("queue"),
        "dup" | "fwd" => does("copy"),
        "reject" => does("drop"),
        // `NFT_NAT_DNAT`.
        "nat" if find(data, 1).and_then(big) == Some(1) => does("dnat"),
        "meta" | "ct" => {
            let source = if kind == "meta" { 3 } else { 4 };
            let is_mark = find(data, 2).and_then(big) == Some(MARK) && find(data, source).is_some();
            if is_mark { does("mark") } else { Meaning::Matches }
        }
        "target" => match find(data, 1).map(text).unwrap_or_default().as_str() {
            "REDIRECT" => does("redirect"),
            "DNAT" => does("dnat"),
            "TPROXY" => does("tproxy"),
            "NFQUEUE" => does("queue"),
            "MARK" | "CONNMARK" => does("mark"),
            "TEE" => does("copy"),
            "REJECT" => does("drop"),
            _ => Meaning::Matches,
        },
        "immediate" => verdict(data),
        _ => Meaning::Matches,
    }
}

/// `NFTA_IMMEDIATE_DATA`, `NFTA_DATA_VERDICT`: code and chain.
fn verdict(data: &[u8]) -> Meaning {
    let Some(verdict) = find(data, 2).and_then(|data| find(data, 2)) else { return Meaning::Matches };
    match find(verdict, 1).and_then(big).map(u32::cast_signed) {
        Some(0) => Meaning::Does("drop".to_owned()),
        Some(3) => Meaning::Does("queue".to_owned()),
        // `NFT_RETURN` and `NF_ACCEPT`.
        Some(-5 | 1) => Meaning::Passes,
        // `NFT_JUMP` and `NFT_GOTO`.
        Some(-4 | -3) => match find(verdict, 2).map(name) {
            Some(to) if !is_runtimes(&to) => Meaning::Does(format!("jump {to}")),
            _ => Meaning::Matches,
        },
        _ => Meaning::Matches,
    }
}

/// Adds an expression to the hash, without what changes by itself.
fn mix(hash: &mut Sha256, kind: &str, data: &[u8]) {
    let mut add = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    add(kind.as_bytes());
    match kind {
        "counter" | "quota" | "last" | "limit" | "connlimit" => {}
        // By name, as anonymous sets are numbered anew; and without the transaction's number.
        "lookup" | "dynset" | "objref" => {
            for (attribute, value) in attributes(data).filter(|(attribute, _)| !(kind == "lookup" && *attribute == 4)) {
                add(&attribute.to_be_bytes());
                add(if value.starts_with(b"__") { b"" } else { value });
            }
        }
        "immediate" => {
            let verdict = find(data, 2).and_then(|data| find(data, 2));
            match verdict {
                Some(verdict) => {
                    add(find(verdict, 1).unwrap_or_default());
                    add(find(verdict, 2).unwrap_or_default());
                }
                None => add(data),
            }
        }
        _ => add(data),
    }
}

pub(super) fn is_runtimes(chain: &str) -> bool {
    chain != ADMINISTRATORS && RUNTIMES.iter().any(|start| chain.starts_with(start))
}

/// The value of the first attribute of a kind.
fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(of, _)| *of == kind).map(|(_, value)| value)
}

/// A number in network byte order.
fn big(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

fn name(bytes: &[u8]) -> String {
    text(bytes).chars().take(MAX_NAME).collect()
}

fn family(number: u8) -> String {
    match number {
        1 => "inet".to_owned(),
        2 => "ip".to_owned(),
        3 => "arp".to_owned(),
        5 => "netdev".to_owned(),
        7 => "bridge".to_owned(),
        10 => "ip6".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::netlink::build::attribute;

    fn expression(kind: &str, data: &[u8]) -> Vec<u8> {
        attribute(1, &[attribute(1, format!("{kind}\0").as_bytes()), attribute(2, data)].concat())
    }

    fn rule(chain: &str, expressions: &[Vec<u8>]) -> Option<Read> {
        let list = attribute(4, &expressions.concat());
        let handle = attribute(3, &[9; 8]);
        let names = [attribute(1, b"nat\0"), attribute(2, format!("{chain}\0").as_bytes())].concat();
        read(&[vec![2, 0, 0, 0], names, handle, list].concat())
    }

    fn verdict_of(code: i32, chain: Option<&str>) -> Vec<u8> {
        let chain = chain.map(|chain| attribute(2, format!("{chain}\0").as_bytes())).unwrap_or_default();
        let verdict = [attribute(1, &code.to_be_bytes()), chain].concat();
        expression("immediate", &[attribute(1, &[0; 4]), attribute(2, &attribute(2, &verdict))].concat())
    }

    fn action(read: Option<Read>) -> Option<String> {
        match read {
            Some(Read::Rule(rule)) => Some(rule.action),
            _ => None,
        }
    }

    #[test]
    fn what_a_rule_does_is_read_in_both_spellings() {
        let target = |name: &str| expression("target", &attribute(1, format!("{name}\0").as_bytes()));
        let dnat = expression("nat", &attribute(1, &1_u32.to_be_bytes()));
        let mark = expression("meta", &[attribute(2, &3_u32.to_be_bytes()), attribute(3, &[0; 4])].concat());
        for (expressions, expected) in [
            (vec![expression("redir", &[])], Some("redirect")),
            (vec![target("REDIRECT")], Some("redirect")),
            (vec![dnat], Some("dnat")),
            (vec![mark], Some("mark")),
            (vec![verdict_of(0, None)], Some("drop")),
            (vec![verdict_of(-3, Some("mine"))], Some("jump mine")),
            (vec![verdict_of(-3, Some("DOCKER"))], None),
            (vec![verdict_of(-3, Some("DOCKER-USER"))], Some("jump DOCKER-USER")),
            (vec![verdict_of(1, None)], None),
            (vec![expression("masq", &[])], None),
        ] {
            assert_eq!(action(rule("PREROUTING", &expressions)).as_deref(), expected, "{expressions:?}");
        }
        assert!(matches!(rule("PREROUTING", &[verdict_of(1, None)]), Some(Read::Passes(_))));
        assert_eq!(rule("DOCKER", &[expression("redir", &[])]), Some(Read::Other), "Docker's own");
    }

    #[test]
    fn counters_do_not_change_a_rule_and_matches_do() {
        let id = |counter: u8, port: u8| match rule(
            "PREROUTING",
            &[expression("cmp", &[port; 8]), expression("counter", &[counter; 16]), expression("redir", &[])],
        ) {
            Some(Read::Rule(rule)) => rule.id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(1, 80), id(2, 80));
        assert_ne!(id(1, 80), id(1, 81));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read(&bytes), chain(&bytes), generation(&bytes));
        }
    }
}
