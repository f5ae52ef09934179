//! Community ID v1: a flow hash that joins with Zeek, Suricata and others.
//!
//! Contract: equal for both directions of a flow; one-way ICMP messages keep their direction, as the specification says.
//! Limits: version 1, base64 output.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::decode::icmp_counterpart;
use crate::input::{Endpoint, FiveTuple, Protocol};

/// The Community ID of a flow (`1:…`); all tools that are to be joined must use the same seed, by default 0.
pub fn community_id(tuple: &FiveTuple, seed: u16) -> String {
    let (first, second) = ordered(tuple);
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    update_address(&mut hash, first.ip);
    update_address(&mut hash, second.ip);
    hash.update([tuple.protocol.0, 0]);
    if has_ports(tuple.protocol) {
        hash.update(first.port.to_be_bytes());
        hash.update(second.port.to_be_bytes());
    }
    // 20 bytes are 28 letters.
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    STANDARD.encode_string(hash.finalize(), &mut id);
    id
}

fn ordered(tuple: &FiveTuple) -> (Endpoint, Endpoint) {
    if is_one_way(tuple) || tuple.orig <= tuple.resp { (tuple.orig, tuple.resp) } else { (tuple.resp, tuple.orig) }
}

/// Whether it is an ICMP message that nothing answers.
fn is_one_way(tuple: &FiveTuple) -> bool {
    let is_icmp = matches!(tuple.protocol, Protocol::ICMP | Protocol::ICMPV6);
    let answer = u8::try_from(tuple.orig.port).ok().and_then(|kind| icmp_counterpart(tuple.protocol, kind));
    is_icmp && answer.map(u16::from) != Some(tuple.resp.port)
}

const fn has_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP | Protocol::ICMP | Protocol::ICMPV6)
}

fn update_address(hash: &mut Sha1, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(protocol: Protocol, orig: (&str, u16), resp: (&str, u16)) -> FiveTuple {
        let end = |(ip, port): (&str, u16)| Endpoint { ip: ip.parse().expect("address"), port };
        FiveTuple { protocol, orig: end(orig), resp: end(resp) }
    }

    /// The baseline of the specification's repository.
    #[test]
    fn published_vectors() {
        for (protocol, orig, resp, seed, expected) in VECTORS {
            assert_eq!(community_id(&tuple(protocol, orig, resp), seed), expected, "{protocol} {orig:?} {resp:?}");
        }
    }

    #[test]
    fn one_way_messages_keep_their_direction() {
        let unreachable = tuple(Protocol::ICMP, ("192.0.2.1", 3), ("192.0.2.2", 3));
        assert_ne!(community_id(&unreachable, 0), community_id(&unreachable.reversed(), 0));
        let echo = tuple(Protocol::ICMP, ("192.0.2.1", 8), ("192.0.2.2", 0));
        assert_eq!(community_id(&echo, 0), community_id(&echo.reversed(), 0));
    }

    type Vector = (Protocol, (&'static str, u16), (&'static str, u16), u16, &'static str);

    const VECTORS: [Vector; 12] = [
        (Protocol::TCP, ("128.232.110.120", 34855), ("66.35.250.204", 80), 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        (Protocol::TCP, ("66.35.250.204", 80), ("128.232.110.120", 34855), 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="),
        (
            Protocol::TCP,
            ("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943),
            ("2607:f8b0:400c:c03::1a", 25),
            0,
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
        ),
        (Protocol::UDP, ("192.168.1.52", 54585), ("8.8.8.8", 53), 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        (Protocol::UDP, ("8.8.8.8", 53), ("192.168.1.52", 54585), 1, "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="),
        (Protocol::SCTP, ("192.168.170.8", 7), ("192.168.170.56", 7), 0, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
        (Protocol::ICMP, ("192.168.0.89", 8), ("192.168.0.1", 0), 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
        (Protocol::ICMP, ("192.168.0.1", 0), ("192.168.0.89", 8), 1, "1:03g6IloqVBdcZlPyX8r0hgoE7kA="),
        (Protocol::ICMP, ("10.0.0.1", 11), ("10.0.0.2", 0), 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
        (
            Protocol::ICMPV6,
            ("fe80::200:86ff:fe05:80da", 135),
            ("fe80::260:97ff:fe07:69ea", 136),
            0,
            "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
        ),
        (Protocol::ICMPV6, ("fe80::260:97ff:fe07:69ea", 134), ("ff02::1", 133), 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
        (Protocol(46), ("10.1.12.1", 0), ("10.1.12.2", 0), 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
    ];
}
