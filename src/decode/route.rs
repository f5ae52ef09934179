//! Source routes: the addresses that a packet names as its way, which are claims of its sender.
//!
//! Contract: whatever the pointer or the number of segments left says, all addresses of the route are given, in its order; the
//! tuple keeps the destination of the IP header itself. Sources: RFC 791 (loose and strict source routes), RFC 8200 (routing
//! headers), RFC 5095 (type 0), RFC 6275 (type 2), RFC 6554 (type 3), RFC 8754 (type 4).
//! Limits: a routing header of another type names no address, and is a route all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::segment::Segment;
use super::{Headers, array, extension};

/// Where the options of an IPv4 header hold a source route.
#[cold]
pub(super) fn has_route(options: &[u8]) -> bool {
    Options(options).next().is_some()
}

/// Gives the addresses on the way of a packet whose headers say that it has a route; `data` is its frame.
pub fn route_addresses(headers: &Headers, data: &[u8], mut each: impl FnMut(IpAddr)) {
    let at = headers.ip_at as usize;
    let Some(first) = data.get(at).filter(|_| headers.has_route) else { return };
    match headers.dst {
        IpAddr::V4(_) => {
            let end = at + 4 * usize::from(first & 0x0f);
            for option in Options(data.get(at + 20..end).unwrap_or(&[])) {
                // Kind 1, length 1, pointer 1.
                let addresses = option.get(3..).unwrap_or(&[]).chunks_exact(4);
                addresses.filter_map(|bytes| array::<4>(bytes, 0)).for_each(|ip| each(Ipv4Addr::from(ip).into()));
            }
        }
        IpAddr::V6(dst) => {
            let segment = Segment { at: at + 40, len: (headers.ip_bytes as usize).saturating_sub(40) };
            let next = data.get(at + 6).copied().unwrap_or(0);
            // What is behind a cut chain was refused when the frame was decoded.
            let _ = extension::walk(data, next, segment, true, |number, header| {
                if number == extension::ROUTING {
                    segments(header, dst, &mut each);
                }
            });
        }
    }
}

/// The source routes among IPv4 options.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        const LOOSE: u8 = 131;
        const STRICT: u8 = 137;
        loop {
            match *self.0.first()? {
                END => return None,
                NO_OPERATION => self.0 = self.0.get(1..)?,
                kind => {
                    let size = usize::from(*self.0.get(1)?).max(2).min(self.0.len());
                    let (option, rest) = self.0.split_at(size);
                    self.0 = rest;
                    if matches!(kind, LOOSE | STRICT) {
                        return Some(option);
                    }
                }
            }
        }
    }
}

/// The addresses of a routing header: next 1, length 1, type 1, segments left 1, then by type.
fn segments(header: &[u8], dst: Ipv6Addr, each: &mut impl FnMut(IpAddr)) {
    let whole = |bytes: &[u8]| array::<16>(bytes, 0).map(|ip| IpAddr::V6(ip.into()));
    let list = header.get(8..).unwrap_or(&[]);
    match header.get(2..6) {
        Some([0 | 2, ..]) => list.chunks_exact(16).filter_map(whole).for_each(each),
        Some([4, _, final_entry, _]) => {
            list.chunks_exact(16).take(usize::from(*final_entry) + 1).filter_map(whole).for_each(each);
        }
        // As many leading bytes as the header says are those of the destination.
        Some([3, _, compressed, padding]) => {
            let (middle, end) = (usize::from(compressed >> 4), usize::from(compressed & 0x0f));
            let mut rest = list.get(..list.len().saturating_sub(usize::from(padding >> 4))).unwrap_or(&[]);
            while !rest.is_empty() {
                let shared = if rest.len() > 16 - end { middle } else { end };
                let (own, behind) = rest.split_at((16 - shared).min(rest.len()));
                let mut ip = dst.octets();
                ip.iter_mut().skip(shared).zip(own).for_each(|(place, byte)| *place = *byte);
                each(IpAddr::V6(ip.into()));
                rest = behind;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoded, LinkType, decode};

    fn routed(packet: &[u8]) -> (IpAddr, bool, Vec<IpAddr>) {
        let wire_len = u32::try_from(packet.len()).expect("small");
        let Ok(Decoded::Ip(headers)) = decode(LinkType::RAW, wire_len, packet) else { panic!("no IP") };
        let mut addresses = Vec::new();
        route_addresses(&headers, packet, |ip| addresses.push(ip));
        (headers.dst, headers.has_route, addresses)
    }

    fn ipv4(options: &[u8]) -> Vec<u8> {
        let words = u8::try_from(options.len() / 4).expect("short");
        let total = 20 + options.len() + 8;
        let mut packet = vec![0x45 + words, 0, 0, u8::try_from(total).expect("short"), 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        packet.extend(options);
        packet.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
        packet
    }

    #[test]
    fn a_source_route_names_all_its_addresses_and_the_header_the_destination() {
        let dst: IpAddr = [192, 0, 2, 2].into();
        for pointer in [4, 8, 12] {
            let (seen, has_route, way) = routed(&ipv4(&[1, 131, 11, pointer, 198, 51, 100, 1, 198, 51, 100, 2]));
            assert_eq!((seen, has_route), (dst, true));
            assert_eq!(way, [IpAddr::from([198, 51, 100, 1]), [198, 51, 100, 2].into()], "pointer {pointer}");
        }
        assert_eq!(routed(&ipv4(&[1, 1, 1, 0])), (dst, false, vec![]));
        // A route beyond the options is a route all the same.
        assert_eq!(routed(&ipv4(&[137, 40, 4, 198])), (dst, true, vec![]));
    }

    #[test]
    fn a_routing_header_names_its_segments() {
        let address = |last: u8| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last));
        let packet = |body: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, u8::try_from(body.len() + 8).expect("short"), 43, 64];
            packet.extend(address(1).octets());
            packet.extend(address(2).octets());
            packet.extend(body);
            packet.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
            packet
        };
        let head = |kind: u8, units: u8, flags: [u8; 2]| [17, units, kind, 1, flags[0], flags[1], 0, 0];
        for kind in [0, 2, 4] {
            let body = [&head(kind, 2, [0, 0])[..], &address(9).octets()].concat();
            assert_eq!(routed(&packet(&body)), (address(2).into(), true, vec![address(9).into()]), "type {kind}");
        }
        // Fifteen bytes shared with the destination, then padding.
        let body = [&head(3, 1, [0xff, 0x60])[..], &[7, 8, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(routed(&packet(&body)).2, [IpAddr::from(address(7)), address(8).into()]);
        assert_eq!(routed(&packet(&head(253, 0, [0, 0]))), (address(2).into(), true, vec![]));
    }
}
