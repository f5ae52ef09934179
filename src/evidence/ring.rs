//! The recent packets of one observation point.
//!
//! Contract: bounded in bytes and age, the oldest go first. The first packets of each flow, and those whose payload is read, are kept apart, as captured,
//! and for [`FIRST_AGES`] times as long, in a quarter of the ring; of all others the first [`RingLimits::snap`] bytes. One thread owns a ring: it is
//! asked for copies, and moves as a whole when its point ends. Limits: what a flood of new flows overwrites is gone; [`Copied::from`] says since when the ring is whole.
//! Design: the meter says which packets these are, since it found the flow anyway; a packet costs one short copy (`examples/stages.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::selection::Selection;
use super::slab::{BLOCK_COST, KeptPacket, RingMemory, Slab};
use crate::decode::LinkType;
use crate::flow::Frame;
use crate::input::ObservationPoint;
use crate::time::Timestamp;

/// First packets are kept so many times as long as others.
const FIRST_AGES: u32 = 10;

/// The bounds of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLimits {
    /// Bytes, the first packets of flows included.
    pub bytes: usize,
    /// How long a packet is kept.
    pub age: Duration,
    /// Bytes kept of a packet that is not one of the first of its flow.
    pub snap: usize,
}

/// Recent packets of one observation point.
#[derive(Debug)]
pub struct PacketRing {
    point: ObservationPoint,
    link: LinkType,
    limits: RingLimits,
    first: Slab,
    recent: Slab,
    sequence: u64,
    /// When the first packet was captured, and the latest.
    span: Option<(Timestamp, Timestamp)>,
}

/// What was copied out of a ring.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Where it was captured.
    pub point: ObservationPoint,
    /// Link type of its frames.
    pub link: LinkType,
    /// What was asked for, in order.
    pub packets: Vec<KeptPacket>,
    /// Everything before this place was looked at.
    pub reached: u64,
    /// Since when the ring holds every packet; absent where it is empty.
    pub from: Option<Timestamp>,
    /// More was asked for than may be copied.
    pub truncated: bool,
}

impl Copied {
    /// Bytes of its packets.
    pub fn bytes(&self) -> usize {
        self.packets.iter().map(|packet| packet.data.len()).sum()
    }
}

impl PacketRing {
    /// An empty one.
    pub fn new(point: ObservationPoint, link: LinkType, limits: RingLimits, memory: &Arc<RingMemory>) -> Self {
        let first = (limits.bytes / 4).max(BLOCK_COST);
        Self {
            point,
            link,
            limits,
            first: Slab::new(first, Arc::clone(memory)),
            recent: Slab::new(limits.bytes.saturating_sub(first), Arc::clone(memory)),
            sequence: 0,
            span: None,
        }
    }

    /// Where it captures.
    pub const fn point(&self) -> &ObservationPoint {
        &self.point
    }

    /// When the latest packet was captured.
    pub fn latest(&self) -> Option<Timestamp> {
        self.span.map(|(_, latest)| latest)
    }

    /// Keeps at most 64 packets, in the order in which they came; each that tells something of its flow ([`FlowSink::telling`](crate::flow::FlowSink))
    /// has its bit in `telling`, that of the first packet the lowest.
    pub fn keep(&mut self, frames: &[Frame<'_>], telling: u64) {
        let Some((first, last)) = frames.first().zip(frames.last()) else { return };
        self.span = Some((self.span.map_or(first.at, |(first, _)| first), last.at));
        let snap = self.limits.snap;
        let sequence = self.sequence;
        self.sequence += frames.len() as u64;
        if telling == 0 {
            return self.recent.extend(sequence, frames, snap);
        }
        for ((frame, sequence), bit) in frames.iter().zip(sequence..).zip(0_u32..) {
            if telling.wrapping_shr(bit) & 1 == 1 {
                self.first.push(sequence, frame, usize::MAX);
            } else {
                self.recent.push(sequence, frame, snap);
            }
        }
    }

    /// Whether it holds no packet.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.recent.is_empty()
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Timestamp) {
        self.recent.expire(now.minus(self.limits.age));
        self.first.expire(now.minus(self.limits.age.saturating_mul(FIRST_AGES)));
    }

