//! What first-payload facts cost, by kind of payload. `cargo bench --bench facts`
#![allow(clippy::expect_used, reason = "a benchmark that cannot build its input has nothing to measure")]

#[path = "../tests/support/payloads.rs"]
mod payloads;

use divan::{Bencher, black_box};
use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::decode::app::{dns, http, quic, tls};
use hopwatch::flow::{Frame, Meter, MeterLimits};
use hopwatch::input::ObservationPoint;
use hopwatch::time::Timestamp;

fn main() {
    divan::main();
}

/// Parsers alone.
#[divan::bench]
fn parse_client_hello(bencher: Bencher<'_, '_>) {
    let stream = payloads::records(&payloads::hello("www.example.com", &["h2", "http/1.1"]), 16_000);
    bencher.bench(|| tls::stream(black_box(&stream), false));
}

#[divan::bench]
fn parse_quic_initial(bencher: Bencher<'_, '_>) {
    let datagram = payloads::initial(1, &[(0, &payloads::hello("www.example.com", &["h3"]))]);
    let mut plain = Vec::new();
    bencher.bench_local(|| {
        let packet = quic::Initials::new(black_box(&datagram)).next().expect("a packet");
        let keys = quic::Keys::client(packet.version, packet.destination).expect("keys");
        packet.open(&keys, &mut plain)
    });
}

#[divan::bench]
fn parse_dns_query(bencher: Bencher<'_, '_>) {
    let message = payloads::dns_query("www.example.com", 28);
    let mut name = String::new();
    bencher.bench_local(|| dns::read(black_box(&message), &mut name));
}

#[divan::bench]
fn parse_http_request(bencher: Bencher<'_, '_>) {
    let request = b"GET /index.html HTTP/1.1\r\nUser-Agent: curl/8\r\nHost: www.example.com\r\n\r\n";
    bencher.bench(|| http::request(black_box(request), false));
}

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 1 << 20,
    idle_timeout: std::time::Duration::ZERO,
    active_timeout: std::time::Duration::ZERO,
    update_interval: std::time::Duration::ZERO,
};

/// 100 flows of 10 equal packets each through the meter: the cost a packet of one kind, against `empty`, which has no payload.
#[divan::bench(args = ["empty", "unknown-tcp", "unknown-udp", "dns", "hello", "http"])]
fn meter_1000_packets(bencher: Bencher<'_, '_>, kind: &str) {
    let frames: Vec<Vec<u8>> = (0..1000_u16).map(|number| frame(kind, 10_000 + number / 10, number % 10)).collect();
    let frames: Vec<Frame<'_>> = frames
        .iter()
        .map(|data| Frame { at: Timestamp::from_secs(1), wire_len: u32::try_from(data.len()).expect("small"), data })
        .collect();
    bencher.bench(|| {
        let mut meter = Meter::new(ObservationPoint::new("bench"), LinkType::ETHERNET, LIMITS);
        meter.packets(&frames, &mut Nothing);
        meter
    });
}

/// Counts nothing, keeps nothing.
struct Nothing;

impl hopwatch::flow::FlowSink for Nothing {
    fn flow(&mut self, _: Timestamp, _: hopwatch::input::FlowEventKind, _: hopwatch::flow::FlowView<'_>) {}
}

fn frame(kind: &str, port: u16, number: u16) -> Vec<u8> {
    let ip = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    let payload = match kind {
        "empty" => Vec::new(),
        "dns" => payloads::dns_query("www.example.com", 1),
        "hello" => payloads::records(&payloads::hello("www.example.com", &["h2"]), 16_000),
        "http" => b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n".to_vec(),
        _ => vec![0x80; 300],
    };
    let mut frame = Vec::new();
    match kind {
        "dns" => ip.udp(port, 53).write(&mut frame, &payload),
        "unknown-udp" => ip.udp(port, 4000).write(&mut frame, &payload),
        _ => {
            let seq = u32::from(number) * u32::try_from(payload.len()).expect("small");
            ip.tcp(port, 443, seq, 1024).ack(1).write(&mut frame, &payload)
        }
    }
    .expect("a frame");
    frame
}
