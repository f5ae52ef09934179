//! Link layers: from the first byte of the frame to the network header.
//!
//! Contract: says what network protocol follows, where, and the MACs and VLAN tags on the way. A frame inside a frame (MPLS,
//! `PPPoE`, provider backbone bridging …) is entered; at most [`MAX_STEPS`] headers are taken.
//! Limits: what is encrypted, compressed (6LoWPAN) or split below IP (A-MSDU beyond its first part, `PPP` multilink) is non-IP.
//! Design: a link type names the first header; each header says what comes [`Next`]. Families have a file each: what
//! Ethernet types announce, PPP and its kin, wireless, other local networks, and headers that capturing systems add.

mod capture;
mod ethertype;
mod lan;
mod ppp;
mod wireless;

use super::{DecodeReason, VlanStack, array, be16, be32};
use crate::input::Mac;

pub(super) use ethertype::{follow, generic, plain};

/// Headers below IP that are taken one after the other.
const MAX_STEPS: usize = 128;

/// A link-layer header type, as pcap and pcapng number it (`LINKTYPE_` values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

/// Declares the link types that are decoded: their names, and the list that `is_supported` asks.
macro_rules! link_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl LinkType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Whether packets of this link type can be decoded.
            pub const fn is_supported(self) -> bool {
                matches!(self.0, $($number)|*)
            }
        }
    };
}

link_types! {
    /// BSD loopback: a protocol family in the byte order of the capturing host.
    NULL = 0;
    /// Ethernet.
    ETHERNET = 1;
    /// Token Ring (IEEE 802.5).
    TOKEN_RING = 6;
    /// `ARCnet` with BSD headers.
    ARCNET_BSD = 7;
    /// PPP, with or without the framing of RFC 1662; Cisco HDLC where the first byte says so.
    PPP = 9;
    /// FDDI.
    FDDI = 10;
    /// Raw IP, as some writers number it (the number is the system's, not the file format's).
    RAW_BSD = 12;
    /// Raw IP, as OpenBSD numbers it.
    RAW_OPENBSD = 14;
    /// PPP in HDLC-like framing (RFC 1662).
    PPP_HDLC = 50;
    /// `PPPoE` session frames without the Ethernet header.
    PPP_ETHER = 51;
    /// ATM with LLC encapsulation (RFC 2684).
    ATM_RFC1483 = 100;
    /// Raw IP.
    RAW = 101;
    /// Cisco HDLC.
    C_HDLC = 104;
    /// IEEE 802.11.
    IEEE802_11 = 105;
    /// Frame Relay.
    FRELAY = 107;
    /// OpenBSD loopback: as `NULL`, in network byte order.
    LOOP = 108;
    /// OpenBSD's decapsulated `IPsec`.
    ENC = 109;
    /// Linux cooked capture.
    LINUX_SLL = 113;
    /// OpenBSD's packet filter log.
    PFLOG = 117;
    /// IEEE 802.11 behind a Prism header.
    IEEE802_11_PRISM = 119;
    /// IP over Fibre Channel (RFC 2625).
    IP_OVER_FC = 122;
    /// ATM as `SunATM` gives it.
    SUNATM = 123;
    /// IEEE 802.11 behind a radiotap header.
    IEEE802_11_RADIOTAP = 127;
    /// `ARCnet` with Linux headers.
    ARCNET_LINUX = 129;
    /// `PKTAP` as macOS wrote it before it had a number (the second user-defined type).
    USER2 = 149;
    /// IEEE 802.11 behind an AVS header.
    IEEE802_11_AVS = 163;
    /// PPP behind a byte that tells the direction.
    PPP_PPPD = 166;
    /// Juniper Ethernet.
    JUNIPER_ETHER = 178;
    /// Juniper PPP.
    JUNIPER_PPP = 179;
    /// Juniper Frame Relay.
    JUNIPER_FRELAY = 180;
    /// Juniper Cisco HDLC.
    JUNIPER_CHDLC = 181;
    /// Per-packet information, which names the link type behind it.
    PPI = 192;
    /// PPP behind a byte that tells the direction.
    PPP_WITH_DIR = 204;
    /// Solaris IP observability.
    IPNET = 226;
    /// MPLS labels first.
    MPLS = 219;
    /// Raw IPv4.
    IPV4 = 228;
    /// Raw IPv6.
    IPV6 = 229;
    /// Linux netfilter log.
    NFLOG = 239;
    /// Ethernet behind a `netANALYZER` header.
    NETANALYZER = 240;
    /// IP over `InfiniBand`.
    IPOIB = 242;
    /// Apple's `PKTAP`, which names the link type behind it.
    PKTAP = 258;
    /// Linux cooked capture v2.
    LINUX_SLL2 = 276;
}

/// What follows the link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// IP of the version that its first nibble says; what is announced as IPv4 may be IPv6, and receivers go by the nibble.
    Ip,
    Ipv6,
    /// RFC 826.
    Arp,
    Other,
}

impl Network {
    pub(super) const fn is_ip(self) -> bool {
        matches!(self, Self::Ip | Self::Ipv6)
    }
}

/// What the link layer said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) src_mac: Option<Mac>,
    pub(super) dst_mac: Option<Mac>,
    pub(super) vlans: VlanStack,
    pub(super) network: Network,
    /// Where the network header starts.
    pub(super) offset: usize,
    /// The place in the frame that a length of the link layer gives as the end.
    pub(super) limit: usize,
}

impl Link {
    pub(super) fn bare(network: Network, offset: usize) -> Self {
        Self { src_mac: None, dst_mac: None, vlans: VlanStack::default(), network, offset, limit: usize::MAX }
    }
}

