//! What Ethernet types announce: tags, labels and frames inside frames, up to the network header.
//!
//! Contract: every step moves forward or ends; at most `MAX_STEPS` of them. Sources: IEEE 802.1Q (tags, I-TAG, E-TAG), 802.1AE
//! (`MACsec`), RFC 3032 (MPLS), RFC 6325 (TRILL), RFC 8300 (NSH), and vendors' descriptions for VN-Tag, CMD, `FabricPath`
//! and the Arista time stamp.
//! Limits: nothing says what a pseudowire carries, so only plain Ethernet is recognised; `MACsec` only without encryption.

use super::{Link, MAX_STEPS, Network, Next, array, byte, ppp, wireless, word};
use crate::decode::{DecodeReason, be32};
use crate::input::Mac;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad (`QinQ`), and the numbers used before 802.1ad.
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const OLD_QINQ: [u16; 2] = [0x9100, 0x9200];
/// Smallest type; anything smaller is the length of an 802.3 frame.
const FIRST: u16 = 0x0600;
const TRILL: u16 = 0x22f3;
/// A whole Ethernet frame, as GRE and Geneve carry it.
const BRIDGED: u16 = 0x6558;
const PPP: u16 = 0x880b;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
const MACSEC: u16 = 0x88e5;
const PBB: u16 = 0x88e7;
const FABRIC_PATH: u16 = 0x8903;
const CMD: u16 = 0x8909;
const VN_TAG: u16 = 0x8926;
const E_TAG: u16 = 0x893f;
const NSH: u16 = 0x894f;
const ARISTA: u16 = 0xd28b;

/// An Ethernet header that leads to IP with at most tags between, as most do; anything else goes the long way.
#[inline]
pub(in crate::decode) fn plain(data: &[u8]) -> Option<Link> {
    let header: [u8; 14] = array(data, 0)?;
    let mut link = Link::bare(Network::Other, 14);
    set_macs(&header, &mut link);
    let mut kind = u16::from_be_bytes([header[12], header[13]]);
    while matches!(kind, VLAN | QINQ) {
        let tag: [u8; 4] = array(data, link.offset)?;
        if !link.vlans.push(u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff) {
            return None;
        }
        kind = u16::from_be_bytes([tag[2], tag[3]]);
        link.offset += 4;
    }
    link.network = match kind {
        IPV4 => Network::Ip,
        IPV6 => Network::Ipv6,
        _ => return None,
    };
    Some(link)
}

fn set_macs(header: &[u8; 14], link: &mut Link) {
    link.dst_mac = array(header, 0).map(Mac);
    link.src_mac = array(header, 6).map(Mac);
}

/// Takes headers from `next` at `link.offset` to the network header.
pub(in crate::decode) fn follow(data: &[u8], mut next: Next, link: &mut Link) -> Result<(), DecodeReason> {
    for _ in 0..MAX_STEPS {
        next = match next {
            Next::Type(kind) => typed(data, kind, link)?,
            Next::Ethernet => ethernet(data, link)?,
            Next::Llc => llc(data, link)?,
            Next::Ppp => ppp::protocol(data, link)?,
            Next::Mpls => labels(data, link)?,
            Next::FrameRelay => ppp::frame_relay(data, link)?,
            Next::Wireless => wireless::mac(data, link)?,
            Next::SwappedWireless => wireless::swapped_mac(data, link)?,
            Next::Nsh => service_header(data, link)?,
            Next::Network(network) => {
                link.network = network;
                return Ok(());
            }
        };
    }
    Err(DecodeReason::LinkDepth)
}

/// The outermost Ethernet header gives the MACs.
fn ethernet(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 14] = array(data, link.offset).ok_or(DecodeReason::TruncatedLink)?;
    if link.dst_mac.is_none() && link.src_mac.is_none() {
        set_macs(&header, link);
    }
    link.offset += 14;
    Ok(Next::Type(u16::from_be_bytes([header[12], header[13]])))
}

fn typed(data: &[u8], kind: u16, link: &mut Link) -> Result<Next, DecodeReason> {
    match kind {
        IPV4 => Ok(Next::Network(Network::Ip)),
        IPV6 => Ok(Next::Network(Network::Ipv6)),
        ARP => Ok(Next::Network(Network::Arp)),
        VLAN | QINQ => tag(data, link),
        _ if OLD_QINQ.contains(&kind) => tag(data, link),
        MPLS | MPLS_UPSTREAM => Ok(Next::Mpls),
        PPPOE_SESSION => ppp::over_ethernet(data, link),
        PPP => Ok(Next::Ppp),
        BRIDGED => Ok(Next::Ethernet),
        NSH => Ok(Next::Nsh),
        // I-TAG 4, then the customer's frame.
        PBB => frame_after(4, link),
        // Forwarding tag and time to live.
        FABRIC_PATH => frame_after(2, link),
        TRILL => frame_after(6 + 4 * usize::from((word(data, link.offset)? >> 6) & 0x1f), link),
        VN_TAG => type_after(data, 4, link),
        E_TAG => type_after(data, 6, link),
        CMD => type_after(data, 2 + 4 * usize::from(byte(data, link.offset + 1)?.max(1)), link),
        MACSEC => macsec(data, link),
        ARISTA => match word(data, link.offset + 2)? & 0xff {
            0x10 => type_after(data, 12, link),
            0x20 => type_after(data, 10, link),
            _ => Ok(Next::Network(Network::Other)),
        },
        length if length < FIRST => {
            // An 802.3 frame ends where its length says; 0 and 1 to 2 are in captures of other things.
            if length >= 3 {
                link.limit = link.limit.min(link.offset + usize::from(length));
            }
            Ok(Next::Llc)
        }
        _ => Ok(Next::Network(Network::Other)),
    }
}

