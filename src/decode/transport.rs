//! Transport headers: ports, flags, and how much is above them.
//!
//! Contract: ports need four captured bytes and ICMP needs two; the rest of a header may be cut off. Header lengths that
//! cannot be true (a TCP data offset below 20, a UDP length beyond the packet) are replaced by the least that can.

use super::{DecodeReason, Fragment, TcpHeader, array, be16, icmp_ports};
use crate::input::Protocol;

/// The bytes above the IP header, as the IP header states them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Where they start in the frame.
    pub(super) at: usize,
    /// How many there are on the wire.
    pub(super) len: usize,
    /// Of which fragment.
    pub(super) fragment: Option<Fragment>,
}

/// What a transport header said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Transport {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) one_way: bool,
    pub(super) tcp: Option<TcpHeader>,
    pub(super) header_len: usize,
    pub(super) payload_len: usize,
}

pub(super) fn decode(data: &[u8], protocol: Protocol, segment: &Segment) -> Result<Transport, DecodeReason> {
    if segment.fragment.is_some_and(|piece| !piece.is_first()) {
        return Ok(Transport { payload_len: segment.len, ..Transport::default() });
    }
    match protocol {
        Protocol::TCP => tcp(data, segment),
        Protocol::UDP => udp(data, segment),
        Protocol::SCTP => with_ports(data, segment, 12),
        Protocol::ICMP | Protocol::ICMPV6 => icmp(data, protocol, segment),
        _ => Ok(Transport { payload_len: segment.len, ..Transport::default() }),
    }
}

fn with_ports(data: &[u8], segment: &Segment, header_len: usize) -> Result<Transport, DecodeReason> {
    if segment.len < 4 {
        return Err(DecodeReason::TruncatedTransport);
    }
    Ok(Transport {
        src_port: be16(data, segment.at).ok_or(DecodeReason::TruncatedTransport)?,
        dst_port: be16(data, segment.at + 2).ok_or(DecodeReason::TruncatedTransport)?,
        header_len,
        payload_len: segment.len.saturating_sub(header_len),
        ..Transport::default()
    })
}

fn tcp(data: &[u8], segment: &Segment) -> Result<Transport, DecodeReason> {
    // Up to the window: 16 bytes.
    let head: Option<[u8; 16]> = array(data, segment.at).filter(|_| segment.len >= 16);
    let offset = (segment.len > 12).then(|| data.get(segment.at + 12)).flatten();
    let header_len = offset.map_or(20, |offset| usize::from(offset >> 4) * 4).max(20);
    let ports = with_ports(data, segment, header_len)?;
    let tcp = head.map(|head| TcpHeader {
        flags: head[13],
        seq: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        ack: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        window: u16::from_be_bytes([head[14], head[15]]),
    });
    Ok(Transport { tcp, ..ports })
}

fn udp(data: &[u8], segment: &Segment) -> Result<Transport, DecodeReason> {
    let ports = with_ports(data, segment, 8)?;
    let stated = be16(data, segment.at + 4).map_or(segment.len, usize::from);
    // A first fragment holds less than the length says, and a length of 0 is a jumbogram's.
    let len = if (8..=segment.len).contains(&stated) { stated } else { segment.len };
    Ok(Transport { payload_len: len.saturating_sub(8), ..ports })
}

fn icmp(data: &[u8], protocol: Protocol, segment: &Segment) -> Result<Transport, DecodeReason> {
    let head = be16(data, segment.at).filter(|_| segment.len >= 2).ok_or(DecodeReason::TruncatedTransport)?;
    let [kind, code] = head.to_be_bytes();
    let (src_port, dst_port, one_way) = icmp_ports(protocol, kind, code);
    let payload_len = segment.len.saturating_sub(8);
    Ok(Transport { src_port, dst_port, one_way, tcp: None, header_len: 8, payload_len })
}
