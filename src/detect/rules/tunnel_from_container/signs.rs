//! What one flow shows of being a tunnel: its headers, its first bytes, its counters.
//!
//! Contract: pure; the record is read from the end that asked. Limits: counters are those of the record, which starts anew at the active timeout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::input::{Counters, EchoFacts, FlowRecord, OpenVpnProtection, Protocol};
use crate::wording::many;

/// Packets from which the mean size at the port of name resolution says something.
const LEAST_PACKETS: u64 = 50;
/// Echo packets from which bytes in the two directions are compared.
const LEAST_ECHOES: u64 = 4;
/// Replies that differ from their requests: a broken host has one or two.
const ODD_ECHOES: u32 = 4;
/// Replies without a request: losses have some, a tunnel has more than requests.
const UNASKED_ECHOES: u32 = 16;
/// IP protocols that applications speak (ICMP, IGMP, TCP, UDP, DCCP, ICMPv6, SCTP, UDP-Lite), that routers and their keepers do (EGP, IGP, RSVP,
/// EIGRP, OSPF, PIM, VRRP), and IPv6's extension headers, which are no protocol of a flow of their own.
const SPOKEN: [u8; 24] =
    [0, 1, 2, 6, 8, 9, 17, 33, 43, 44, 46, 51, 58, 59, 60, 88, 89, 103, 112, 132, 135, 136, 139, 140];
const SSH_PORT: u16 = 22;
const DNS_PORT: u16 = 53;

/// From when on counters are those of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TunnelVolumes")]
pub struct Volumes {
    /// Payload bytes of echo requests in one flow record; 0: any number.
    pub icmp_bytes: u64,
    /// Payload bytes per packet, on average over at least 50, sent to port 53 over UDP; 0: any number.
    pub dns_packet: u64,
}

impl Default for Volumes {
    fn default() -> Self {
        Self { icmp_bytes: 1_000_000, dns_packet: 200 }
    }
}

/// The kind of tunnel, and what shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What first bytes and counters show.
pub(super) fn of(record: &FlowRecord, volumes: &Volumes) -> impl Iterator<Item = Sign> {
    let contents = [ssh(record), openvpn(record), icmp(record, volumes), dns_volume(record, volumes)];
    contents.into_iter().chain([protocol(record)]).flatten()
}

/// Whether protocol and counters may show something.
pub(super) fn may_count(record: &FlowRecord) -> bool {
    match record.tuple.protocol {
        Protocol::TCP => false,
        Protocol::UDP => record.tuple.resp.port == DNS_PORT,
        _ => true,
    }
}

/// Packets that carry a source route.
pub(super) fn source_route(record: &FlowRecord) -> Option<Sign> {
    let rare = record.rare.as_ref().filter(|rare| rare.routed_packets > 0)?;
    let via: Vec<String> = rare.routed_via.iter().map(ToString::to_string).collect();
    let over = if via.is_empty() { String::new() } else { format!(", over {}", via.join(", ")) };
    let text = format!("{} with a source route{over}", many(rare.routed_packets, "packet"));
    Some(Sign { kind: Kind::SourceRoute, text })
}

fn ssh(record: &FlowRecord) -> Option<Sign> {
    let line = record.app.as_ref()?.ssh.as_ref().filter(|_| record.tuple.resp.port != SSH_PORT)?;
    Some(Sign { kind: Kind::Ssh, text: format!("it identifies itself as {line} at port {}", record.tuple.resp.port) })
}

fn openvpn(record: &FlowRecord) -> Option<Sign> {
    let found = record.app.as_ref()?.openvpn?;
    let protection = match found.protection {
        OpenVpnProtection::None => "without a shared key",
        OpenVpnProtection::TlsAuth => "with tls-auth",
        OpenVpnProtection::TlsCrypt => "with tls-crypt",
        OpenVpnProtection::TlsCryptV2 => "with tls-crypt-v2",
    };
    let text =
        format!("an OpenVPN handshake ({}, {protection}) at port {}", found.reset.as_str(), record.tuple.resp.port);
    Some(Sign { kind: Kind::Openvpn, text })
}

