//! Packets of few flows, through the meter. Each: a byte of kinds, two of sequence number, one of length, the payload.

use std::time::Duration;

use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::ObservationPoint;
use hopwatch::time::Timestamp;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 4,
    idle_timeout: Duration::ZERO,
    active_timeout: Duration::ZERO,
    update_interval: Duration::ZERO,
};

pub fn check(input: &[u8]) {
    let mut meter = Meter::new(ObservationPoint::new("fuzz"), LinkType(101), LIMITS);
    let mut out = Vec::new();
    let mut rest = input;
    while let [kind, high, low, len, after @ ..] = rest {
        let len = usize::from(*len) * if kind & 0x80 == 0 { 1 } else { 8 };
        let (payload, after) = after.split_at(len.min(after.len()));
        let packet = ip_packet(*kind, u16::from_be_bytes([*high, *low]), payload);
        meter.packet(Timestamp::from_secs(1), u32::try_from(packet.len()).unwrap_or(u32::MAX), &packet, &mut out);
        rest = after;
    }
    meter.drain(&mut out);
    let stats = meter.stats();
    assert_eq!(stats.packets, stats.flow_packets);
}

/// Bits of `kind`: 0 UDP, 1 the other direction, 2 a SYN, 3 and 4 the port, 5 a first fragment, 6 a later one.
fn ip_packet(kind: u8, seq: u16, payload: &[u8]) -> Vec<u8> {
    let bit = |place: u8| kind >> place & 1 == 1;
    let port = [443_u16, 53, 1080, 25][usize::from(kind >> 3 & 3)];
    let mut ends = [([192, 0, 2, 1], 40_000), ([192, 0, 2, 2], port)];
    if bit(1) {
        ends.reverse();
    }
    let ports = ends.iter().flat_map(|(_, port)| port.to_be_bytes());
    let mut segment: Vec<u8> = if bit(6) { Vec::new() } else { ports.collect() };
    if bit(6) {
    } else if bit(0) {
        segment.extend([0; 4]);
    } else {
        segment.extend(u32::from(seq).to_be_bytes());
        segment.extend([0, 0, 0, 0, 0x50, if bit(2) { 2 } else { 16 }, 1, 0, 0, 0, 0, 0]);
    }
    segment.extend_from_slice(payload);
    let total = u16::try_from(segment.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
    let fragment = match (bit(5), bit(6)) {
        (_, true) => u16::from(bit(5)) << 13 | (seq & 0x1fff).max(1),
        (true, false) => 0x2000,
        _ => 0,
    };
    let [high, low] = fragment.to_be_bytes();
    let mut packet = vec![0x45, 0, total[0], total[1], 0, 7, high, low, 64, if bit(0) { 17 } else { 6 }, 0, 0];
    for (ip, _) in ends {
        packet.extend(ip);
    }
    packet.extend(segment);
    packet
}
