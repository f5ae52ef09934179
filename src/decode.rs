//! Bytes to packet headers.
//!
//! Contract: [`decode`] is total. It never panics, never reads beyond the captured bytes and never allocates. A frame is
//! IP ([`Headers`]), something else ([`Decoded::NonIp`]), or not decodable with a [`DecodeReason`].
//! Limits: [`decode`] gives the outermost IP header; [`innermost`] and [`carried`] go on from there through tunnels.
//! Checksums are never checked: offload leaves them wrong in healthy traffic. Lengths come from the headers, also where the
//! frame was cut when it was captured.
//! Design: one file a layer; each layer takes the rest of the frame and says what follows. The frame that nearly all are
//! (Ethernet, IPv4, TCP or UDP) is read in one look ([`straight`]), IPv6 and tags by a short way. etherparse reads what is rare (ADR 7).

pub mod app;
mod extension;
mod headers;
mod icmp;
mod ip;
mod link;
mod neighbour;
mod reason;
mod route;
mod segment;
mod straight;
mod transport;
mod tunnel;

pub use headers::{Fragment, Headers, TcpHeader, VlanStack};
pub use icmp::{icmp_counterpart, icmp_ports};
pub use link::LinkType;
pub use neighbour::{Claim, arp_claim, neighbour_claim};
pub use reason::DecodeReason;
pub use route::route_addresses;
pub use tunnel::{MAX_TUNNELS, TunnelPorts, TunnelStack, carried, innermost};
pub(crate) use tunnel::{may_carry, may_show};

use crate::input::{Mac, Protocol};

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// It carries IP.
    Ip(Headers),
    /// Well-formed as far as read, and not IP: ARP, LLDP, spanning tree …
    NonIp,
}

/// Decodes one frame: `data` is what was captured of its `wire_len` bytes.
pub fn decode(link: LinkType, wire_len: u32, data: &[u8]) -> Result<Decoded, DecodeReason> {
    let mut headers = Headers::EMPTY;
    Ok(if decode_into(link, wire_len, data, &mut headers)? { Decoded::Ip(headers) } else { Decoded::NonIp })
}

/// As [`decode`], in place: headers are large, and copying them costs as much as reading them. True where the frame carries
/// IP; else `headers` is as good as empty.
#[expect(clippy::inline_always, reason = "measured: ADR 7")]
#[inline(always)]
pub fn decode_into(link: LinkType, wire_len: u32, data: &[u8], headers: &mut Headers) -> Result<bool, DecodeReason> {
    if link == LinkType::ETHERNET && straight::fill(data, headers) {
        return Ok(true);
    }
    layer_by_layer(link, wire_len, data, headers)
}

#[inline(never)]
fn layer_by_layer(link: LinkType, wire_len: u32, data: &[u8], headers: &mut Headers) -> Result<bool, DecodeReason> {
    // A wire length below the captured one is a writer's mistake; what was captured was surely on the wire.
    let on_wire = (wire_len as usize).max(data.len());
    if link == LinkType::ETHERNET
        && let Some(layer) = link::plain(data)
    {
        return ip::decode(data, &layer, on_wire, headers).map(|()| true);
    }
    network(data, &link::decode(link, data)?, on_wire, headers)
}

/// What is behind the link headers.
fn network(data: &[u8], layer: &link::Link, on_wire: usize, headers: &mut Headers) -> Result<bool, DecodeReason> {
    if !layer.network.is_ip() {
        return Ok(false);
    }
    // A length of the link layer ends the packet: what is behind it is padding.
    let data = data.get(..layer.limit).unwrap_or(data);
    let on_wire = on_wire.min(layer.limit).max(data.len()).max(layer.offset);
    ip::decode(data, layer, on_wire, headers).map(|()| true)
}

/// Who sent a frame that could not be decoded further, where its link names senders.
#[cold]
pub fn sender(link: LinkType, data: &[u8]) -> Option<Mac> {
    let at = match link {
        LinkType::ETHERNET | LinkType::LINUX_SLL => 6,
        LinkType::LINUX_SLL2 => 12,
        _ => return None,
    };
    array(data, at).map(Mac)
}

/// Whether a frame without IP is an ARP message.
pub(crate) fn is_arp(link: LinkType, data: &[u8]) -> bool {
    link::decode(link, data).is_ok_and(|layer| layer.network == link::Network::Arp)
}

/// The packet that an ICMP error quotes, as far as it was captured.
pub(crate) fn quoted(headers: &Headers, data: &[u8]) -> Option<Headers> {
    let is_error = match headers.protocol {
        Protocol::ICMP => matches!(headers.src_port, 3..=5 | 11 | 12),
        Protocol::ICMPV6 => matches!(headers.src_port, 1..=4),
        _ => false,
    };
    if !is_error || headers.fragment.is_some() {
        return None;
    }
    let at = headers.payload_at as usize;
    let layer = link::Link::bare(link::Network::Ip, at);
    let mut inner = Headers::EMPTY;
    ip::decode(data, &layer, at.saturating_add(headers.payload_bytes as usize), &mut inner).ok().map(|()| inner)
}

/// Two bytes in network order.
fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Four bytes in network order.
fn be32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// `N` bytes.
fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

/// A length of this frame; frames are shorter than 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
