//! What decoding costs, by kind of frame. `cargo bench --bench decode`
#![allow(clippy::expect_used, reason = "a benchmark that cannot build its frames has nothing to measure")]

use divan::{Bencher, black_box, counter::ItemsCount};
use etherparse::{PacketBuilder, VlanId};
use hopwatch::decode::{LinkType, decode};

fn main() {
    divan::main();
}

const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

/// Frames of one kind, with their names.
fn frame(kind: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    let ethernet = PacketBuilder::ethernet2(MACS.0, MACS.1);
    let payload = [0; 64];
    match kind {
        "tcp4" => ethernet
            .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .tcp(40_000, 443, 1, 1024)
            .ack(1)
            .write(&mut frame, &payload),
        "udp4" => ethernet.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(40_000, 53).write(&mut frame, &payload),
        "tcp6" => ethernet.ipv6([1; 16], [2; 16], 64).tcp(40_000, 443, 1, 1024).ack(1).write(&mut frame, &payload),
        _ => {
            let tagged = ethernet.single_vlan(VlanId::try_new(7).expect("a VLAN"));
            tagged.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(40_000, 53).write(&mut frame, &payload)
        }
    }
    .expect("a frame");
    frame
}

#[divan::bench(args = ["tcp4", "udp4", "tcp6", "vlan-udp4"])]
fn ethernet(bencher: Bencher<'_, '_>, kind: &str) {
    let frame = frame(kind);
    let wire_len = u32::try_from(frame.len()).expect("small");
    bencher.counter(ItemsCount::new(1_u32)).bench(|| decode(LinkType::ETHERNET, wire_len, black_box(&frame)));
}
