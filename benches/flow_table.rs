//! What a packet costs in the meter, by number of flows: decode, table, queues. `cargo bench --bench flow_table`
#![allow(clippy::expect_used, reason = "a benchmark that cannot build its frames has nothing to measure")]

use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::ObservationPoint;
use hopwatch::time::Timestamp;

fn main() {
    divan::main();
}

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 2_000_000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::from_secs(10),
};
/// Packets of one run.
const PACKETS: u32 = 100_000;

/// Frames of `flows` different flows; the ports and addresses of one template are written over.
struct Frames {
    template: Vec<u8>,
    flows: u32,
    state: u32,
}

impl Frames {
    fn new(flows: u32) -> Self {
        let mut template = Vec::new();
        let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 0], [192, 0, 2, 2], 64);
        step.tcp(0, 443, 1, 1024).ack(1).write(&mut template, &[0; 6]).expect("a frame");
        Self { template, flows, state: 1 }
    }

    /// A frame of a flow chosen by a small generator, so that the cache is not helped by order.
    fn next(&mut self) -> &[u8] {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let flow = (u64::from(self.state) * u64::from(self.flows)) >> 32;
        let flow = u32::try_from(flow).expect("below the number of flows").to_be_bytes();
        self.template[27..30].copy_from_slice(&flow[1..]);
        self.template[34..36].copy_from_slice(&flow[2..]);
        &self.template
    }
}

#[divan::bench(args = [1_000, 100_000, 1_000_000], sample_count = 10, sample_size = 1)]
fn packets(bencher: Bencher<'_, '_>, flows: u32) {
    let mut frames = Frames::new(flows);
    let mut meter = Meter::new(ObservationPoint::new("bench"), LinkType::ETHERNET, LIMITS);
    let mut out = Vec::new();
    let mut now = 0_i64;
    let mut run = |count: u32| {
        for _ in 0..count {
            now += 1_000;
            meter.packet(Timestamp::from_nanos(now), 60, frames.next(), &mut out);
            out.clear();
        }
    };
    // Most flows are in the table before the clock of the benchmark runs.
    run(flows.saturating_mul(2));
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| run(PACKETS));
}
