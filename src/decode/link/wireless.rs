//! IEEE 802.11, and the headers that monitor mode puts before it.
//!
//! Contract: data frames that are not encrypted lead to LLC; everything else is non-IP. Sources: IEEE 802.11 clause 9, the
//! radiotap, Prism and AVS header descriptions.
//! Limits: of an aggregate (A-MSDU) the first part is read, because a packet is counted once.

use super::{Link, Network, Next, array, byte, word};
use crate::decode::DecodeReason;
use crate::input::Mac;

/// The radiotap field `flags`, whose bit 5 says that the MAC header is padded to four bytes.
const PADDED: u8 = 0x20;
const PRISM_LEN: usize = 144;
/// Magic numbers that say the `Prism` link type carries an AVS header.
const AVS_MAGIC: [[u8; 4]; 2] = [[0x80, 0x21, 0x10, 0x01], [0x80, 0x21, 0x10, 0x02]];

/// Version 1, padding 1, length 2 and bit maps in little-endian order, then fields.
pub(super) fn radiotap(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let header: [u8; 8] = array(data, link.offset).ok_or(DecodeReason::TruncatedLink)?;
    let start = link.offset;
    let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
    let present = header[4];
    let mut fields = start + 8;
    let mut map = header[7];
    while map & 0x80 != 0 {
        map = byte(data, fields + 3)?;
        fields += 4;
    }
    // The time stamp (bit 0) is 8 bytes and aligned; the flags (bit 1) follow it.
    if present & 1 != 0 {
        fields = start + (fields - start).next_multiple_of(8) + 8;
    }
    let is_padded = present & 2 != 0 && byte(data, fields)? & PADDED != 0;
    link.offset = start + length.max(8);
    mac_header(data, control(data, link)?, is_padded, link)
}

/// A fixed header, or an AVS header where the magic number says so.
pub(super) fn prism(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    if array::<4>(data, 0).is_some_and(|magic| AVS_MAGIC.contains(&magic)) {
        return avs(data, link);
    }
    link.offset = PRISM_LEN;
    Ok(Next::Wireless)
}

/// Version 4, length 4, then fields.
pub(super) fn avs(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let length = usize::from(word(data, 6)?);
    link.offset += length.max(8);
    Ok(Next::Wireless)
}

/// The MAC header.
pub(super) fn mac(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    mac_header(data, control(data, link)?, false, link)
}

/// The MAC header, its first two bytes swapped.
pub(super) fn swapped_mac(data: &[u8], link: &mut Link) -> Result<Next, DecodeReason> {
    let [flags, first] = control(data, link)?;
    mac_header(data, [first, flags], false, link)
}

/// Version, type and subtype; flags.
fn control(data: &[u8], link: &Link) -> Result<[u8; 2], DecodeReason> {
    array(data, link.offset).ok_or(DecodeReason::TruncatedLink)
}

/// Control 2, duration 2, three or four addresses with sequence 2 before the fourth, `QoS` 2, HT control 4.
fn mac_header(data: &[u8], [control, flags]: [u8; 2], is_padded: bool, link: &mut Link) -> Result<Next, DecodeReason> {
    let at = link.offset;
    let (is_data, is_empty, has_qos) = (control & 0x0f == 0x08, control & 0x40 != 0, control & 0x80 != 0);
    let is_protected = flags & 0x40 != 0;
    if !is_data || is_empty || is_protected {
        return Ok(Next::Network(Network::Other));
    }
    let (to_ds, from_ds) = (flags & 1 != 0, flags & 2 != 0);
    let mut length = if to_ds && from_ds { 30 } else { 24 };
    addresses(data, at, to_ds, from_ds, link);
    let mut is_aggregate = false;
    if has_qos {
        let qos = byte(data, at + length)?;
        is_aggregate = qos & 0x80 != 0;
        length += 2;
        if flags & 0x80 != 0 {
            length += 4;
        }
    }
    if is_padded {
        length = length.next_multiple_of(4);
    }
    link.offset = at + length;
    if is_aggregate {
        // Destination 6, source 6, length 2.
        let part = usize::from(word(data, link.offset + 12)?);
        link.offset += 14;
        link.limit = link.limit.min(link.offset + part);
    }
    Ok(Next::Llc)
}

/// Destination and source by the direction bits.
fn addresses(data: &[u8], at: usize, to_ds: bool, from_ds: bool, link: &mut Link) {
    let (dst, src) = match (to_ds, from_ds) {
        (false, false) => (4, 10),
        (false, true) => (4, 16),
        (true, false) => (16, 10),
        (true, true) => (16, 24),
    };
    link.dst_mac = array(data, at + dst).map(Mac);
    link.src_mac = array(data, at + src).map(Mac);
}
