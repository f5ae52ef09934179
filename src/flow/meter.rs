//! Decode and flow table of one observation point.
//!
//! Contract: event times never go back. A timer fires when the clock reaches its deadline, before what happens then, and
//! its event carries the deadline: output depends on the packets only, not on how often the time is given.
//! Each packet is counted into exactly one record, and each record has one `Started` and one `Ended`; what one packet causes comes
//! in the order `Started`, `Answered`, `Payload`, `Updated`.
//! Limits: the clock is the latest packet time (or `advance`) seen; packets from before it count at the clock, while records
//! keep the packets' own times. A packet from far in the future ends every flow, once.
//! Design: packets go in batches through decoding, reading ahead in the table, and counting. A TCP connection that has ended
//! stays for [`TCP_LINGER`] after its last packet: the last ACK, repeated FINs and late RSTs count into it and do not make a
//! flow in the wrong direction; a new SYN ends it at once and starts a new flow.

use std::ops::ControlFlow;

use super::fragments::Piece;
use super::id::IdMaker;
use super::index::NO_SLOT;
use super::key::FlowKey;
use super::layers::{Encapsulation, Layer, Layers};
use super::limits::{MeterLimits, MeterStats};
use super::neighbour_cache::NeighbourCache;
use super::packet::{Context, Packet};
use super::payload::PayloadInspector;
use super::sink::{FlowSink, FlowView, Frame};
use super::state::{self, Direction, Mark, is_answer};
use super::table::Table;
use super::timers::{Due, Timers};
use super::wheel::Wheel;
use crate::decode::{DecodeReason, Headers, LinkType, TunnelPorts, decode_into};
use crate::input::{EndReason, FlowEventKind, ObservationPoint};
use crate::time::{Timestamp, Watermark};

/// Packets that go through the stages together: enough to wait for memory once, few enough to stay in the first cache.
const BATCH: usize = 32;

