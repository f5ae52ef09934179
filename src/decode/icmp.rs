//! ICMP types as ports, as Community ID v1 maps them.
//!
//! Contract: a message that has a reply gets (its type, the reply's type), so that both directions make one biflow; any
//! other gets (type, code) and is one-way.

use crate::input::Protocol;

/// Pairs of ICMP types that ask and answer.
const ICMP_PAIRS: [(u8, u8); 5] = [(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)];

/// Pairs of `ICMPv6` types that ask and answer.
const ICMPV6_PAIRS: [(u8, u8); 6] = [(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)];

/// The type that answers, or asks for, this one; `None` for one-way messages and protocols without types.
pub fn icmp_counterpart(protocol: Protocol, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = match protocol {
        Protocol::ICMP => &ICMP_PAIRS,
        Protocol::ICMPV6 => &ICMPV6_PAIRS,
        _ => &[],
    };
    pairs.iter().find_map(|&(ask, answer)| match kind {
        kind if kind == ask => Some(answer),
        kind if kind == answer => Some(ask),
        _ => None,
    })
}

/// Source port, destination port, and whether the message is one-way.
pub fn icmp_ports(protocol: Protocol, kind: u8, code: u8) -> (u16, u16, bool) {
    match icmp_counterpart(protocol, kind) {
        Some(other) => (u16::from(kind), u16::from(other), false),
        None => (u16::from(kind), u16::from(code), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_mirror_each_other() {
        assert_eq!(icmp_ports(Protocol::ICMP, 8, 0), (8, 0, false));
        assert_eq!(icmp_ports(Protocol::ICMP, 0, 0), (0, 8, false));
        assert_eq!(icmp_ports(Protocol::ICMPV6, 136, 0), (136, 135, false));
    }

    #[test]
    fn errors_are_one_way() {
        assert_eq!(icmp_ports(Protocol::ICMP, 3, 13), (3, 13, true));
        assert_eq!(icmp_ports(Protocol::ICMPV6, 0, 0), (0, 0, true));
    }
}
