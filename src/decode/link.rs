//! Link layers: from the first byte of the frame to the network header.
//!
//! Contract: says what network protocol follows, where, and the MACs and VLAN tags on the way.
//! Limits: of IEEE 802.3 frames only SNAP is looked into; other LLC, MPLS and `PPPoE` count as non-IP.

use super::{DecodeReason, VlanStack, array, be16, be32};
use crate::input::Mac;

/// A link-layer header type, as pcap and pcapng number it (`LINKTYPE_` values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a protocol family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP, as some writers number it (the number is the system's, not the file format's).
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP, as OpenBSD numbers it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// Raw IP.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: as `NULL`, in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);

    /// Whether packets of this link type can be decoded.
    pub const fn is_supported(self) -> bool {
        matches!(self.0, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 276 | 228 | 229)
    }
}

/// What follows the link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
    /// IP of the version that its first nibble says.
    Ip,
    Other,
}

/// What the link layer said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) src_mac: Option<Mac>,
    pub(super) dst_mac: Option<Mac>,
    pub(super) vlans: VlanStack,
    pub(super) network: Network,
    pub(super) offset: usize,
}

impl Link {
    fn bare(network: Network, offset: usize) -> Self {
        Self { src_mac: None, dst_mac: None, vlans: VlanStack::default(), network, offset }
    }
}

mod ethertype {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad (`QinQ`), and the numbers used before 802.1ad.
    pub(super) const VLANS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
    /// Smallest type; anything smaller is the length of an 802.3 frame.
    pub(super) const FIRST: u16 = 0x0600;
}

pub(super) fn decode(link: LinkType, data: &[u8]) -> Result<Link, DecodeReason> {
    match link {
        LinkType::ETHERNET => ethernet(data),
        LinkType::LINUX_SLL => cooked(data),
        LinkType::LINUX_SLL2 => cooked2(data),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Ok(Link::bare(Network::Ip, 0)),
        LinkType::IPV4 => Ok(Link::bare(Network::Ipv4, 0)),
        LinkType::IPV6 => Ok(Link::bare(Network::Ipv6, 0)),
        LinkType::NULL | LinkType::LOOP => loopback(data),
        _ => Err(DecodeReason::UnknownLinkType),
    }
}

fn ethernet(data: &[u8]) -> Result<Link, DecodeReason> {
    let header: [u8; 14] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    let mut link = Link::bare(Network::Other, 14);
    link.dst_mac = array(&header, 0).map(Mac);
    link.src_mac = array(&header, 6).map(Mac);
    follow_type(data, u16::from_be_bytes([header[12], header[13]]), &mut link)?;
    Ok(link)
}

/// Linux cooked capture: kind 2, ARPHRD 2, address length 2, address 8, protocol 2.
fn cooked(data: &[u8]) -> Result<Link, DecodeReason> {
    let header: [u8; 16] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    let mut link = Link::bare(Network::Other, 16);
    if [header[4], header[5]] == [0, 6] {
        link.src_mac = array(&header, 6).map(Mac);
    }
    follow_type(data, u16::from_be_bytes([header[14], header[15]]), &mut link)?;
    Ok(link)
}

/// Version 2: protocol 2, reserved 2, interface 4, ARPHRD 2, kind 1, address length 1, address 8.
fn cooked2(data: &[u8]) -> Result<Link, DecodeReason> {
    let header: [u8; 20] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    let mut link = Link::bare(Network::Other, 20);
    if header[11] == 6 {
        link.src_mac = array(&header, 12).map(Mac);
    }
    follow_type(data, u16::from_be_bytes([header[0], header[1]]), &mut link)?;
    Ok(link)
}

/// The family is in the byte order of a host that is not known; the families are small numbers, so both orders are tried.
fn loopback(data: &[u8]) -> Result<Link, DecodeReason> {
    let family = be32(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    let network = match family.min(family.swap_bytes()) {
        2 => Network::Ipv4,
        // AF_INET6 of Linux, NetBSD, FreeBSD, macOS.
        10 | 24 | 28 | 30 => Network::Ipv6,
        _ => Network::Other,
    };
    Ok(Link::bare(network, 4))
}

/// Follows VLAN tags and SNAP from a type field to the network header.
fn follow_type(data: &[u8], mut kind: u16, link: &mut Link) -> Result<(), DecodeReason> {
    while ethertype::VLANS.contains(&kind) {
        let tag = be16(data, link.offset).ok_or(DecodeReason::TruncatedLink)?;
        kind = be16(data, link.offset + 2).ok_or(DecodeReason::TruncatedLink)?;
        if !link.vlans.push(tag & 0x0fff) {
            return Err(DecodeReason::VlanDepth);
        }
        link.offset += 4;
    }
    if kind < ethertype::FIRST && array(data, link.offset) == Some([0xaa, 0xaa, 0x03, 0, 0, 0]) {
        kind = be16(data, link.offset + 6).ok_or(DecodeReason::TruncatedLink)?;
        link.offset += 8;
    }
    link.network = match kind {
        ethertype::IPV4 => Network::Ipv4,
        ethertype::IPV6 => Network::Ipv6,
        _ => Network::Other,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(parts: &[&[u8]]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend(parts.concat());
        frame
    }

    #[test]
    fn double_tags_are_followed() {
        let link = ethernet(&frame(&[&[0x88, 0xa8, 0x20, 0x64], &[0x81, 0, 0, 7], &[0x08, 0]])).expect("link");
        assert_eq!(link.vlans.as_slice(), [100, 7]);
        assert_eq!((link.network, link.offset), (Network::Ipv4, 22));
        assert_eq!(link.src_mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:02"));
    }

    #[test]
    fn endless_tags_are_refused() {
        let tags = [0x81, 0, 0, 7].repeat(9);
        assert_eq!(ethernet(&frame(&[&tags])).map(|link| link.offset), Err(DecodeReason::VlanDepth));
    }

    #[test]
    fn snap_carries_ip_and_other_llc_does_not() {
        let snap = ethernet(&frame(&[&[0, 46], &[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0]])).expect("link");
        assert_eq!((snap.network, snap.offset), (Network::Ipv4, 22));
        let spanning_tree = ethernet(&frame(&[&[0, 38], &[0x42, 0x42, 3]])).expect("link");
        assert_eq!(spanning_tree.network, Network::Other);
    }

    #[test]
    fn loopback_families_in_either_byte_order() {
        for head in [[0, 0, 0, 2], [2, 0, 0, 0]] {
            assert_eq!(loopback(&head).expect("link").network, Network::Ipv4);
        }
        assert_eq!(loopback(&[30, 0, 0, 0]).expect("link").network, Network::Ipv6);
    }

    #[test]
    fn cooked_captures_name_the_sender() {
        let mut v1 = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 0x86, 0xdd];
        let link = cooked(&v1).expect("link");
        assert_eq!((link.network, link.src_mac), (Network::Ipv6, Some(Mac([2, 0, 0, 0, 0, 9]))));
        v1[5] = 0;
        assert_eq!(cooked(&v1).expect("link").src_mac, None);
        let v2 = [0x08, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0];
        let link = cooked2(&v2).expect("link");
        assert_eq!((link.network, link.offset), (Network::Ipv4, 20));
        assert_eq!(link.src_mac, Some(Mac([2, 0, 0, 0, 0, 9])));
    }
}