    /// Copies what is selected and not before the place `since`, at most so many bytes: first packets from the oldest on, in half
    /// of them, and of the others the latest.
    pub fn copy(&self, selection: &Selection, since: u64, most: usize) -> Copied {
        let mut copied = BTreeMap::new();
        let (mut left, mut truncated) = (most, false);
        let mut all =
            self.first.packets().map(|seen| (seen, true)).chain(self.recent.packets().rev().map(|seen| (seen, false)));
        for (seen, first) in &mut all {
            if seen.sequence < since || !selection.takes(self.link, seen.wire_len, seen.data) {
                continue;
            }
            // What first packets leave of the other half is for the others.
            let reserved = if first { most / 2 } else { 0 };
            let Some(rest) = left.checked_sub(seen.data.len()).filter(|rest| *rest >= reserved) else {
                truncated = true;
                continue;
            };
            left = rest;
            copied.insert(seen.sequence, KeptPacket::of(&seen, first));
        }
        Copied {
            point: self.point.clone(),
            link: self.link,
            packets: copied.into_values().collect(),
            reached: self.sequence,
            from: self.recent.forgotten().or(self.span.map(|(first, _)| first)),
            truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const SNAP: usize = 64;

    fn frame(port: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(port, 53);
        step.write(&mut frame, payload).expect("a buffer takes all");
        frame
    }

    fn ring(bytes: usize, memory: &Arc<RingMemory>) -> PacketRing {
        let limits = RingLimits { bytes, age: Duration::from_mins(1), snap: SNAP };
        PacketRing::new(ObservationPoint::new("veth1"), LinkType::ETHERNET, limits, memory)
    }

    fn keep(ring: &mut PacketRing, second: i64, data: &[u8], is_first: bool) {
        let wire_len = u32::try_from(data.len()).expect("small");
        ring.keep(&[Frame { at: Timestamp::from_secs(second), wire_len, data }], u64::from(is_first));
    }

    fn all() -> Selection {
        Selection::of_addresses(["192.0.2.1".parse().expect("an address")])
    }

    #[test]
    fn the_beginning_of_a_flow_outlives_the_rest_and_is_kept_whole() {
        let memory = RingMemory::new(64 << 20);
        let mut ring = ring(1 << 20, &memory);
        for second in 0..200 {
            keep(&mut ring, second, &frame(40_000, &[7; 200]), second < 10);
            ring.expire(Timestamp::from_secs(second));
        }
        let copied = ring.copy(&all(), 0, usize::MAX);
        let (first, recent): (Vec<_>, Vec<_>) = copied.packets.iter().partition(|packet| packet.first);
        assert_eq!((first.len(), first[0].at), (10, Timestamp::from_secs(0)));
        assert!(first.iter().all(|packet| packet.data.len() == 242), "whole");
        assert!(recent.iter().all(|packet| packet.data.len() == SNAP && packet.wire_len == 242), "cut, and said so");
        assert!(copied.packets.is_sorted_by_key(|packet| packet.sequence));
        assert!(copied.from < recent.first().map(|packet| packet.at), "and the ring says since when it is whole");
        assert_eq!(ring.copy(&all(), copied.reached, usize::MAX).packets, [], "nothing comes twice");
    }

    #[test]
    fn a_ring_holds_no_more_than_its_bytes_and_all_rings_no_more_than_their_memory() {
        let memory = RingMemory::new(12 * BLOCK_COST);
        let mut rings: Vec<_> = (0..4).map(|_| ring(5 * BLOCK_COST, &memory)).collect();
        for second in 0..20_000 {
            let port = u16::try_from(second % 30).expect("small");
            for ring in &mut rings {
                keep(ring, second, &frame(port, &[1; 100]), second < 300);
            }
        }
        assert!(memory.used() <= 12 * BLOCK_COST);
        let copied = rings[0].copy(&all(), 0, 4000);
        assert!(copied.truncated && copied.packets.iter().map(|packet| packet.data.len()).sum::<usize>() <= 4000);
        assert_eq!(
            copied.packets.last().map(|packet| packet.at),
            Some(Timestamp::from_secs(19_999)),
            "the latest stay"
        );
        drop(rings);
        assert_eq!(memory.used(), 0, "all is given back");
    }

    #[test]
    fn packets_that_come_together_are_kept_as_if_they_came_one_by_one() {
        let memory = RingMemory::new(64 << 20);
        let (mut together, mut alone) = (ring(6 * BLOCK_COST, &memory), ring(6 * BLOCK_COST, &memory));
        let data: Vec<_> = (0..64_usize).map(|size| frame(1, &vec![3; size * 7])).collect();
        for round in 0..400_u64 {
            let at = Timestamp::from_secs(i64::try_from(round).expect("small"));
            let frames: Vec<_> = data.iter().map(|data| Frame { at, wire_len: 900, data }).collect();
            let telling = if round % 3 == 0 { round.wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { 0 };
            together.keep(&frames, telling);
            for (bit, frame) in frames.iter().enumerate() {
                alone.keep(std::slice::from_ref(frame), telling >> bit & 1);
            }
        }
        let [one, other] = [&together, &alone].map(|ring| ring.copy(&all(), 0, usize::MAX).packets);
        assert!(one == other && one.len() > 1000, "{} and {}", one.len(), other.len());
    }

    #[test]
    fn a_quiet_point_gives_its_memory_back() {
        let memory = RingMemory::new(64 << 20);
        let mut ring = ring(1 << 20, &memory);
        keep(&mut ring, 1, &frame(40_000, b"x"), true);
        assert!(memory.used() > 0);
        ring.expire(Timestamp::from_secs(3600));
        assert_eq!((memory.used(), ring.copy(&all(), 0, usize::MAX).packets.len()), (0, 0));
    }
}
