//! Transport headers: ports, flags, and how much is above them.
//!
//! Contract: ports need four captured bytes (SCTP: its twelve) and ICMP needs two, else they stay 0; the rest of a header may
//! be cut off. Header lengths that cannot be true (a TCP data offset below 20, a UDP length beyond the packet) are replaced
//! by the least that can.

use super::segment::Segment;
use super::{Fragment, Headers, TcpHeader, array, be16, icmp_ports, length};
use crate::input::Protocol;

/// Fills in what the transport header says.
#[inline]
pub(super) fn fill(headers: &mut Headers, data: &[u8], segment: Segment) {
    let (header_len, payload_len) = if headers.fragment.is_some_and(|piece: Fragment| !piece.is_first()) {
        (0, segment.len)
    } else {
        match headers.protocol {
            Protocol::TCP => tcp(headers, data, segment),
            Protocol::UDP => udp(headers, data, segment),
            Protocol::SCTP => with_ports(headers, data, segment, 12, 12),
            Protocol::ICMP | Protocol::ICMPV6 => icmp(headers, data, segment),
            _ => (0, segment.len),
        }
    };
    headers.payload_bytes = length(payload_len);
    headers.payload_at = length(segment.at + header_len);
}

/// Header and payload length, once `needed` bytes with ports were seen.
#[inline]
fn with_ports(
    headers: &mut Headers,
    data: &[u8],
    segment: Segment,
    needed: usize,
    header_len: usize,
) -> (usize, usize) {
    if segment.len >= needed && data.len() >= segment.at + needed {
        headers.src_port = be16(data, segment.at).unwrap_or(0);
        headers.dst_port = be16(data, segment.at + 2).unwrap_or(0);
    }
    (header_len, segment.len.saturating_sub(header_len))
}

#[inline]
fn tcp(headers: &mut Headers, data: &[u8], segment: Segment) -> (usize, usize) {
    // Up to the window: 16 bytes.
    let head: Option<[u8; 16]> = array(data, segment.at).filter(|_| segment.len >= 16);
    let Some(head) = head else {
        let offset = (segment.len > 12).then(|| data.get(segment.at + 12)).flatten();
        let header_len = offset.map_or(20, |offset| usize::from(offset >> 4) * 4).max(20);
        return with_ports(headers, data, segment, 4, header_len);
    };
    headers.src_port = u16::from_be_bytes([head[0], head[1]]);
    headers.dst_port = u16::from_be_bytes([head[2], head[3]]);
    headers.tcp = Some(TcpHeader {
        flags: head[13],
        seq: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        ack: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        window: u16::from_be_bytes([head[14], head[15]]),
    });
    let header_len = (usize::from(head[12] >> 4) * 4).max(20);
    (header_len, segment.len.saturating_sub(header_len))
}

#[inline]
fn udp(headers: &mut Headers, data: &[u8], segment: Segment) -> (usize, usize) {
    let (header_len, _) = with_ports(headers, data, segment, 4, 8);
    let stated = be16(data, segment.at + 4).map_or(segment.len, usize::from);
    // A first fragment holds less than the length says, and a length of 0 is a jumbogram's.
    let len = if (8..=segment.len).contains(&stated) { stated } else { segment.len };
    (header_len, len.saturating_sub(8))
}

fn icmp(headers: &mut Headers, data: &[u8], segment: Segment) -> (usize, usize) {
    match be16(data, segment.at).filter(|_| segment.len >= 2) {
        Some(head) => {
            let [kind, code] = head.to_be_bytes();
            (headers.src_port, headers.dst_port, headers.one_way) = icmp_ports(headers.protocol, kind, code);
        }
        // A message whose type is not known has no known answer.
        None => headers.one_way = true,
    }
    (8, segment.len.saturating_sub(8))
}
