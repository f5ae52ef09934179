//! IPv4 and IPv6 headers, with options, fragments and extension headers.
//!
//! Contract: lengths are those that the headers state, bounded below by the header itself. Where the length is zero (GSO
//! super-frames, jumbograms) the packet reaches to the end of the frame on the wire.
//! Limits: at most [`MAX_EXTENSIONS`] extension headers; the protocol of a later IPv6 fragment is the one after its
//! fragment header, even if that is a further extension header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::transport::{self, Segment};
use super::{DecodeReason, Fragment, Headers, VlanStack, array, be16, be32, length};
use crate::input::Protocol;

/// Extension headers that are walked; real packets have at most a handful.
const MAX_EXTENSIONS: usize = 16;

/// Version of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// The version that the first nibble says.
pub(super) fn version_of(data: &[u8], at: usize) -> Result<Version, DecodeReason> {
    match data.get(at).ok_or(DecodeReason::TruncatedIp)? >> 4 {
        4 => Ok(Version::V4),
        6 => Ok(Version::V6),
        _ => Err(DecodeReason::IpVersion),
    }
}

/// IPv4 at `at`; the frame has `on_wire` bytes.
pub(super) fn ipv4(data: &[u8], at: usize, on_wire: usize) -> Result<Headers, DecodeReason> {
    let head: [u8; 20] = array(data, at).ok_or(DecodeReason::TruncatedIp)?;
    if head[0] >> 4 != 4 {
        return Err(DecodeReason::IpVersion);
    }
    let header_len = usize::from(head[0] & 0x0f) * 4;
    if header_len < 20 {
        return Err(DecodeReason::IpHeaderLength);
    }
    let total = match usize::from(u16::from_be_bytes([head[2], head[3]])) {
        0 => on_wire - at,
        stated => stated,
    };
    if total < header_len {
        return Err(DecodeReason::IpTotalLength);
    }
    let flags = u16::from_be_bytes([head[6], head[7]]);
    let fragment = (flags & 0x3fff != 0).then(|| Fragment {
        id: u32::from(u16::from_be_bytes([head[4], head[5]])),
        offset: u32::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
    });
    let addresses = (
        IpAddr::V4(Ipv4Addr::new(head[12], head[13], head[14], head[15])),
        IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19])),
    );
    let segment = Segment { at: at + header_len, len: total - header_len, fragment };
    let (protocol, segment) = authentication(data, head[9], segment);
    above(data, addresses, protocol, total, &segment)
}

/// Steps over an authentication header behind IPv4; one that is cut off stays the protocol.
fn authentication(data: &[u8], protocol: u8, segment: Segment) -> (Protocol, Segment) {
    let Segment { at, len, fragment } = segment;
    if protocol == AUTHENTICATION && fragment.is_none_or(Fragment::is_first) {
        let next = data.get(at).copied().zip(units(data, at).ok());
        if let Some((next, units)) = next.filter(|(_, units)| 4 * (2 + units) <= len) {
            let size = 4 * (2 + units);
            return (Protocol(next), Segment { at: at + size, len: len - size, fragment });
        }
    }
    (Protocol(protocol), segment)
}

/// IPv6 at `at`; the frame has `on_wire` bytes.
pub(super) fn ipv6(data: &[u8], at: usize, on_wire: usize) -> Result<Headers, DecodeReason> {
    let head: [u8; 40] = array(data, at).ok_or(DecodeReason::TruncatedIp)?;
    if head[0] >> 4 != 6 {
        return Err(DecodeReason::IpVersion);
    }
    let stated = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let total = if stated == 0 && head[6] != NO_NEXT_HEADER { on_wire - at } else { 40 + stated };
    let addresses = (address(&head, 8), address(&head, 24));
    let (protocol, segment) = extensions(data, head[6], at + 40, total - 40)?;
    above(data, addresses, protocol, total, &segment)
}

fn address(head: &[u8; 40], at: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(array::<16>(head, at).unwrap_or_default()))
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;
const SHIM6: u8 = 140;

/// Walks the extension headers to the transport header, or to a later fragment's data.
fn extensions(data: &[u8], mut next: u8, mut at: usize, mut len: usize) -> Result<(Protocol, Segment), DecodeReason> {
    let mut fragment = None;
    for _ in 0..MAX_EXTENSIONS {
        let size = match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | SHIM6 => 8 * (1 + units(data, at)?),
            AUTHENTICATION => 4 * (2 + units(data, at)?),
            FRAGMENT => 8,
            _ => return Ok((Protocol(next), Segment { at, len, fragment })),
        };
        if next == FRAGMENT {
            let piece = fragment_header(data, at)?;
            fragment = (piece.offset != 0 || piece.more).then_some(piece);
        }
        next = *data.get(at).ok_or(DecodeReason::Ipv6Extension)?;
        at += size;
        len = len.checked_sub(size).ok_or(DecodeReason::Ipv6Extension)?;
        if fragment.is_some_and(|piece| !piece.is_first()) {
            return Ok((Protocol(next), Segment { at, len, fragment }));
        }
    }
    Err(DecodeReason::Ipv6Extension)
}

/// The length field of an extension header.
fn units(data: &[u8], at: usize) -> Result<usize, DecodeReason> {
    data.get(at + 1).map(|&units| usize::from(units)).ok_or(DecodeReason::Ipv6Extension)
}

fn fragment_header(data: &[u8], at: usize) -> Result<Fragment, DecodeReason> {
    let place = be16(data, at + 2).ok_or(DecodeReason::Ipv6Extension)?;
    let id = be32(data, at + 4).ok_or(DecodeReason::Ipv6Extension)?;
    Ok(Fragment { id, offset: u32::from(place & 0xfff8), more: place & 1 != 0 })
}

/// Adds what the transport header says.
fn above(
    data: &[u8],
    (src, dst): (IpAddr, IpAddr),
    protocol: Protocol,
    total: usize,
    segment: &Segment,
) -> Result<Headers, DecodeReason> {
    let transport = transport::decode(data, protocol, segment)?;
    Ok(Headers {
        src_mac: None,
        dst_mac: None,
        vlans: VlanStack::default(),
        src,
        dst,
        protocol,
        src_port: transport.src_port,
        dst_port: transport.dst_port,
        one_way: transport.one_way,
        tcp: transport.tcp,
        ip_bytes: length(total),
        payload_bytes: length(transport.payload_len),
        payload_at: length(segment.at + transport.header_len),
        fragment: segment.fragment,
    })
}
