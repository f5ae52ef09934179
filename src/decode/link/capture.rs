//! Headers that capturing systems put before packets: logs of packet filters, and headers that name the link type behind them.
//!
//! Contract: lengths in these headers are checked and only move forward. Sources: the `LINKTYPE_` descriptions of tcpdump.org.
//! Limits: at most one such header before another link type.

use super::{Link, LinkType, Network, Next, array, byte, family_of, ppp, wireless, word};
use crate::decode::DecodeReason;

/// The first header of these link types.
pub(super) fn first(kind: LinkType, data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    match kind {
        LinkType::NFLOG => nflog(data, link),
        LinkType::PFLOG => pflog(data, link),
        LinkType::ENC => enc(data, link),
        LinkType::IPNET => ipnet(data, link),
        LinkType::NETANALYZER => {
            link.offset = 4;
            Ok(Next::Ethernet)
        }
        LinkType::PPI => ppi(data, link),
        LinkType::PKTAP | LinkType::USER2 => pktap(data, link),
        LinkType::JUNIPER_ETHER => juniper(data, Next::Ethernet, link),
        LinkType::JUNIPER_PPP => juniper(data, Next::Ppp, link),
        LinkType::JUNIPER_FRELAY => juniper(data, Next::FrameRelay, link),
        LinkType::JUNIPER_CHDLC => match juniper(data, Next::Llc, link)? {
            Next::Llc => ppp::cisco_hdlc(data, link),
            network => Ok(network),
        },
        _ => Err(DecodeReason::UnknownLinkType),
    }
}

/// Family 1, version 1, resource 2, then fields of length 2, kind 2 and value in the host's byte order; 9 is the packet.
fn nflog(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    const PAYLOAD: u16 = 9;
    let network = family_of(u32::from(byte(data, 0)?));
    let mut at = 4;
    while at < data.len() {
        let head: [u8; 4] = array(data, at).ok_or(DecodeReason::TruncatedLink)?;
        let little = [u16::from_le_bytes([head[0], head[1]]), u16::from_le_bytes([head[2], head[3]])];
        let big = [u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]])];
        // Kinds are small numbers: the smaller reading is the right one.
        let [length, kind] = if little[1] & 0x7fff <= big[1] & 0x7fff { little } else { big };
        if kind & 0x7fff == PAYLOAD {
            link.offset = at + 4;
            link.limit = at + usize::from(length).max(4);
            return Ok(Next::Network(network));
        }
        at += usize::from(length).max(4).next_multiple_of(4);
    }
    Err(DecodeReason::TruncatedLink)
}

/// Length 1 (without its padding to 4), family 1, and what the filter decided.
fn pflog(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let (length, family) = (byte(data, 0)?, byte(data, 1)?);
    link.offset = usize::from(length).max(4).next_multiple_of(4);
    Ok(Next::Network(family_of(u32::from(family))))
}

/// Family 4 in the host's byte order, index 4, flags 4.
fn enc(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let family = u32::from_be_bytes(array(data, 0).ok_or(DecodeReason::TruncatedLink)?);
    link.offset = 12;
    Ok(Next::Network(family_of(family.min(family.swap_bytes()))))
}

/// Version 1, family 1, hook 2, length 4, interfaces 8, zones 8.
fn ipnet(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let family = byte(data, 1)?;
    link.offset = 24;
    Ok(Next::Network(family_of(u32::from(family))))
}

/// Version 1, flags 1, length 2, link type 4, in little-endian order.
fn ppi(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 8] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    link.offset = usize::from(u16::from_le_bytes([header[2], header[3]])).max(8);
    behind(u32::from_le_bytes([header[4], header[5], header[6], header[7]]), data, link)
}

/// Length 4, record kind 4, link type 4, in little-endian order, and more.
fn pktap(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 12] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let kind = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    link.offset = usize::try_from(length).unwrap_or(usize::MAX).clamp(12, data.len().max(12));
    behind(kind, data, link)
}

/// The first header of a link type that starts at `link.offset`.
fn behind(kind: u32, data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    match u16::try_from(kind).map(LinkType) {
        Ok(LinkType::ETHERNET) => Ok(Next::Ethernet),
        Ok(LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD) => Ok(Next::Network(Network::Ip)),
        Ok(LinkType::PPP | LinkType::PPP_HDLC) => ppp::serial(data, link),
        Ok(LinkType::IEEE802_11) => Ok(Next::Wireless),
        Ok(LinkType::IEEE802_11_RADIOTAP) => wireless::radiotap(data, link),
        Ok(LinkType::NULL | LinkType::LOOP) => {
            let family = u32::from_be_bytes(array(data, link.offset).ok_or(DecodeReason::TruncatedLink)?);
            link.offset += 4;
            Ok(Next::Network(family_of(family.min(family.swap_bytes()))))
        }
        _ => Ok(Next::Network(Network::Other)),
    }
}

/// Magic 3, flags 1; with bit 7 an extension with its length 2; with bit 1 no link header but a network protocol 4.
fn juniper(data: &[u8], link_header: Next, link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 4] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    if header[..3] != *b"MGC" {
        return Ok(Next::Network(Network::Other));
    }
    link.offset = 4;
    if header[3] & 0x80 != 0 {
        link.offset += 2 + usize::from(word(data, 4)?);
    }
    if header[3] & 0x02 == 0 {
        return Ok(link_header);
    }
    let protocol = byte(data, link.offset)?;
    link.offset += 4;
    Ok(Next::Network(match protocol {
        2 => Network::Ip,
        6 => Network::Ipv6,
        _ => Network::Other,
    }))
}
