//! Decode and flow table of one observation point.
//!
//! Contract: event times never go back. A timer fires when the clock reaches its deadline, before what happens then, and
//! its event carries the deadline: output depends on the packets only, not on how often the time is given.
//! Each packet is counted into exactly one record, and each record has one `Started` and one `Ended`; what one packet causes comes
//! in the order `Started`, `Answered`, `Payload`, `NextHopChanged`, `Updated`. A record whose direction a handshake disproves ends,
//! and a new one has the right direction (ADR 9).
//! Limits: the clock is the latest packet time (or `advance`) seen; packets from before it count at the clock, while records
//! keep the packets' own times. A packet from far in the future ends every flow, once.
//! Design: packets go in batches through decoding, reading ahead in the table, and counting ([`super::stages`]). A TCP connection that has ended
//! stays for [`TCP_LINGER`] after its last packet: the last ACK, repeated FINs and late RSTs count into it and do not make a
//! flow in the wrong direction; a new SYN ends it at once and starts a new flow.

mod counting;
mod events;

use std::ops::ControlFlow;

use super::counters::PointCounters;
use super::id::IdMaker;
use super::key::FlowKey;
use super::layers::{Encapsulation, Layer, Layers};
use super::limits::MeterLimits;
use super::links::Tagger;
use super::neighbour_cache::NeighbourCache;
use super::origins::Origins;
use super::packet::{Context, Packet};
use super::payload::PayloadInspector;
use super::sink::{FlowSink, Frame};
use super::state::Mark;
use super::table::Table;
use super::timers::Timers;
use super::undecoded::UndecodedFrames;
use crate::decode::{DecodeReason, Decoded, LinkType, TunnelPorts, decode, decode_into, is_arp, sender};
use crate::input::{EndReason, FlowEventKind, ObservationPoint};
use crate::time::{Timestamp, Watermark};

/// Packets of one observation point into flow events.
#[derive(Debug)]
pub struct Meter {
    point: ObservationPoint,
    link: LinkType,
    limits: MeterLimits,
    ids: IdMaker,
    clock: Watermark,
    table: Table,
    layers: Layers,
    inspector: PayloadInspector,
    neighbours: NeighbourCache,
    undecoded: UndecodedFrames,
    origins: Origins,
    tagger: Tagger,
    /// Nothing is due before this.
    next_check: Timestamp,
    stats: PointCounters,
    not_decoded: [u64; DecodeReason::ALL.len()],
    /// Where packets are decoded that come for this meter alone ([`super::stages`]).
    pub(super) batch: Vec<Packet>,
}

impl Meter {
    /// A meter with an empty table.
    pub fn new(point: ObservationPoint, link: LinkType, limits: MeterLimits) -> Self {
        Self {
            ids: IdMaker::new(&point),
            point,
            link,
            limits,
            clock: Watermark::default(),
            table: Table::new(Timers::new(&limits)),
            layers: Layers::default(),
            inspector: PayloadInspector::default(),
            neighbours: NeighbourCache::default(),
            undecoded: UndecodedFrames::default(),
            origins: Origins::default(),
            tagger: Tagger::new(),
            next_check: Timestamp::MAX,
            stats: PointCounters::default(),
            not_decoded: [0; DecodeReason::ALL.len()],
            batch: Vec::new(),
        }
    }

    /// Which IP header is metered, and at which ports tunnels are looked for.
    #[must_use]
    pub fn with_layer(mut self, layer: Layer, ports: TunnelPorts) -> Self {
        self.layers = Layers::new(layer, ports);
        self
    }

    /// The last stage: counts a decoded packet, whose flow was likely in this slot.
    #[expect(clippy::inline_always, reason = "measured: docs/performance.md")]
    #[inline(always)]
    pub(super) fn take(&mut self, packet: &Packet, frame: &Frame<'_>, likely: u32, out: &mut impl FlowSink) {
        self.advance(frame.at, out);
        out.packet();
        if packet.key.may_claim() && self.neighbour(packet, frame, out).is_break() {
            return;
        }
        if self.layers.is_plain(&packet.headers) {
            let context = Context { data: frame.data, encapsulation: Encapsulation::Frame(frame.data), likely };
            self.count(packet, &context, out);
        } else {
            self.slow_path(packet, frame.data, out);
        }
    }

