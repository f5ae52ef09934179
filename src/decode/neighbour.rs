//! Who says at which MAC an address is: ARP, and neighbour discovery of IPv6.
//!
//! Contract: total; a message that a host on the link would throw away claims nothing: another hop limit than 255 (so that it came through
//! a router), a code, an option without length, a fragment (RFC 6980). A probe from the unspecified address (RFC 5227; RFC 4862, duplicate
//! address detection) claims nothing either, and checksums are not looked at, as everywhere.
//! Limits: only Ethernet addresses; of several options of one kind the first counts, as Linux has it; what was cut off when it was captured
//! is not missed if the address stands before it. Router advertisements and redirects are not read.
//! Sources: RFC 826 and RFC 5227 (ARP), RFC 4861 sections 4.3, 4.4, 4.6.1, 7.1 (neighbour discovery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{ArpHardwareId, ArpOperation, ArpPacketSlice, EtherType};

use super::link::{self, LinkType, Network};
use super::{Headers, array};
use crate::input::{ClaimKind, Mac, Protocol};

/// An address is said to be at a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How.
    pub kind: ClaimKind,
    /// The address; never unspecified.
    pub ip: IpAddr,
    /// The MAC that it is said to be at.
    pub mac: Mac,
    /// Whose MAC is asked for, where another's is.
    pub asks: Option<IpAddr>,
    /// The frame's own source MAC, where the link has one.
    pub src_mac: Option<Mac>,
    /// The frame's destination MAC, where the link has one.
    pub dst_mac: Option<Mac>,
}

/// What an ARP frame claims; for frames that [`super::decode`] calls non-IP. Ethernet's padding behind it does not matter.
pub fn arp_claim(link: LinkType, data: &[u8]) -> Option<Claim> {
    let layer = link::decode(link, data).ok().filter(|layer| layer.network == Network::Arp)?;
    let body = data.get(layer.offset..layer.limit.min(data.len()))?;
    let (kind, ip, mac, target) = arp(body)?;
    let asks = (kind == ClaimKind::ArpRequest && target != ip).then_some(IpAddr::V4(target));
    Some(Claim { kind, ip: IpAddr::V4(ip), mac, asks, src_mac: layer.src_mac, dst_mac: layer.dst_mac })
}

/// The sender of an ARP message between Ethernet and IPv4, and the address that it is about.
fn arp(body: &[u8]) -> Option<(ClaimKind, Ipv4Addr, Mac, Ipv4Addr)> {
    let message = ArpPacketSlice::from_slice(body).ok()?;
    if (message.hw_addr_type(), message.proto_addr_type()) != (ArpHardwareId::ETHERNET, EtherType::IPV4) {
        return None;
    }
    let kind = match message.operation() {
        ArpOperation::REQUEST => ClaimKind::ArpRequest,
        ArpOperation::REPLY => ClaimKind::ArpReply,
        _ => return None,
    };
    let mac = Mac(message.sender_hw_addr().try_into().ok()?);
    let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
    let (ip, target) = (address(message.sender_protocol_addr())?, address(message.target_protocol_addr())?);
    (!ip.is_unspecified()).then_some((kind, ip, mac, target))
}

const SOLICITATION: u16 = 135;
const ADVERTISEMENT: u16 = 136;

/// What a neighbour solicitation or advertisement claims; `headers` are those of the frame.
pub fn neighbour_claim(headers: &Headers, data: &[u8]) -> Option<Claim> {
    const SOURCE: u8 = 1;
    const TARGET: u8 = 2;
    if headers.protocol != Protocol::ICMPV6 || headers.fragment.is_some() || !is_from_the_link(headers, data) {
        return None;
    }
    let (body, is_whole) = body(headers, data)?;
    let target = Ipv6Addr::from(array::<16>(body, 0)?);
    let options = body.get(16..)?;
    let (kind, ip, mac) = match headers.src_port {
        SOLICITATION => (ClaimKind::NeighbourSolicitation, headers.src, option(options, SOURCE, is_whole)?),
        ADVERTISEMENT => (ClaimKind::NeighbourAdvertisement, IpAddr::V6(target), option(options, TARGET, is_whole)?),
        _ => return None,
    };
    let makes_sense = ip.is_ipv6() && !ip.is_unspecified() && !ip.is_multicast() && !target.is_multicast();
    let asks = (kind == ClaimKind::NeighbourSolicitation && target != ip).then_some(IpAddr::V6(target));
    makes_sense.then_some(Claim { kind, ip, mac, asks, src_mac: headers.src_mac, dst_mac: headers.dst_mac })
}

/// Hop limit 255 and code 0.
fn is_from_the_link(headers: &Headers, data: &[u8]) -> bool {
    let payload = headers.payload_at as usize;
    let behind = headers.ip_bytes.saturating_sub(headers.payload_bytes) as usize;
    // Up to the payload: the IPv6 header, its extensions, and the eight bytes of ICMPv6.
    let start = payload.checked_sub(behind).filter(|_| behind >= 48);
    let byte = |at: usize| data.get(at).copied();
    start.is_some_and(|start| {
        byte(start).is_some_and(|first| first >> 4 == 6) && byte(start + 7) == Some(255) && byte(payload - 7) == Some(0)
    })
}

/// The target and the options as far as they were captured, and whether that is all of them.
fn body<'a>(headers: &Headers, data: &'a [u8]) -> Option<(&'a [u8], bool)> {
    let body = headers.payload(data);
    (headers.payload_bytes >= 16).then_some((body, body.len() == headers.payload_bytes as usize))
}

/// The address in the first option of a kind; `None` where any option is malformed.
fn option(mut options: &[u8], wanted: u8, is_whole: bool) -> Option<Mac> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let size = 8 * usize::from(units);
        match options.get(..size) {
            Some([]) => return None,
            None if is_whole => return None,
            None => break,
            // One unit: an Ethernet address; other links have longer ones.
            Some(value) if kind == wanted && found.is_none() => found = Some(array(value, 2).filter(|_| units == 1)),
            Some(_) => {}
        }
        options = options.get(size..)?;
    }
    (options.is_empty() || !is_whole).then_some(found.flatten()?).map(Mac)
}

#[cfg(test)]
mod tests;