/// What a packet is for its flow, beside one more.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "what one packet is, any of them together")]
struct PacketEffects {
    /// The first of a record.
    starts: bool,
    /// The first answer of a record.
    answers: bool,
    /// It brought first-payload facts.
    has_payload_facts: bool,
    /// The last report was an update interval ago.
    is_due: bool,
}

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
    /// Nothing is due before this.
    next_check: Timestamp,
    stats: MeterStats,
    not_decoded: [u64; DecodeReason::ALL.len()],
    /// What reading ahead yields; kept so that it is not optimised away.
    prefetch: u32,
    /// Where packets are decoded.
    batch: Vec<Packet>,
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
            next_check: Timestamp::MAX,
            stats: MeterStats::default(),
            not_decoded: [0; DecodeReason::ALL.len()],
            prefetch: 0,
            batch: vec![Packet::EMPTY; BATCH],
        }
    }

    /// Which IP header is metered, and at which ports tunnels are looked for.
    #[must_use]
    pub fn with_layer(mut self, layer: Layer, ports: TunnelPorts) -> Self {
        self.layers = Layers::new(layer, ports);
        self
    }

    /// Captured packets, in the order they were captured.
    pub fn packets(&mut self, frames: &[Frame<'_>], out: &mut impl FlowSink) {
        for frames in frames.chunks(BATCH) {
            // Taken out for the while, so that the rest of the meter can be used.
            let mut batch = std::mem::take(&mut self.batch);
            self.batch(frames, &mut batch, out);
            self.batch = batch;
        }
    }

    fn batch(&mut self, frames: &[Frame<'_>], batch: &mut [Packet], out: &mut impl FlowSink) {
        let mut hashes = [0; BATCH];
        let mut likely = [NO_SLOT; BATCH];
        for ((frame, packet), hash) in frames.iter().zip(&mut *batch).zip(&mut hashes) {
            self.decode(frame, packet);
            *hash = packet.hash;
        }
        self.prefetch ^= self.table.look_ahead(&hashes[..frames.len()], &mut likely[..frames.len()]);
        for ((frame, packet), likely) in frames.iter().zip(batch).zip(likely) {
            self.advance(frame.at, out);
            if packet.key.may_claim() && self.neighbour(packet, frame.data, out).is_break() {
                continue;
            }
            if self.layers.is_plain(&packet.headers) {
                let context = Context { data: frame.data, encapsulation: Encapsulation::Frame(frame.data), likely };
                self.count(packet, context, out);
            } else {
                self.slow_path(packet, frame.data, out);
            }
        }
    }

    /// A frame without IP, or with neighbour discovery; breaks where it belongs to no flow.
    #[cold]
    #[inline(never)]
    fn neighbour(&mut self, packet: &Packet, data: &[u8], out: &mut impl FlowSink) -> ControlFlow<()> {
        let now = self.clock.now();
        if let Some(claim) = self.neighbours.observe(packet, data, (&self.point, self.link), now) {
            out.claim(now, claim);
        }
        if packet.key.is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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

    fn expire(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        loop {
            let waited = self.layers.next_deadline().filter(|deadline| *deadline <= now);
            match self.table.next_due(waited.unwrap_or(now)) {
                Some((deadline, due, slot)) => self.fire(deadline, due, slot, out),
                None if waited.is_none() => break,
                None => {
                    self.layers.expire(waited.unwrap_or(now));
                    self.count_ready(waited.unwrap_or(now), out);
                }
            }
        }
        self.next_check = self.table.next_check();
        self.look_again();
    }

    /// Something may be due earlier than it was thought.
    fn look_again(&mut self) {
        let fragments = self.layers.next_deadline().unwrap_or(Timestamp::MAX);
        self.next_check = self.next_check.min(self.table.next_check()).min(fragments);
    }

    /// The observation ends: every record ends, in order of (start, tuple), with `ForcedEnd`, or with `EndOfFlow` where TCP
    /// had ended before.
    pub fn drain(&mut self, out: &mut impl FlowSink) {
        let now = self.clock.now();
        self.layers.drain();
        self.count_ready(now, out);
        for (_, slot) in self.table.close() {
            let reason =
                if self.table.hot(slot).marks.has(Mark::Closed) { EndReason::EndOfFlow } else { EndReason::ForcedEnd };
            self.emit(now, FlowEventKind::Ended(reason), slot, out);
        }
        self.table.clear();
        self.inspector.clear();
        self.next_check = Timestamp::MAX;
    }

    /// Counters so far.
    pub fn stats(&self) -> MeterStats {
        let counts = DecodeReason::ALL.into_iter().zip(self.not_decoded);
        MeterStats {
            active_flows: self.table.len() as u64,
            flow_packets: self.stats.flow_packets + self.layers.waiting(),
            evicted_fragments: self.layers.evicted(),
            payloads_refused: self.inspector.refused(),
            not_decoded: counts.filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.as_str(), n)).collect(),
            ..self.neighbours.counted(&self.stats)
        }
    }

    /// Decodes a frame and counts it; its key is [`FlowKey::NONE`] where it belongs to no flow.
    #[inline]
    fn decode(&mut self, frame: &Frame<'_>, packet: &mut Packet) {
        self.stats.packets += 1;
        self.stats.frame_bytes += u64::from(frame.wire_len);
        packet.at = frame.at;
        packet.wire_len = frame.wire_len;
        match decode_into(self.link, frame.wire_len, frame.data, &mut packet.headers) {
            Ok(true) => {
                (packet.key, packet.from_low) = FlowKey::new(&packet.headers);
                packet.hash = self.table.hash(&packet.key);
                return;
            }
            Ok(false) => self.stats.non_ip += 1,
            Err(reason) => self.not_decoded[reason.index()] += 1,
        }
        packet.key = FlowKey::NONE;
    }

    #[inline]
    fn keyed(&self, at: Timestamp, wire_len: u32, headers: Headers) -> Packet {
        let (key, from_low) = FlowKey::new(&headers);
        Packet { at, wire_len, hash: self.table.hash(&key), key, from_low, headers }
    }

    /// A fragment, or in the inner layer what may be a tunnel.
    #[cold]
    fn slow_path(&mut self, packet: &Packet, data: &[u8], out: &mut impl FlowSink) {
        let now = self.clock.now();
        let Packet { at, wire_len, headers, .. } = *packet;
        if let Some((metered, tunnels)) = self.layers.select(Piece { at, wire_len, headers }, data, now) {
            let encapsulation =
                if metered == headers { Encapsulation::Frame(data) } else { Encapsulation::Passed(&tunnels) };
            self.count(&self.keyed(at, wire_len, metered), Context { data, encapsulation, likely: NO_SLOT }, out);
        }
        self.count_ready(now, out);
        self.look_again();
    }

    /// Counts the fragments whose waiting is over.
    fn count_ready(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let now = now.min(self.clock.now());
        while let Some(Piece { at, wire_len, headers }) = self.layers.ready() {
            let context = Context { data: &[], encapsulation: Encapsulation::Unknown, likely: NO_SLOT };
            self.count_at(now, &self.keyed(at, wire_len, headers), context, out);
        }
    }

    /// Counts a packet into its flow.
    #[inline]
    fn count(&mut self, packet: &Packet, context: Context<'_>, out: &mut impl FlowSink) {
        self.count_at(self.clock.now(), packet, context, out);
    }

    #[inline]
    fn count_at(&mut self, now: Timestamp, packet: &Packet, context: Context<'_>, out: &mut impl FlowSink) {
        let headers = &packet.headers;
        self.stats.flow_packets += 1;
        let (slot, starts) = self.flow(packet, context, now, out);
        let (hot, cold) = self.table.entry(slot);
        let direction = hot.direction(packet.from_low);
        let carried = hot.count(direction, packet.at, packet.wire_len, headers);
        hot.last = now;
        let ended = headers.tcp.as_ref().is_some_and(|tcp| state::see_tcp(hot, cold, direction, tcp, headers));
        if hot.is_first_of(direction) {
            cold.see_first(hot, direction, headers);
        }
        let answers = !hot.marks.has(Mark::Answered) && is_answer(direction, headers);
        if answers {
            hot.marks.set(Mark::Answered);
        }
        let has_payload_facts = hot.budget.wants(direction.index(), headers.payload_bytes)
            && self.inspector.inspect(&mut hot.budget, &mut cold.payload, direction.index(), headers, context.data);
        let is_due = !self.limits.update_interval.is_zero() && !hot.marks.has(Mark::Recent);
        if carried || ended || headers.fragment.is_some() {
            self.remember(packet, now, slot, direction, (carried, ended));
        }
        if starts || answers || has_payload_facts || is_due {
            self.report(now, slot, PacketEffects { starts, answers, has_payload_facts, is_due }, out);
        }
    }

    /// What happens seldom in the life of a flow.
    fn remember(
        &mut self,
        packet: &Packet,
        now: Timestamp,
        slot: u32,
        direction: Direction,
        (carried, ended): (bool, bool),
    ) {
        let headers = &packet.headers;
        let (hot, cold) = self.table.entry(slot);
        if headers.fragment.is_some() {
            cold.extras(hot).fragments += 1;
        }
        if carried {
            cold.carry(hot, direction, [1, packet.wire_len, headers.ip_bytes, headers.payload_bytes]);
        }
        if ended {
            self.table.arm_end(slot, now);
            self.look_again();
        }
    }

    /// The flow of a packet, with an open record, and whether that record is new.
    #[inline]
    fn flow(&mut self, packet: &Packet, context: Context<'_>, now: Timestamp, out: &mut impl FlowSink) -> (u32, bool) {
        let before = match self.table.find_at(context.likely, packet.hash, &packet.key) {
            None => None,
            Some(slot) => {
                let hot = self.table.hot(slot);
                let is_new_connection = hot.reopens(packet.from_low, &packet.headers);
                if hot.marks.has(Mark::Open) && !is_new_connection {
                    return (slot, false);
                }
                let before = Some(self.table.cold(slot).position());
                if !is_new_connection {
                    // The flow goes on after its active timeout.
                    self.open(slot, packet, context, now, before);
                    return (slot, true);
                }
                self.end(now, EndReason::EndOfFlow, slot, out);
                before
            }
        };
        self.make_room(now, out);
        let slot = self.table.insert(packet.key, packet.hash, packet.from_low, &packet.headers, now);
        self.open(slot, packet, context, now, before);
        (slot, true)
    }

    /// Opens a record; `before` is the record of the same tuple that ended right before, if any.
    fn open(
        &mut self,
        slot: u32,
        packet: &Packet,
        context: Context<'_>,
        now: Timestamp,
        before: Option<(Timestamp, u32)>,
    ) {
        let tunnels = self.layers.tunnels(&packet.headers, context.encapsulation);
        state::open_record(self.table.entry(slot), (packet.at, now), &packet.headers, tunnels, before);
        self.stats.flows += 1;
        self.table.arm_report(slot, now);
        self.look_again();
    }

    /// Reports what a packet, already counted, changed.
    #[inline(never)]
    fn report(&mut self, now: Timestamp, slot: u32, effects: PacketEffects, out: &mut impl FlowSink) {
        if effects.starts {
            self.emit(now, FlowEventKind::Started, slot, out);
        }
        if effects.answers {
            self.emit(now, FlowEventKind::Answered, slot, out);
        }
        if effects.has_payload_facts {
            self.emit(now, FlowEventKind::Payload, slot, out);
        }
        if effects.is_due {
            self.update(now, slot, out);
        }
    }

    fn update(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        self.emit(at, FlowEventKind::Updated, slot, out);
        let (hot, cold) = self.table.entry(slot);
        hot.marks.set(Mark::Recent);
        cold.reported = at;
        self.table.arm_report(slot, at);
        self.look_again();
    }

    /// Ends the flow nearest to its end if the table is full; a connection that has ended is not counted as evicted.
    fn make_room(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let max_flows = self.limits.max_flows.clamp(1, Wheel::MAX_SLOTS as usize);
        while self.table.len() >= max_flows {
            let Some(slot) = self.table.first_to_end() else { return };
            let marks = self.table.hot(slot).marks;
            let reason = if marks.has(Mark::Closed) { EndReason::EndOfFlow } else { EndReason::LackOfResources };
            // A flow between two records loses nothing.
            self.stats.evicted_flows += u64::from(marks.has(Mark::Open) && !marks.has(Mark::Closed));
            self.end(now, reason, slot, out);
        }
    }

    fn fire(&mut self, deadline: Timestamp, due: Due, slot: u32, out: &mut impl FlowSink) {
        match due {
            Due::End if self.table.hot(slot).marks.has(Mark::Closed) => {
                self.end(deadline, EndReason::EndOfFlow, slot, out);
            }
            Due::End => self.end(deadline, EndReason::IdleTimeout, slot, out),
            Due::Active => self.close_record(deadline, slot, out),
            Due::Update if self.table.hot(slot).marks.has(Mark::Dirty) => self.update(deadline, slot, out),
            Due::Update => {
                self.table.hot_mut(slot).marks.clear(Mark::Recent);
                self.table.arm_report(slot, deadline);
            }
        }
    }

    /// The active timeout: the record ends, the flow stays.
    fn close_record(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        let reason =
            if self.table.hot(slot).marks.has(Mark::Closed) { EndReason::EndOfFlow } else { EndReason::ActiveTimeout };
        self.emit(at, FlowEventKind::Ended(reason), slot, out);
        let hot = self.table.hot_mut(slot);
        hot.marks.clear(Mark::Open);
        hot.marks.clear(Mark::Recent);
        self.table.arm_report(slot, at);
    }

    /// Ends a flow and its record, if one is open.
    fn end(&mut self, at: Timestamp, reason: EndReason, slot: u32, out: &mut impl FlowSink) {
        if self.table.hot(slot).marks.has(Mark::Open) {
            self.emit(at, FlowEventKind::Ended(reason), slot, out);
        }
        self.inspector.release(&mut self.table.entry(slot).1.payload);
        self.table.remove(slot);
    }

    fn emit(&mut self, at: Timestamp, kind: FlowEventKind, slot: u32, out: &mut impl FlowSink) {
        self.table.hot_mut(slot).marks.clear(Mark::Dirty);
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        out.flow(at, kind, FlowView { point: &self.point, ids: self.ids, hot, cold, inspector: &self.inspector });
    }
}
