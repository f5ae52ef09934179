//! What the fuzz targets of first-payload facts do with their input; `tests/fuzz_regression.rs` replays crashes through the same.
#![allow(dead_code, missing_docs, reason = "each target uses one of them")]

use std::time::Duration;

use hopwatch::decode::LinkType;
use hopwatch::decode::app::quic::{Initials, Keys, crypto_frames};
use hopwatch::decode::app::{Parsed, dns, http, proxy, socks, ssh, tls};
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::ObservationPoint;
use hopwatch::time::Timestamp;

pub type Target = fn(&[u8]);

/// All of them, by the name of their target.
pub const ALL: [(&str, Target); 5] =
    [("client_hello", client_hello), ("dns", dns), ("http", http), ("quic", quic), ("probe", probe)];

/// A stream, a message, a datagram. What is found whole in a part must be found in all of it.
pub fn client_hello(input: &[u8]) {
    let whole = tls::stream(input, true);
    for len in [5, 9, 43, input.len() / 2] {
        if let (Some(part), Parsed::Whole(hello)) =
            (input.get(..len), tls::stream(input.get(..len).unwrap_or(input), false))
        {
            assert!(part.len() < input.len());
            assert_eq!(whole, Parsed::Whole(hello));
        }
    }
    if let Parsed::Whole(hello) = tls::client_hello(input, true) {
        let facts = hello.facts(tls::Transport::Quic);
        assert!(facts.ja4.is_none_or(|ja4| ja4.chars().count() == 36));
        assert!(facts.alpn.len() <= tls::MAX_ALPN);
        assert!(facts.sni.is_none_or(|name| name.len() <= 3 * tls::MAX_NAME));
    }
    tls::datagram(input);
}

/// A message and a stream. Names are bounded, printable, and nothing is allocated but them.
pub fn dns(input: &[u8]) {
    let mut name = String::new();
    if let Some(question) = dns::read(input, &mut name) {
        assert!(!name.is_empty() && name.len() <= 4 * 255 && name.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        assert!(question.rest < input.len());
        dns::is_certain(input, &name, &question);
    }
    for last in [false, true] {
        if let Parsed::Whole((_, len)) = dns::stream(input, last, &mut name) {
            assert!(len >= 14);
        }
    }
}

/// Requests, and the other protocols that begin with text or a version.
pub fn http(input: &[u8]) {
    for last in [false, true] {
        if let Parsed::Whole((request, len)) = http::request(input, last) {
            assert!(len <= input.len() && !request.method.is_empty());
        }
        if let Parsed::Whole((_, len)) = proxy::header(input, last) {
            assert!(len <= input.len());
        }
        if let Parsed::Whole((_, len)) = socks::request(input, last) {
            assert!(len <= input.len());
        }
        if let Parsed::Whole(line) = ssh::identification(input, last) {
            assert!(line.starts_with("SSH-"));
        }
    }
}

/// A datagram, and its bytes as the frames of a packet.
pub fn quic(input: &[u8]) {
    let mut plain = Vec::new();
    for packet in Initials::new(input).take(8) {
        if let Some(keys) = Keys::client(packet.version, packet.destination) {
            packet.open(&keys, &mut plain);
            assert!(plain.len() <= input.len());
        }
    }
    let mut total = 0;
    crypto_frames(input, false, |_, bytes| total += bytes.len());
    assert!(total <= input.len());
}

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 4,
    idle_timeout: Duration::ZERO,
    active_timeout: Duration::ZERO,
    update_interval: Duration::ZERO,
};

/// Packets of few flows, through the meter. Each: a byte of kinds, two of sequence number, one of length, the payload.
pub fn probe(input: &[u8]) {
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
