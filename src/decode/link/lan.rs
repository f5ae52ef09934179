//! Local networks beside Ethernet: Token Ring, FDDI, `ARCnet`, Fibre Channel, ATM, `InfiniBand`.
//!
//! Contract: each header is taken as its standard lays it out: IEEE 802.5, ISO 9314, RFC 1201 and RFC 1051, RFC 2625, RFC 2684, RFC 4391.
//! Limits: `ARCnet` packets that the link itself splits are non-IP from their second part on.

use super::{Link, Network, Next, array, byte, word};
use crate::decode::DecodeReason;
use crate::input::Mac;

/// Access control 1, frame control 1, addresses; a source with its group bit set is followed by routing information.
pub(super) fn token_ring(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 14] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    link.offset = 14;
    link.dst_mac = array(&header, 2).map(Mac);
    let mut src: [u8; 6] = array(&header, 8).unwrap_or_default();
    if src[0] & 0x80 != 0 {
        link.offset += usize::from(byte(data, 14)? & 0x1f);
        src[0] &= 0x7f;
    }
    link.src_mac = Some(Mac(src));
    // Frame control 01xxxxxx: LLC.
    Ok(if header[1] & 0xc0 == 0x40 { Next::Llc } else { Next::Network(Network::Other) })
}

/// Frame control 1, addresses.
pub(super) fn fddi(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 13] = array(data, 0).ok_or(DecodeReason::TruncatedLink)?;
    link.offset = 13;
    link.dst_mac = array(&header, 1).map(Mac);
    link.src_mac = array(&header, 7).map(Mac);
    // Frame control xx01xxxx: LLC.
    Ok(if header[0] & 0x30 == 0x10 { Next::Llc } else { Next::Network(Network::Other) })
}

/// Source 1, destination 1, on Linux an offset 2; then the protocol, and for most protocols flag 1 and sequence 2, which
/// are repeated behind a flag of 0xff.
pub(super) fn arcnet(data: &[u8], start: usize, link: &mut Link) -> Result<Next, DecodeReason> {
    const SIMPLE_IP: u8 = 240;
    let protocol = byte(data, start)?;
    let network = match protocol {
        SIMPLE_IP | 212 => Network::Ip,
        196 => Network::Ipv6,
        _ => Network::Other,
    };
    link.offset = start + 1;
    if protocol != SIMPLE_IP && network != Network::Other {
        let mut flag = byte(data, start + 1)?;
        if flag == 0xff {
            link.offset += 3;
            flag = byte(data, link.offset)?;
        }
        link.offset += 3;
        // Later parts of a packet have even flags; a first part is odd, and 0 is a packet of one part.
        if flag != 0 && flag & 1 == 0 {
            return Ok(Next::Network(Network::Other));
        }
    }
    Ok(Next::Network(network))
}

/// Two network addresses of 8.
#[expect(clippy::unnecessary_wraps, reason = "an arm among others that may fail")]
pub(super) fn fibre_channel(link: &mut Link) -> Result<Next, DecodeReason> {
    link.offset = 16;
    Ok(Next::Llc)
}

/// Direction and kind 1, path 1, channel 2.
pub(super) fn sunatm(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    link.offset = 4;
    Ok(if byte(data, 0)? & 0x0f == 2 { Next::Llc } else { Next::Network(Network::Other) })
}

/// A pseudo header with the destination 40 (global routing header's form), type 2, reserved 2.
pub(super) fn infiniband(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let kind = word(data, 40)?;
    link.offset = 44;
    Ok(Next::Type(kind))
}
