//! PPP and its kin on serial lines: HDLC-like framing, `PPPoE`, Cisco HDLC, Frame Relay.
//!
//! Contract: address, control and protocol fields may be there, left out or compressed, as peers may agree (RFC 1661, RFC 1662).
//! Sources: RFC 2516 (`PPPoE`), RFC 2427 (Frame Relay), RFC 2684. Limits: multilink, compression and encryption are non-IP.

use super::ethertype::snap;
use super::{Link, Network, Next, byte, word};
use crate::decode::DecodeReason;

/// PPP on a serial line, or Cisco HDLC, whose address byte tells it apart.
pub(super) fn serial(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    match byte(data, link.offset)? {
        0x0f | 0x8f => cisco_hdlc(data, link),
        _ => Ok(Next::Ppp),
    }
}

/// The protocol field, behind address and control if they are there.
pub(super) fn protocol(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    if byte(data, link.offset)? == 0xff && byte(data, link.offset + 1)? == 0x03 {
        link.offset += 2;
    }
    let first = byte(data, link.offset)?;
    // The first byte of a whole field is even.
    let protocol = if first & 1 == 1 {
        link.offset += 1;
        u16::from(first)
    } else {
        let protocol = word(data, link.offset)?;
        link.offset += 2;
        protocol
    };
    Ok(match protocol {
        0x0021 => Next::Network(Network::Ip),
        0x0057 => Next::Network(Network::Ipv6),
        0x0281 | 0x0283 => Next::Mpls,
        _ => Next::Network(Network::Other),
    })
}

/// `PPPoE`: version and type 1, code 1, session 2, length 2.
pub(super) fn over_ethernet(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let length = usize::from(word(data, link.offset + 4)?);
    link.offset += 6;
    link.limit = link.limit.min(link.offset + length);
    Ok(Next::Ppp)
}

/// Address 1, control 1, and an Ethernet type.
pub(super) fn cisco_hdlc(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let kind = word(data, link.offset + 2)?;
    link.offset += 4;
    Ok(match kind {
        // Not a length here.
        0..0x0600 => Next::Network(Network::Other),
        kind => Next::Type(kind),
    })
}

/// An address that ends with a byte whose lowest bit is set; then control 3 and an identifier (RFC 2427), or Cisco's type.
pub(super) fn frame_relay(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let length = (1..=4).find(|place| data.get(link.offset + place - 1).is_some_and(|byte| byte & 1 == 1));
    let Some(length) = length else { return Ok(Next::Network(Network::Other)) };
    let at = link.offset + length;
    if byte(data, at)? == 0x03 {
        return network_identifier(data, at + 1, link);
    }
    link.offset = at;
    let kind = word(data, at)?;
    link.offset += 2;
    Ok(if kind < 0x0600 { Next::Network(Network::Other) } else { Next::Type(kind) })
}

/// A network layer protocol identifier (ISO/IEC TR 9577), perhaps behind a byte of padding.
pub(super) fn network_identifier(data: &[u8], mut at: usize, link: &mut Link) -> Result<Next, DecodeReason> {
    if byte(data, at)? == 0 {
        at += 1;
    }
    link.offset = at + 1;
    match byte(data, at)? {
        0xcc => Ok(Next::Network(Network::Ip)),
        0x8e => Ok(Next::Network(Network::Ipv6)),
        0x80 => snap(data, link),
        _ => Ok(Next::Network(Network::Other)),
    }
}
