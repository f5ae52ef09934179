//! IPv4 and IPv6 headers, with options, fragments and extension headers.
//!
//! Contract: lengths are those that the headers state, bounded below by the header itself. Where the length is zero (GSO
//! super-frames, jumbograms) the packet reaches to the end of the frame on the wire. A packet whose IP header was captured
//! is never refused: what is cut off behind it stays unknown. On its way along an IPv4 source route (RFC 791) a packet's
//! destination is the route's last address; with an IPv6 routing header it is the header's, the next segment.
//! Limits: at most [`MAX_EXTENSIONS`] extension headers; the protocol of a later IPv6 fragment is the one after its
//! fragment header, even if that is a further extension header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::link::{Link, Network};
use super::{DecodeReason, Fragment, Headers, array, be16, be32, length, transport};
use crate::input::Protocol;

/// Extension headers that are walked: more than a packet of 1500 bytes can have.
const MAX_EXTENSIONS: usize = 256;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;
const SHIM6: u8 = 140;

/// The IP packet behind a link header; the frame has `on_wire` bytes. Without an error all of `headers` is written.
#[inline]
pub(super) fn decode(data: &[u8], link: &Link, on_wire: usize, headers: &mut Headers) -> Result<(), DecodeReason> {
    let first = *data.get(link.offset).ok_or(DecodeReason::TruncatedIp)?;
    match (first >> 4, link.network) {
        (4, Network::Ip) => ipv4(data, link, on_wire, headers),
        (6, Network::Ip | Network::Ipv6) => ipv6(data, link, on_wire, headers),
        _ => Err(DecodeReason::IpVersion),
    }
}

/// Where the bytes above the IP headers are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) at: usize,
    /// Their number on the wire, as the IP header states it.
    pub(super) len: usize,
}

#[inline]
fn ipv4(data: &[u8], link: &Link, on_wire: usize, headers: &mut Headers) -> Result<(), DecodeReason> {
    let at = link.offset;
    let head: [u8; 20] = array(data, at).ok_or(DecodeReason::TruncatedIp)?;
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
    let mut dst = Ipv4Addr::new(head[16], head[17], head[18], head[19]);
    if header_len > 20 {
        dst = routed_to(data.get(at + 20..at + header_len).unwrap_or(&[])).unwrap_or(dst);
    }
    let flags = u16::from_be_bytes([head[6], head[7]]);
    let fragment = (flags & 0x3fff != 0).then(|| Fragment {
        id: u32::from(u16::from_be_bytes([head[4], head[5]])),
        offset: u32::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
        protocol: Protocol(head[9]),
    });
    let src = IpAddr::V4(Ipv4Addr::new(head[12], head[13], head[14], head[15]));
    let mut segment = Segment { at: at + header_len, len: total - header_len };
    let mut protocol = head[9];
    while protocol == AUTHENTICATION && fragment.is_none_or(Fragment::is_first) {
        let Some((next, behind)) = authentication(data, segment) else { break };
        (protocol, segment) = (next, behind);
    }
    *headers = bare(link, (src, IpAddr::V4(dst)), Protocol(protocol), total, fragment);
    transport::fill(headers, data, segment);
    Ok(())
}

/// Steps over an authentication header behind IPv4; `None` when it is cut off, or longer than the packet.
fn authentication(data: &[u8], segment: Segment) -> Option<(u8, Segment)> {
    let next = *data.get(segment.at)?;
    let size = 4 * (2 + units(data, segment.at)?);
    let len = segment.len.checked_sub(size)?;
    Some((next, Segment { at: segment.at + size, len }))
}