fn icmp(record: &FlowRecord, volumes: &Volumes) -> Option<Sign> {
    echoes(record).or_else(|| icmp_volume(record, volumes))
}

/// Replies that do not repeat their requests.
fn echoes(record: &FlowRecord) -> Option<Sign> {
    let EchoFacts { odd_replies, .. } = record.app.as_ref()?.echo?;
    if odd_replies < ODD_ECHOES {
        return unasked(record);
    }
    let text = format!("{odd_replies} echo replies say something else than their requests");
    Some(Sign { kind: Kind::Icmp, text })
}

/// Replies that nobody asked for. Where the first packet is a reply, its sender is the record's originator and has asked nothing.
pub(super) fn unasked(record: &FlowRecord) -> Option<Sign> {
    let EchoFacts { unasked_replies, .. } = record.app.as_ref()?.echo?;
    let begins_with_reply =
        matches!((record.tuple.protocol, record.tuple.orig.port), (Protocol::ICMP, 0) | (Protocol::ICMPV6, 129));
    let asking = if begins_with_reply { &record.resp } else { &record.orig };
    let requests = asking.counters.packets;
    let is_unasked = unasked_replies >= UNASKED_ECHOES && u64::from(unasked_replies) > requests;
    is_unasked.then(|| {
        let text = format!("{unasked_replies} unrequested echo replies came, and {}", many(requests, "request"));
        Sign { kind: Kind::Icmp, text }
    })
}

/// An IP protocol that no container speaks of itself. Multicast is left to routing protocols.
fn protocol(record: &FlowRecord) -> Option<Sign> {
    let Protocol(number) = record.tuple.protocol;
    let is_spoken = SPOKEN.contains(&number) || record.tuple.resp.ip.is_multicast() || !record.tunnels.is_empty();
    let sent = record.orig.counters;
    (!is_spoken && sent.packets > 0).then(|| {
        let text = format!(
            "it sent {} of IP protocol {number}, which is unusual for a container",
            many(sent.packets, "packet")
        );
        Sign { kind: Kind::IpProtocol, text }
    })
}

fn icmp_volume(record: &FlowRecord, volumes: &Volumes) -> Option<Sign> {
    let is_echo =
        matches!((record.tuple.protocol, record.tuple.orig.port), (Protocol::ICMP, 8) | (Protocol::ICMPV6, 128));
    if !is_echo {
        return None;
    }
    let (asked, answered) = (record.orig.counters, record.resp.counters);
    // A reply repeats its request, so replies carry no more, nor are they longer on average, however many of them there are.
    let mean = |side: Counters| side.payload_bytes.checked_div(side.packets).unwrap_or(0);
    let is_longer = answered.packets >= 2 * LEAST_ECHOES && asked.packets > 0 && 4 * mean(answered) > 5 * mean(asked);
    let is_beyond = answered.packets >= LEAST_ECHOES
        && answered.packets <= asked.packets
        && answered.payload_bytes > asked.payload_bytes;
    let is_more = is_longer || is_beyond;
    let is_much = volumes.icmp_bytes > 0 && asked.payload_bytes >= volumes.icmp_bytes;
    if !is_more && !is_much {
        return None;
    }
    let text = if is_more {
        format!(
            "{} echo replies carry {} bytes, their requests {}",
            answered.packets, answered.payload_bytes, asked.payload_bytes
        )
    } else {
        format!("{} bytes were sent in {}", asked.payload_bytes, many(asked.packets, "echo request"))
    };
    Some(Sign { kind: Kind::Icmp, text })
}

fn dns_volume(record: &FlowRecord, volumes: &Volumes) -> Option<Sign> {
    if record.tuple.protocol != Protocol::UDP || record.tuple.resp.port != DNS_PORT {
        return None;
    }
    let sent = record.orig.counters;
    let mean = sent.payload_bytes.checked_div(sent.packets)?;
    let is_big = volumes.dns_packet > 0 && sent.packets >= LEAST_PACKETS && mean >= volumes.dns_packet;
    is_big.then(|| {
        let text = format!(
            "{} datagrams of {mean} bytes on average were sent to port {DNS_PORT}; questions are shorter",
            sent.packets
        );
        Sign { kind: Kind::Dns, text }
    })
}
