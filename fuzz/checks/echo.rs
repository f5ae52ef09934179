//! Echo packets of one client and one server, through the meter. Each: a byte of kind, number and length, then the payload.

use std::time::Duration;

use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{Fact, FlowEventKind, Input, ObservationPoint};
use hopwatch::time::Timestamp;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 1000,
    idle_timeout: Duration::ZERO,
    active_timeout: Duration::ZERO,
    update_interval: Duration::ZERO,
};

pub fn check(input: &[u8]) {
    let mut meter = Meter::new(ObservationPoint::new("fuzz"), LinkType(101), LIMITS);
    let (mut out, mut replies) = (Vec::new(), 0);
    let mut rest = input;
    while let [kind, number, len, after @ ..] = rest {
        let (payload, after) = after.split_at(usize::from(*len).min(after.len()));
        let packet = packet(*kind, *number, payload);
        replies += u64::from(kind & 1);
        // Bit 2: half of it was captured.
        let captured = if kind & 4 == 0 { &packet[..] } else { &packet[..packet.len() / 2] };
        meter.packet(Timestamp::from_secs(1), u32::try_from(packet.len()).unwrap_or(u32::MAX), captured, &mut out);
        rest = after;
    }
    meter.drain(&mut out);
    let told = out.iter().filter(|input| kind(input) == Some(FlowEventKind::Payload)).count();
    // Two protocols, two kinds of news each.
    assert!(told <= 4);
    let echoes = out.iter().filter(|input| matches!(kind(input), Some(FlowEventKind::Ended(_)))).filter_map(|input| {
        let Fact::Flow(event) = &input.fact else { return None };
        event.record.app.as_ref()?.echo
    });
    assert!(echoes.map(|echo| u64::from(echo.odd_replies) + u64::from(echo.unasked_replies)).sum::<u64>() <= replies);
}

fn kind(input: &Input) -> Option<FlowEventKind> {
    match &input.fact {
        Fact::Flow(event) => Some(event.kind),
        _ => None,
    }
}

/// Bits of `kind`: 0 a reply, 1 `ICMPv6`, 3 a first piece, 4 a later one (IPv4).
fn packet(kind: u8, number: u8, payload: &[u8]) -> Vec<u8> {
    let bit = |place: u8| kind >> place & 1 == 1;
    let kinds = if bit(1) { [128, 129] } else { [8, 0] };
    let message = [&[kinds[usize::from(bit(0))], 0, 0, 0, 0, 7, 0, number][..], payload].concat();
    let ends: [u8; 2] = if bit(0) { [2, 1] } else { [1, 2] };
    let mut packet = if bit(1) {
        let [high, low] = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut header = vec![0x60, 0, 0, 0, high, low, 58, 64];
        header.extend(ends.map(|end| [end; 16]).concat());
        header
    } else {
        let [high, low] = u16::try_from(message.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
        let mut header = vec![0x45, 0, high, low, 0, 9, u8::from(bit(3)) << 5, u8::from(bit(4)), 64, 1, 0, 0];
        header.extend(ends.map(|end| [192, 0, 2, end]).concat());
        header
    };
    packet.extend(message);
    packet
}