/// The last address of a source route that has not been gone to its end.
fn routed_to(mut options: &[u8]) -> Option<Ipv4Addr> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    loop {
        match *options.first()? {
            END => return None,
            NO_OPERATION => options = options.get(1..)?,
            kind => {
                let size = usize::from(*options.get(1)?).max(2);
                let option = options.get(..size)?;
                if matches!(kind, LOOSE | STRICT) {
                    let is_on_the_way = usize::from(*option.get(2)?) + 3 <= size;
                    return option
                        .last_chunk::<4>()
                        .filter(|_| is_on_the_way && size >= 7)
                        .map(|ip| Ipv4Addr::from(*ip));
                }
                options = options.get(size..)?;
            }
        }
    }
}

#[inline]
fn ipv6(data: &[u8], link: &Link, on_wire: usize, headers: &mut Headers) -> Result<(), DecodeReason> {
    let at = link.offset;
    let head: [u8; 40] = array(data, at).ok_or(DecodeReason::TruncatedIp)?;
    let stated = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let total = if stated == 0 && head[6] != NO_NEXT_HEADER { (on_wire - at).max(40) } else { 40 + stated };
    let walk = if is_extension(head[6]) {
        extensions(data, head[6], Segment { at: at + 40, len: total - 40 })
    } else {
        Walk { protocol: head[6], segment: Segment { at: at + 40, len: total - 40 }, fragment: None }
    };
    *headers = bare(link, (address(&head, 8), address(&head, 24)), Protocol(walk.protocol), total, walk.fragment);
    transport::fill(headers, data, walk.segment);
    Ok(())
}

fn address(bytes: &[u8], at: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(array::<16>(bytes, at).unwrap_or_default()))
}

const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | SHIM6)
}

/// What extension headers led to.
#[derive(Clone, Copy, Debug)]
struct Walk {
    protocol: u8,
    segment: Segment,
    fragment: Option<Fragment>,
}

/// Walks the extension headers to the transport header, to a later fragment's data, or to one that is cut off.
fn extensions(data: &[u8], first: u8, segment: Segment) -> Walk {
    let mut walk = Walk { protocol: first, segment, fragment: None };
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(walk.protocol) || extension(data, &mut walk).is_none() {
            return walk;
        }
        if walk.fragment.is_some_and(|piece| !piece.is_first()) {
            return walk;
        }
    }
    walk
}

/// Steps over one extension header; `None` and no change when it is cut off, or longer than the packet.
fn extension(data: &[u8], walk: &mut Walk) -> Option<()> {
    let Segment { at, len } = walk.segment;
    let next = *data.get(at)?;
    let size = match walk.protocol {
        AUTHENTICATION => 4 * (2 + units(data, at)?),
        FRAGMENT => 8,
        _ => 8 * (1 + units(data, at)?),
    };
    let rest = len.checked_sub(size)?;
    if walk.protocol == FRAGMENT {
        let piece = fragment_header(data, at)?;
        // A lone piece that is whole ("atomic", RFC 6946) is no fragment.
        walk.fragment = (piece.offset != 0 || piece.more).then_some(piece);
    }
    walk.protocol = next;
    walk.segment = Segment { at: at + size, len: rest };
    Some(())
}

/// The length field of an extension header.
fn units(data: &[u8], at: usize) -> Option<usize> {
    data.get(at + 1).map(|&units| usize::from(units))
}

fn fragment_header(data: &[u8], at: usize) -> Option<Fragment> {
    let place = be16(data, at + 2)?;
    let id = be32(data, at + 4)?;
    Some(Fragment { id, offset: u32::from(place & 0xfff8), more: place & 1 != 0, protocol: Protocol(0) })
}

/// What the network layer said; the transport's part is to be filled in.
#[inline]
fn bare(
    link: &Link,
    (src, dst): (IpAddr, IpAddr),
    protocol: Protocol,
    total: usize,
    fragment: Option<Fragment>,
) -> Headers {
    Headers {
        src_mac: link.src_mac,
        dst_mac: link.dst_mac,
        vlans: link.vlans,
        src,
        dst,
        protocol,
        src_port: 0,
        dst_port: 0,
        one_way: false,
        tcp: None,
        ip_bytes: length(total),
        payload_bytes: 0,
        payload_at: 0,
        fragment,
    }
}
