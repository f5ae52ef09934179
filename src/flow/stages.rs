//! Packets of one or several points in batches: decoding, reading ahead in the tables, counting.
//!
//! Contract: events come in the order of the packets, and are those that each meter would give for its packets alone.
//! Limits: [`BATCH`] packets at once.
//! Design: reading ahead is rows of independent loads, so that the processor waits for all of a row together, whichever tables they
//! are in: packets that change the interface each time wait no longer than those of one.

use std::hint::black_box;

use super::index::NO_SLOT;
use super::meter::Meter;
use super::packet::Packet;
use super::sink::{FlowSink, Frame};

/// Packets that go through the stages together: enough to wait for memory once, few enough to stay in the first cache.
pub const BATCH: usize = 32;

/// Meters by number, and where each reports.
pub trait Meters {
    /// A meter.
    fn meter(&mut self, place: usize) -> &mut Meter;

    /// A meter, and who takes its events.
    fn with_sink(&mut self, place: usize) -> (&mut Meter, impl FlowSink);
}

/// One meter alone.
struct One<'m, S>(&'m mut Meter, &'m mut S);

impl<S: FlowSink> Meters for One<'_, S> {
    #[inline]
    fn meter(&mut self, _: usize) -> &mut Meter {
        self.0
    }

    #[inline]
    fn with_sink(&mut self, _: usize) -> (&mut Meter, impl FlowSink) {
        (self.0, &mut *self.1)
    }
}

/// Where packets are between the stages; nothing outlives a batch.
#[derive(Debug, Default)]
pub struct Stages {
    packets: Vec<Packet>,
}

impl Meter {
    /// Captured packets, in the order they were captured.
    pub fn packets(&mut self, frames: &[Frame<'_>], out: &mut impl FlowSink) {
        // Taken out for the while, so that the rest of the meter can be used.
        let mut stages = Stages { packets: std::mem::take(&mut self.batch) };
        for frames in frames.chunks(BATCH) {
            stages.one(self, frames, out);
        }
        self.batch = stages.packets;
    }
}

impl Stages {
    /// At most [`BATCH`] packets of one meter.
    #[inline]
    pub fn one(&mut self, meter: &mut Meter, frames: &[Frame<'_>], out: &mut impl FlowSink) {
        self.run(&mut One(meter, out), |_| 0, frames);
    }

    /// At most [`BATCH`] packets; `place` gives the meter of each.
    #[inline]
    pub fn run(&mut self, meters: &mut impl Meters, place: impl Fn(usize) -> usize, frames: &[Frame<'_>]) {
        if self.packets.is_empty() {
            self.packets = vec![Packet::EMPTY; BATCH];
        }
        for (n, (frame, packet)) in frames.iter().zip(&mut self.packets).enumerate() {
            meters.meter(place(n)).decode(frame, packet);
        }
        let mut likely = [NO_SLOT; BATCH];
        let (packets, likely) = (&self.packets[..frames.len()], &mut likely[..frames.len()]);
        let mut ahead = 0;
        for (n, packet) in packets.iter().enumerate() {
            ahead ^= meters.meter(place(n)).table().read_index(packet.hash);
        }
        for (n, (packet, likely)) in packets.iter().zip(&mut *likely).enumerate() {
            *likely = meters.meter(place(n)).table().likely(packet.hash);
        }
        for (n, likely) in likely.iter().enumerate() {
            ahead ^= meters.meter(place(n)).table().read_hot(*likely);
        }
        for (n, likely) in likely.iter().enumerate() {
            ahead ^= meters.meter(place(n)).table().read_cold(*likely);
        }
        // Used, so that no load is optimised away.
        black_box(ahead);
        for (n, ((frame, packet), likely)) in frames.iter().zip(packets).zip(&*likely).enumerate() {
            let (meter, mut out) = meters.with_sink(place(n));
            meter.take(packet, frame, *likely, &mut out);
        }
    }
}