    /// The table, to read ahead in it.
    #[inline]
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    /// A frame without IP, or with neighbour discovery; breaks where it belongs to no flow.
    #[cold]
    #[inline(never)]
    fn neighbour(&mut self, packet: &Packet, frame: &Frame<'_>, out: &mut impl FlowSink) -> ControlFlow<()> {
        let now = self.clock.now();
        if let Some(claim) = self.neighbours.observe(packet, frame.data, (&self.point, self.link), now) {
            out.claim(now, claim);
        }
        if !packet.key.is_none() {
            return ControlFlow::Continue(());
        }
        let reason = match decode(self.link, frame.wire_len, frame.data) {
            Err(reason) => Some(reason.as_str()),
            Ok(Decoded::NonIp) if !is_arp(self.link, frame.data) => Some("non_ip"),
            Ok(_) => None,
        };
        if let Some(reason) = reason {
            let from = (sender(self.link, frame.data), reason);
            self.undecoded.count(from, frame.wire_len, now, self.limits.update_interval);
            self.look_again();
        }
        ControlFlow::Break(())
    }

    pub(super) fn report_undecoded(&mut self, at: Timestamp, out: &mut impl FlowSink) {
        for frames in self.undecoded.take(&self.point) {
            out.undecoded(at, frames);
        }
    }

    /// One captured packet: `wire_len` bytes long on the wire, `data` of them captured.
    pub fn packet(&mut self, at: Timestamp, wire_len: u32, data: &[u8], out: &mut impl FlowSink) {
        self.packets(&[Frame { at, wire_len, data }], out);
    }

    /// Time passed without a packet: expires and reports.
    #[inline]
    pub fn advance(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let now = self.clock.advance(now);
        if now >= self.next_check {
            self.expire(now, out);
        }
    }

    /// What is due first beside the flows: fragments that waited long enough, frames without a flow.
    pub(super) fn next_waiting(&self) -> Option<Timestamp> {
        self.layers.next_deadline().into_iter().chain(self.undecoded.due()).min()
    }

    /// Something may be due earlier than it was thought.
    pub(super) fn look_again(&mut self) {
        let waiting = self.next_waiting().unwrap_or(Timestamp::MAX);
        self.next_check = self.next_check.min(self.table.next_check()).min(waiting);
    }

    /// The observation ends: every record ends, in order of (start, tuple), with `ForcedEnd`, or with `EndOfFlow` where TCP
    /// had ended before.
    pub fn drain(&mut self, out: &mut impl FlowSink) {
        let now = self.clock.now();
        self.layers.drain();
        self.count_ready(now, out);
        self.report_undecoded(now, out);
        for (_, slot) in self.table.close() {
            let reason =
                if self.table.hot(slot).marks.has(Mark::Closed) { EndReason::EndOfFlow } else { EndReason::ForcedEnd };
            self.emit(now, FlowEventKind::Ended(reason), slot, out);
        }
        self.table.clear();
        self.inspector.clear();
        self.origins = Origins::default();
        self.next_check = Timestamp::MAX;
    }

    /// How far its clock is.
    pub const fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Packets so far.
    pub const fn packets_seen(&self) -> u64 {
        self.stats.packets
    }

    /// Counters so far.
    pub fn stats(&self) -> PointCounters {
        let counts = DecodeReason::ALL.into_iter().zip(self.not_decoded);
        PointCounters {
            active_flows: self.table.len() as u64,
            flow_packets: self.stats.flow_packets + self.layers.waiting(),
            evicted_fragments: self.layers.evicted(),
            refused_payloads: self.inspector.refused(),
            not_decoded: counts.filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.as_str(), n)).collect(),
            ..self.neighbours.counted(&self.stats)
        }
    }

    /// The first stage: decodes a frame and counts it; its key is [`FlowKey::NONE`] where it belongs to no flow.
    #[expect(clippy::inline_always, reason = "measured: docs/performance.md")]
    #[inline(always)]
    pub(super) fn decode(&mut self, frame: &Frame<'_>, packet: &mut Packet) {
        self.stats.packets += 1;
        self.stats.frame_bytes += u64::from(frame.wire_len);
        packet.at = frame.at;
        packet.wire_len = frame.wire_len;
        match decode_into(self.link, frame.wire_len, frame.data, &mut packet.headers) {
            Ok(true) => {
                (packet.key, packet.from_low) = FlowKey::new(&packet.headers);
                packet.hash = self.table.hash(&packet.key);
                packet.link = if self.link == LinkType::ETHERNET { self.tagger.tag(frame.data) } else { 0 };
                return;
            }
            Ok(false) => self.stats.non_ip += 1,
            Err(reason) => self.not_decoded[reason.index()] += 1,
        }
        packet.key = FlowKey::NONE;
    }
}