/// What the next header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// What an Ethernet type says, or a length below the first type: then LLC.
    Type(u16),
    /// An Ethernet frame from its destination address on.
    Ethernet,
    /// IEEE 802.2.
    Llc,
    /// A PPP protocol field, with or without address and control before it.
    Ppp,
    /// MPLS labels.
    Mpls,
    /// A Q.922 address.
    FrameRelay,
    /// An 802.11 MAC header.
    Wireless,
    /// An 802.11 MAC header whose first two bytes are swapped, as some controllers send it.
    SwappedWireless,
    /// A network service header (RFC 8300).
    Nsh,
    /// The network layer.
    Network(Network),
}

/// Takes the headers below IP.
pub(super) fn decode(kind: LinkType, data: &[u8]) -> Result<Link, DecodeReason> {
    let mut link = Link::bare(Network::Other, 0);
    let next = first(kind, data, &mut link)?;
    follow(data, next, &mut link)?;
    Ok(link)
}

/// The header that a link type starts with, taken where only that link type has it.
fn first(kind: LinkType, data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    match kind {
        LinkType::ETHERNET => Ok(Next::Ethernet),
        LinkType::LINUX_SLL => cooked(data, link),
        LinkType::LINUX_SLL2 => cooked2(data, link),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 => Ok(Next::Network(Network::Ip)),
        LinkType::IPV6 => Ok(Next::Network(Network::Ipv6)),
        LinkType::NULL | LinkType::LOOP => loopback(data, link),
        LinkType::PPP | LinkType::PPP_HDLC => ppp::serial(data, link),
        LinkType::PPP_PPPD | LinkType::PPP_WITH_DIR => {
            link.offset = 1;
            ppp::serial(data, link)
        }
        LinkType::PPP_ETHER => ppp::over_ethernet(data, link),
        LinkType::C_HDLC => ppp::cisco_hdlc(data, link),
        LinkType::FRELAY => Ok(Next::FrameRelay),
        LinkType::MPLS => Ok(Next::Mpls),
        LinkType::IEEE802_11 => Ok(Next::Wireless),
        LinkType::IEEE802_11_RADIOTAP => wireless::radiotap(data, link),
        LinkType::IEEE802_11_PRISM => wireless::prism(data, link),
        LinkType::IEEE802_11_AVS => wireless::avs(data, link),
        LinkType::TOKEN_RING => lan::token_ring(data, link),
        LinkType::FDDI => lan::fddi(data, link),
        LinkType::ARCNET_BSD => lan::arcnet(data, 2, link),
        LinkType::ARCNET_LINUX => lan::arcnet(data, 4, link),
        LinkType::IP_OVER_FC => lan::fibre_channel(link),
        LinkType::ATM_RFC1483 => Ok(Next::Llc),
        LinkType::SUNATM => lan::sunatm(data, link),
        LinkType::IPOIB => lan::infiniband(data, link),
        other => capture::first(other, data, link),
    }
}

/// Linux cooked capture: kind 2, ARPHRD 2, address length 2, address 8, protocol 2.
fn cooked(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 16] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    link.offset = 16;
    if [header[4], header[5]] == [0, 6] {
        link.src_mac = array(&header, 6).map(Mac);
    }
    Ok(Next::Type(u16::from_be_bytes([header[14], header[15]])))
}

/// Version 2: protocol 2, reserved 2, interface 4, ARPHRD 2, kind 1, address length 1, address 8.
fn cooked2(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 20] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    link.offset = 20;
    if header[11] == 6 {
        link.src_mac = array(&header, 12).map(Mac);
    }
    Ok(Next::Type(u16::from_be_bytes([header[0], header[1]])))
}

/// The family is in the byte order of a host that is not known; the families are small numbers, so both orders are tried.
fn loopback(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let family = be32(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    link.offset = 4;
    Ok(Next::Network(family_of(family.min(family.swap_bytes()))))
}

/// The network protocol of an address family.
const fn family_of(family: u32) -> Network {
    match family {
        2 => Network::Ip,
        // AF_INET6 of Linux, NetBSD and OpenBSD, Solaris, FreeBSD, macOS.
        10 | 24 | 26 | 28 | 30 => Network::Ipv6,
        _ => Network::Other,
    }
}

/// A byte of a link header.
fn byte(data: &[u8], at: usize) -> Result<u8, DecodeReason> {
    data.get(at).copied().ok_or(DecodeReason::TruncatedLink)
}

/// Two bytes of a link header, in network order.
fn word(data: &[u8], at: usize) -> Result<u16, DecodeReason> {
    be16(data, at).ok_or(DecodeReason::TruncatedLink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_families_in_either_byte_order() {
        for head in [[0, 0, 0, 2], [2, 0, 0, 0]] {
            assert_eq!(decode(LinkType::NULL, &head).expect("link").network, Network::Ip);
        }
        assert_eq!(decode(LinkType::NULL, &[30, 0, 0, 0]).expect("link").network, Network::Ipv6);
    }

    #[test]
    fn cooked_captures_name_the_sender() {
        let mut v1 = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 0x86, 0xdd];
        let link = decode(LinkType::LINUX_SLL, &v1).expect("link");
        assert_eq!((link.network, link.src_mac), (Network::Ipv6, Some(Mac([2, 0, 0, 0, 0, 9]))));
        v1[5] = 0;
        assert_eq!(decode(LinkType::LINUX_SLL, &v1).expect("link").src_mac, None);
        let v2 = [0x08, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0];
        let link = decode(LinkType::LINUX_SLL2, &v2).expect("link");
        assert_eq!((link.network, link.offset), (Network::Ip, 20));
        assert_eq!(link.src_mac, Some(Mac([2, 0, 0, 0, 0, 9])));
    }
}
