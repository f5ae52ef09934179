//! Any bytes as a frame of any link type, through the meter.

use std::time::Duration;

use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::ObservationPoint;
use hopwatch::time::Timestamp;

const LINKS: [u16; 10] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276];
const LIMITS: MeterLimits = MeterLimits {
    max_flows: 16,
    idle_timeout: Duration::from_millis(200),
    active_timeout: Duration::from_millis(500),
    update_interval: Duration::from_millis(50),
};

/// One byte chooses the link type; then frames: a length, a step of time (it may go back), the bytes.
pub fn check(input: &[u8]) {
    let Some((link, mut rest)) = input.split_first() else { return };
    let link = LinkType(LINKS[usize::from(*link) % LINKS.len()]);
    let mut meter = Meter::new(ObservationPoint::new("fuzz"), link, LIMITS);
    let mut out = Vec::new();
    let mut now = 0_i64;
    while let [len, step, frame @ ..] = rest {
        let (frame, after) = frame.split_at(usize::from(*len).min(frame.len()));
        now += (i64::from(*step) - 64) * 1_000_000;
        meter.packet(Timestamp::from_nanos(now), u32::from(*len), frame, &mut out);
        rest = after;
    }
    meter.drain(&mut out);
    let stats = meter.stats();
    let not_decoded: u64 = stats.not_decoded.values().sum();
    assert_eq!(stats.packets, stats.flow_packets + stats.non_ip + not_decoded);
    assert!(out.is_sorted_by_key(|input| input.at));
}
