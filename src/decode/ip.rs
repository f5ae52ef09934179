//! IPv4 and IPv6 headers, with options and fragments.
//!
//! Contract: lengths are those that the headers state, bounded below by the header itself. Where the length is zero (GSO
//! super-frames, jumbograms) the packet reaches to the end of the frame on the wire. What is cut off behind the IP headers
//! stays unknown; a chain of extension headers that is cut off is an error. The destination is the header's own, also with a
//! source route, which is a claim of the sender ([`super::route_addresses`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::extension::{self, Walk};
use super::link::{Link, Network};
use super::segment::Segment;
use super::{DecodeReason, Fragment, Headers, array, length, route, transport};
use crate::input::Protocol;

const NO_NEXT_HEADER: u8 = 59;

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
    let dst = IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19]));
    // Of options that were cut off, those before the cut.
    let has_route =
        header_len > 20 && route::has_route(data.get(at + 20..(at + header_len).min(data.len())).unwrap_or(&[]));
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
    while protocol == extension::AUTHENTICATION && fragment.is_none_or(Fragment::is_first) {
        let captured = segment.captured(data);
        let Some((next, header)) = extension::authentication(captured) else {
            if data.len() < on_wire {
                return Err(DecodeReason::TruncatedExtensions);
            }
            if let Some((next, size)) = extension::announced(captured, protocol, segment) {
                (protocol, segment) = (next, segment.behind(size));
            }
            break;
        };
        (protocol, segment) = (next, segment.behind(header.len()));
    }
    *headers = Headers { has_route, ..bare(link, (src, dst), Protocol(protocol), total, fragment) };
    transport::fill(headers, data, segment);
    Ok(())
}

#[inline]
fn ipv6(data: &[u8], link: &Link, on_wire: usize, headers: &mut Headers) -> Result<(), DecodeReason> {
    let at = link.offset;
    let head: [u8; 40] = array(data, at).ok_or(DecodeReason::TruncatedIp)?;
    let stated = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let total = if stated == 0 && head[6] != NO_NEXT_HEADER { (on_wire - at).max(40) } else { 40 + stated };
    let segment = Segment { at: at + 40, len: total - 40 };
    let walk = if extension::is_extension(head[6]) {
        extension::walk(data, head[6], segment, data.len() >= on_wire, |_, _| {})?
    } else {
        Walk { protocol: head[6], segment, fragment: None, has_route: false }
    };
    let ends = (address(&head, 8), address(&head, 24));
    *headers = Headers { has_route: walk.has_route, ..bare(link, ends, Protocol(walk.protocol), total, walk.fragment) };
    transport::fill(headers, data, walk.segment);
    Ok(())
}

fn address(bytes: &[u8], at: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(array::<16>(bytes, at).unwrap_or_default()))
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
        ip_at: length(link.offset),
        has_route: false,
        ip_bytes: length(total),
        payload_bytes: 0,
        payload_at: 0,
        fragment,
    }
}
