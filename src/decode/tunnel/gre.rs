//! GRE: what its protocol types carry.
//!
//! Contract: optional fields are taken by the flags (RFC 2784, RFC 2890, RFC 2637 for version 1). Protocol types that are Ethernet
//! types lead to what that type says. Sources also: ERSPAN (draft-foschiano-erspan), WCCP (draft-mclaggan-wccp),
//! `MikroTik`'s `EoIP` and Aruba's wireless mirroring by observation.
//! Limits: source routes in GRE (RFC 1701) are stepped over; their addresses are not read.

use super::Carried;
use crate::decode::link::{Network, Next};
use crate::decode::{be16, be32};
use crate::input::TunnelKind;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
const WCCP: u16 = 0x883e;
const PPP: u16 = 0x880b;
const EOIP: u16 = 0x6400;
/// Aruba: 802.11 frames of a mirrored radio.
const ARUBA: std::ops::RangeInclusive<u16> = 0x8200..=0x82ff;

pub(super) fn decode(data: &[u8], at: usize) -> Option<Carried> {
    let (flags, kind) = (be16(data, at)?, be16(data, at + 2)?);
    match flags & VERSION {
        // The key is a length, and the identifier in little-endian order.
        0 | 1 if kind == EOIP && flags & KEY != 0 => {
            let id = u32::from(be16(data, at + 6)?.swap_bytes());
            Some(Carried::new(TunnelKind::Eoip, Some(id), Next::Ethernet, at + 8))
        }
        0 => version_0(data, at, flags, kind),
        1 if kind == PPP => pptp(data, at, flags),
        _ => None,
    }
}

fn version_0(data: &[u8], at: usize, flags: u16, kind: u16) -> Option<Carried> {
    let mut behind = at + 4;
    if flags & (CHECKSUM | ROUTING) != 0 {
        behind += 4;
    }
    let mut key = None;
    if flags & KEY != 0 {
        key = Some(be32(data, behind)?);
        behind += 4;
    }
    if flags & SEQUENCE != 0 {
        behind += 4;
    }
    if flags & ROUTING != 0 {
        behind = behind_routes(data, behind)?;
    }
    let gre = |next, at| Carried::new(TunnelKind::Gre, key, next, at);
    Some(match kind {
        ERSPAN if flags & SEQUENCE == 0 => Carried::new(TunnelKind::Erspan, None, Next::Ethernet, behind),
        ERSPAN => erspan_2(data, behind)?,
        ERSPAN_III => erspan_3(data, behind)?,
        // A redirect header of 4, which older versions leave out.
        WCCP if data.get(behind)? >> 4 == 4 => gre(Next::Network(Network::Ip), behind),
        WCCP => gre(Next::Network(Network::Ip), behind + 4),
        kind if ARUBA.contains(&kind) => gre(Next::Wireless, behind),
        0..0x0600 => Carried::closed(TunnelKind::Gre, key),
        kind => gre(Next::Type(kind), behind),
    })
}

/// Source routes (RFC 1701): family 2, offset 1, length 1 and so many bytes, up to one without family and length.
fn behind_routes(data: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let (family, length) = (be16(data, at)?, usize::from(*data.get(at + 3)?));
        at += 4 + length;
        if family == 0 && length == 0 {
            return Some(at);
        }
    }
}

/// Version 1: the key is a payload length and a call; data packets have a sequence number.
fn pptp(data: &[u8], at: usize, flags: u16) -> Option<Carried> {
    let call = u32::from(be16(data, at + 6)?);
    if flags & SEQUENCE == 0 {
        return Some(Carried::closed(TunnelKind::Gre, Some(call)));
    }
    let behind = at + if flags & ACKNOWLEDGEMENT != 0 { 16 } else { 12 };
    Some(Carried::new(TunnelKind::Gre, Some(call), Next::Ppp, behind))
}

/// Type II: version and VLAN 2, session in the low 10 bits of 2, index 4.
fn erspan_2(data: &[u8], at: usize) -> Option<Carried> {
    let session = u32::from(be16(data, at + 2)? & 0x03ff);
    Some(Carried::new(TunnelKind::Erspan, Some(session), Next::Ethernet, at + 8))
}

/// Type III: as II, with a time stamp, a frame type, and a platform header of 8 where the last bit says so.
fn erspan_3(data: &[u8], at: usize) -> Option<Carried> {
    let session = u32::from(be16(data, at + 2)? & 0x03ff);
    let tail = be16(data, at + 10)?;
    let behind = at + if tail & 1 != 0 { 20 } else { 12 };
    let next = match (tail >> 10) & 0x1f {
        0 => Next::Ethernet,
        2 => Next::Network(Network::Ip),
        _ => return Some(Carried::closed(TunnelKind::Erspan, Some(session))),
    };
    Some(Carried::new(TunnelKind::Erspan, Some(session), next, behind))
}
