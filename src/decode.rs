//! Bytes to packet headers.
//!
//! Contract: [`decode`] is total. It never panics, never reads beyond the captured bytes and never allocates. A frame is
//! IP ([`Headers`]), something else ([`Decoded::NonIp`]), or not decodable with a [`DecodeReason`].
//! Limits: the outermost IP header only; tunnels, MPLS and `PPPoE` are not entered. Checksums are never checked: offload
//! leaves them wrong in healthy traffic. Lengths come from the headers, also where the frame was cut when it was captured.
//! Design: hand-written, one file a layer; each layer takes the rest of the frame and says what follows.

pub mod app;
mod headers;
mod icmp;
mod ip;
mod link;
mod reason;
mod transport;

pub use headers::{Fragment, Headers, TcpHeader, VlanStack};
pub use icmp::{icmp_counterpart, icmp_ports};
pub use link::LinkType;
pub use reason::DecodeReason;

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
    let layer = link::decode(link, data)?;
    let version = match layer.network {
        link::Network::Ipv4 => ip::Version::V4,
        link::Network::Ipv6 => ip::Version::V6,
        link::Network::Ip => ip::version_of(data, layer.offset)?,
        link::Network::Other => return Ok(Decoded::NonIp),
    };
    // A wire length below the captured one is a writer's mistake; what was captured was surely on the wire.
    let on_wire = (wire_len as usize).max(data.len());
    let mut headers = match version {
        ip::Version::V4 => ip::ipv4(data, layer.offset, on_wire)?,
        ip::Version::V6 => ip::ipv6(data, layer.offset, on_wire)?,
    };
    headers.src_mac = layer.src_mac;
    headers.dst_mac = layer.dst_mac;
    headers.vlans = layer.vlans;
    Ok(Decoded::Ip(headers))
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
