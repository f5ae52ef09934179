//! Instructions that a packet costs: in the decoder, in the meter, in the reader. They do not jitter, so that a small change is
//! seen. Needs valgrind and `gungraun-runner` of the same version: `make bench` sees to both.
//!
//! Each number is for [`PACKETS`] packets, or for one call where it says so. Tables and files are made before counting starts.
#![allow(clippy::expect_used, reason = "a benchmark that cannot build its frames has nothing to measure")]
#![allow(missing_docs, reason = "the macros make items without a text")]

use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use etherparse::{PacketBuilder, VlanId};
use gungraun::{library_benchmark, library_benchmark_group, main};
use hopwatch::decode::{DecodeReason, Decoded, LinkType, decode};
use hopwatch::flow::{FlowSink, FlowView, Frame, Meter, MeterLimits};
use hopwatch::input::{FlowEventKind, ObservationPoint};
use hopwatch::observe::{Batch, CaptureReader, PcapngWriter};
use hopwatch::time::Timestamp;

/// Packets of a benchmark.
const PACKETS: u32 = 1_000;
const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

/// A frame of one kind.
fn frame(kind: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    let ethernet = PacketBuilder::ethernet2(MACS.0, MACS.1);
    let payload = [0; 64];
    let (src, dst) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    match kind {
        "tcp4" => ethernet.ipv4(src, dst, 64).tcp(40_000, 443, 1, 1024).ack(1).write(&mut frame, &payload),
        "udp4" => ethernet.ipv4(src, dst, 64).udp(40_000, 443).write(&mut frame, &payload),
        "tcp6" => ethernet.ipv6([1; 16], [2; 16], 64).tcp(40_000, 443, 1, 1024).ack(1).write(&mut frame, &payload),
        _ => {
            let tagged = ethernet.single_vlan(VlanId::try_new(7).expect("a VLAN"));
            tagged.ipv4(src, dst, 64).udp(40_000, 443).write(&mut frame, &payload)
        }
    }
    .expect("a frame");
    frame
}

// One call; the others are for all packets.
#[library_benchmark]
#[bench::tcp4(frame("tcp4"))]
#[bench::udp4(frame("udp4"))]
#[bench::tcp6(frame("tcp6"))]
#[bench::vlan(frame("vlan"))]
fn decode_one(frame: Vec<u8>) -> Result<Decoded, DecodeReason> {
    let wire_len = u32::try_from(frame.len()).unwrap_or(0);
    black_box(decode(LinkType::ETHERNET, black_box(wire_len), black_box(&frame)))
}

/// Counts events and asks for no record.
struct Count(u64);

impl FlowSink for Count {
    fn flow(&mut self, _at: Timestamp, _kind: FlowEventKind, _flow: FlowView<'_>) {
        self.0 += 1;
    }
}

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 10_000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::ZERO,
};

/// Frames of as many flows as there are frames, or of one.
fn frames(is_one_flow: bool) -> Vec<Vec<u8>> {
    let template = frame("tcp4");
    (0..PACKETS)
        .map(|number| {
            let mut frame = template.clone();
            let flow = if is_one_flow { 0 } else { number };
            frame[26..30].copy_from_slice(&(0x0a00_0000 + flow).to_be_bytes());
            frame
        })
        .collect()
}

fn meter_packets(meter: &mut Meter, frames: &[Vec<u8>], start: i64, out: &mut Count) {
    for (frames, batch) in frames.chunks(Batch::MAX).zip(0_i64..) {
        let at = Timestamp::from_nanos(start + batch);
        let mut borrowed = [Frame { at, wire_len: 0, data: &[] }; Batch::MAX];
        for (borrowed, frame) in borrowed.iter_mut().zip(frames) {
            *borrowed = Frame { at, wire_len: u32::try_from(frame.len()).unwrap_or(0), data: frame };
        }
        meter.packets(&borrowed[..frames.len()], out);
    }
}

/// A meter in which every flow of the frames is, or none.
fn prepared(is_one_flow: bool, is_known: bool) -> (Meter, Vec<Vec<u8>>) {
    let mut meter = Meter::new(ObservationPoint::new("bench"), LinkType::ETHERNET, LIMITS);
    let frames = frames(is_one_flow);
    if is_known {
        // What a table allocates as it grows is not part of the cost of a packet.
        meter_packets(&mut meter, &frames, 0, &mut Count(0));
    }
    (meter, frames)
}

#[library_benchmark]
#[bench::one_known_flow(prepared(true, true))]
#[bench::known_flows(prepared(false, true))]
#[bench::new_flows(prepared(false, false))]
fn meter((mut meter, frames): (Meter, Vec<Vec<u8>>)) -> (Meter, Vec<Vec<u8>>) {
    let mut out = Count(0);
    meter_packets(&mut meter, &frames, 1_000_000, &mut out);
    black_box(out.0);
    // Dropping is not measured.
    (meter, frames)
}

fn pcap() -> CaptureReader {
    let mut file = [&0xa1b2_c3d4_u32.to_le_bytes()[..], &[2, 0, 4, 0], &[0; 8], &[0, 0, 4, 0], &[1, 0, 0, 0]].concat();
    for frame in frames(true) {
        let len = u32::try_from(frame.len()).expect("small").to_le_bytes();
        file.extend([&[0; 8][..], &len, &len, &frame].concat());
    }
    CaptureReader::from_stream(Path::new("bench.pcap"), Box::new(Cursor::new(file))).expect("a capture")
}

fn pcapng() -> CaptureReader {
    let mut writer = PcapngWriter::new(Vec::new(), None).expect("memory");
    let interface = writer.add_interface("eth0", LinkType::ETHERNET, 0, None).expect("memory");
    for frame in frames(true) {
        let len = u32::try_from(frame.len()).expect("small");
        writer.packet(interface, Timestamp::default(), len, &frame).expect("memory");
    }
    let file = writer.finish().expect("memory");
    CaptureReader::from_stream(Path::new("bench.pcapng"), Box::new(Cursor::new(file))).expect("a capture")
}

#[library_benchmark]
#[bench::pcap(pcap())]
#[bench::pcapng(pcapng())]
fn read_one_by_one(mut reader: CaptureReader) -> CaptureReader {
    while let Ok(Some(packet)) = reader.next_packet() {
        black_box(packet);
    }
    reader
}

#[library_benchmark]
#[bench::pcap(pcap())]
#[bench::pcapng(pcapng())]
fn read_batches(mut reader: CaptureReader) -> CaptureReader {
    while let Ok(Some(batch)) = reader.next_batch(Batch::MAX) {
        black_box(batch);
    }
    reader
}

library_benchmark_group!(name = packets; benchmarks = decode_one, meter, read_one_by_one, read_batches);
main!(library_benchmark_groups = packets);