fn tag(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let tag = word(data, link.offset)?;
    if !link.vlans.push(tag & 0x0fff) {
        return Err(DecodeReason::VlanDepth);
    }
    type_after(data, 2, link)
}

/// A type field behind `skip` bytes.
fn type_after(data: &[u8], skip: usize, link: &mut Link) -> Result<Next, DecodeReason> {
    let kind = word(data, link.offset + skip)?;
    link.offset += skip + 2;
    Ok(Next::Type(kind))
}

/// A whole frame behind `skip` bytes.
#[expect(clippy::unnecessary_wraps, reason = "an arm among others that may fail")]
fn frame_after(skip: usize, link: &mut Link) -> Result<Next, DecodeReason> {
    link.offset += skip;
    Ok(Next::Ethernet)
}

/// A security tag: control 1, short length 1, packet number 4, and an identifier of 8 where control says so.
fn macsec(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let control = byte(data, link.offset)?;
    let (has_identifier, is_closed) = (control & 0x20 != 0, control & 0x0c != 0);
    if is_closed {
        return Ok(Next::Network(Network::Other));
    }
    type_after(data, if has_identifier { 14 } else { 6 }, link)
}

/// Labels up to the bottom of the stack; the first nibble behind it says what it carries (RFC 4928).
fn labels(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    while link.offset < data.len() {
        let label = be32(data, link.offset).ok_or(DecodeReason::TruncatedLink)?;
        link.offset += 4;
        if label & 0x100 != 0 {
            return Ok(match byte(data, link.offset)? >> 4 {
                4 => Next::Network(Network::Ip),
                6 => Next::Network(Network::Ipv6),
                _ => pseudowire(data, link),
            });
        }
    }
    Err(DecodeReason::TruncatedLink)
}

/// Ethernet, with or without a control word (RFC 4448): a guess, so the frame must carry IP or a tag, between addresses that
/// manufacturers gave out.
fn pseudowire(data: &[u8], link: &mut Link) -> Next {
    let looks_like_ethernet = |at: usize| {
        array::<14>(data, at).is_some_and(|header| {
            let kind = u16::from_be_bytes([header[12], header[13]]);
            let is_local = header[0] & 0x02 != 0 && header[0] != 0xff || header[6] & 0x03 != 0;
            !is_local && matches!(kind, IPV4 | IPV6 | VLAN | QINQ)
        })
    };
    let has_control = byte(data, link.offset).is_ok_and(|first| first >> 4 == 0);
    if looks_like_ethernet(link.offset) {
        Next::Ethernet
    } else if has_control && looks_like_ethernet(link.offset + 4) {
        link.offset += 4;
        Next::Ethernet
    } else {
        Next::Network(Network::Other)
    }
}

/// Service access points and control; SNAP names an organisation and its type.
fn llc(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let Some(head) = array::<3>(data, link.offset) else { return Ok(Next::Network(Network::Other)) };
    match head {
        [0xaa, 0xaa, 0x03] => {
            link.offset += 3;
            snap(data, link)
        }
        // The access point of IP (RFC 1042 before SNAP), and the network layer protocol identifiers of ISO.
        [0x06, _, 0x03] => {
            link.offset += 3;
            Ok(Next::Network(Network::Ip))
        }
        [0xfe, 0xfe, 0x03] => ppp::network_identifier(data, link.offset + 3, link),
        _ => Ok(Next::Network(Network::Other)),
    }
}

pub(super) fn snap(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let Some(organisation) = array::<3>(data, link.offset) else { return Err(DecodeReason::TruncatedLink) };
    let kind = word(data, link.offset + 3)?;
    link.offset += 5;
    match (organisation, kind) {
        // Encapsulated Ethernet, and the bridge-tunnel encapsulation of 802.1H.
        ([0, 0, 0 | 0xf8], kind) if kind >= FIRST => Ok(Next::Type(kind)),
        // Bridged Ethernet behind two bytes of padding (RFC 2684, RFC 2427).
        ([0, 0x80, 0xc2], 1 | 7) => {
            link.offset += 2;
            Ok(Next::Ethernet)
        }
        _ => Ok(Next::Network(Network::Other)),
    }
}

/// Version, flags and length in words; metadata kind; next protocol.
fn service_header(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let length = 4 * usize::from(word(data, link.offset)? & 0x3f);
    let next = byte(data, link.offset + 3)?;
    if length < 8 {
        return Ok(Next::Network(Network::Other));
    }
    link.offset += length;
    Ok(generic(next))
}

/// The protocol numbers that NSH and VXLAN-GPE share.
pub(in crate::decode) const fn generic(protocol: u8) -> Next {
    match protocol {
        1 => Next::Network(Network::Ip),
        2 => Next::Network(Network::Ipv6),
        3 => Next::Ethernet,
        4 => Next::Nsh,
        5 => Next::Mpls,
        _ => Next::Network(Network::Other),
    }
}
