//! A flow in the words of Zeek's conn.log: `conn_state`, `history`, `service`, local addresses.
//!
//! Contract: the rules are those of Zeek's scripts (`base/protocols/conn`, `base/utils/site`). TCP's state and history are the
//! meter's; those of other protocols follow from who sent packets. Limits: here a flow is never turned round by its ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::flow::datagram_state;
use crate::input::{AppFacts, ConnState, FlowRecord, Protocol};

/// `conn_state`: UDP counts as answered once the responder sent something; what is neither TCP nor UDP is `OTH`.
pub(super) const fn state(record: &FlowRecord) -> ConnState {
    if let Some(tcp) = record.tcp {
        return tcp.state;
    }
    if record.tuple.protocol.0 != Protocol::UDP.0 {
        return ConnState::OTH;
    }
    datagram_state(record.orig.counters.packets, record.resp.counters.packets)
}

/// The state as conn.log spells it.
pub(super) const fn state_name(state: ConnState) -> &'static str {
    match state {
        ConnState::S0 => "S0",
        ConnState::S1 => "S1",
        ConnState::SF => "SF",
        ConnState::REJ => "REJ",
        ConnState::S2 => "S2",
        ConnState::S3 => "S3",
        ConnState::RSTO => "RSTO",
        ConnState::RSTR => "RSTR",
        ConnState::RSTOS0 => "RSTOS0",
        ConnState::RSTRH => "RSTRH",
        ConnState::SH => "SH",
        ConnState::SHR => "SHR",
        ConnState::OTH => "OTH",
    }
}

/// `proto`: both ICMPs are `icmp`; what Zeek follows no further has no name, its number is in `ip_proto`.
pub(super) const fn transport(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::TCP => "tcp",
        Protocol::UDP => "udp",
        Protocol::ICMP | Protocol::ICMPV6 => "icmp",
        _ => "unknown_transport",
    }
}

/// Protocols that the first payload showed, by Zeek's names, in order of name.
pub(super) fn services(app: &AppFacts) -> impl Iterator<Item = &'static str> {
    [
        (!app.dns.is_empty(), "dns"),
        (app.http.is_some(), "http"),
        (app.quic.is_some(), "quic"),
        (app.socks.is_some(), "socks"),
        (app.ssh.is_some(), "ssh"),
        (app.tls.is_some(), "ssl"),
    ]
    .into_iter()
    .filter_map(|(seen, name)| seen.then_some(name))
}

/// Whether Zeek takes the address for a local one when nobody named the local networks: what the Internet does not route.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_local_v4(ip),
        IpAddr::V6(ip) => is_local_v6(ip),
    }
}

/// From IANA's IPv4 Special-Purpose Address Registry: network and prefix length.
const LOCAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 24),
    ([239, 0, 0, 0], 8),
    ([240, 0, 0, 0], 4),
];

/// From IANA's IPv6 Special-Purpose Address Registry: the first 64 bits and the prefix length.
const LOCAL_V6: [(u64, u32); 7] = [
    (0x0064_ff9b_0001_0000, 48),
    (0x0100_0000_0000_0000, 64),
    (0x2001_0000_0000_0000, 23),
    (0x2001_0db8_0000_0000, 32),
    (0xfc00_0000_0000_0000, 7),
    (0xfe80_0000_0000_0000, 10),
    (0xfec0_0000_0000_0000, 10),
];

fn is_local_v4(ip: Ipv4Addr) -> bool {
    LOCAL_V4.iter().any(|(network, prefix)| (ip.to_bits() ^ u32::from_be_bytes(*network)) >> (32 - prefix) == 0)
}

fn is_local_v6(ip: Ipv6Addr) -> bool {
    let high = u64::try_from(ip.to_bits() >> 64).unwrap_or_default();
    // 6to4 (RFC 3056) carries an IPv4 address behind its first two bytes.
    let [0x20, 0x02, a, b, c, d, ..] = ip.octets() else {
        let listed = LOCAL_V6.iter().any(|(network, prefix)| (high ^ network) >> (64 - prefix) == 0);
        return ip.is_unspecified() || ip.is_loopback() || listed;
    };
    is_local_v4(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_what_the_internet_does_not_route() {
        let local = [
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "100.127.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "2002:a01:203::1",
        ];
        for ip in local {
            assert!(is_local(ip.parse().expect(ip)), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "2002:808:808::1", "224.0.1.1"]
        {
            assert!(!is_local(ip.parse().expect(ip)), "{ip}");
        }
    }
}
