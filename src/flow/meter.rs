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

use std::ops::ControlFlow;

use super::counters::PointCounters;
use super::direction::Direction;
use super::fragments::Piece;
use super::id::IdMaker;
use super::index::NO_SLOT;
use super::key::FlowKey;
use super::layers::{Encapsulation, Layer, Layers};
use super::limits::MeterLimits;
use super::links::Tagger;
use super::neighbour_cache::NeighbourCache;
use super::origins::Origins;
use super::packet::{Context, Packet};
use super::payload::PayloadInspector;
use super::sink::{FlowSink, FlowView, Frame};
use super::stages::{BATCH, Stages};
use super::state::{self, Mark, Opening, is_answer};
use super::table::Table;
use super::timers::{Due, Timers};
use super::undecoded::UndecodedFrames;
use super::wheel::Wheel;
use crate::decode::app::dns::Addresses;
use crate::decode::{
    DecodeReason, Decoded, Headers, LinkType, TunnelPorts, decode, decode_into, is_arp, quoted, sender,
};
use crate::input::{EndReason, FiveTuple, FlowEventKind, Mac, NameAnswer, ObservationPoint, tcp_flags};
use crate::time::{Timestamp, Watermark};

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
    /// It went over another pair of link addresses than those before.
    changes_hop: bool,
    /// The last report was an update interval ago.
    is_due: bool,
}

/// What happens seldom in the life of a flow.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "what one packet is, any of them together")]
struct Seldom {
    /// A counter overflowed.
    carried: bool,
    /// TCP ended.
    ended: bool,
    /// The first payload came again.
    repeated: bool,
    /// The packet is a fragment, names its way, or has no answer.
    is_odd: bool,
}

impl Seldom {
    #[inline]
    const fn any(self) -> bool {
        self.carried | self.ended | self.repeated | self.is_odd
    }
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
    undecoded: UndecodedFrames,
    origins: Origins,
    tagger: Tagger,
    /// Nothing is due before this.
    next_check: Timestamp,
    stats: PointCounters,
    not_decoded: [u64; DecodeReason::ALL.len()],
    /// Where packets are decoded that come for this meter alone.
    stages: Stages,
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
            stages: Stages::default(),
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
        // Taken out for the while, so that the rest of the meter can be used.
        let mut stages = std::mem::take(&mut self.stages);
        for frames in frames.chunks(BATCH) {
            stages.one(self, frames, out);
        }
        self.stages = stages;
    }

    /// The last stage: counts a decoded packet, whose flow was likely in this slot.
    #[allow(clippy::inline_always, reason = "measured: docs/performance.md")]
    #[inline(always)]
    pub(super) fn take(&mut self, packet: &Packet, frame: &Frame<'_>, likely: u32, out: &mut impl FlowSink) {
        self.advance(frame.at, out);
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

    fn report_undecoded(&mut self, at: Timestamp, out: &mut impl FlowSink) {
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

    #[cold]
    #[inline(never)]
    fn expire(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        loop {
            let waited = self.next_waiting().filter(|deadline| *deadline <= now);
            match self.table.next_due(waited.unwrap_or(now)) {
                Some((deadline, due, slot)) => self.fire(deadline, due, slot, out),
                None if waited.is_none() => break,
                None if waited == self.undecoded.due() => self.report_undecoded(waited.unwrap_or(now), out),
                None => {
                    self.layers.expire(waited.unwrap_or(now));
                    self.count_ready(waited.unwrap_or(now), out);
                }
            }
        }
        self.next_check = self.table.next_check();
        self.look_again();
    }

    /// What is due first beside the flows: fragments that waited long enough, frames without a flow.
    fn next_waiting(&self) -> Option<Timestamp> {
        self.layers.next_deadline().into_iter().chain(self.undecoded.due()).min()
    }

    /// Something may be due earlier than it was thought.
    fn look_again(&mut self) {
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
    #[allow(clippy::inline_always, reason = "measured: docs/performance.md")]
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

    #[inline]
    fn keyed(&self, at: Timestamp, (wire_len, link): (u32, u32), headers: Headers) -> Packet {
        let (key, from_low) = FlowKey::new(&headers);
        Packet { at, wire_len, hash: self.table.hash(&key), link, key, from_low, headers }
    }

    /// A fragment, or in the inner layer what may be a tunnel.
    #[cold]
    fn slow_path(&mut self, packet: &Packet, data: &[u8], out: &mut impl FlowSink) {
        let now = self.clock.now();
        let Packet { at, wire_len, headers, .. } = *packet;
        if let Some((metered, tunnels)) = self.layers.select(Piece { at, wire_len, headers }, data, now) {
            let encapsulation =
                if metered == headers { Encapsulation::Frame(data) } else { Encapsulation::Passed(&tunnels) };
            let is_outermost = (metered.src_mac, metered.dst_mac) == (headers.src_mac, headers.dst_mac);
            let link = if is_outermost { packet.link } else { 0 };
            self.count(
                &self.keyed(at, (wire_len, link), metered),
                &Context { data, encapsulation, likely: NO_SLOT },
                out,
            );
        }
        self.count_ready(now, out);
        self.look_again();
    }

    /// Counts the fragments whose waiting is over.
    fn count_ready(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let now = now.min(self.clock.now());
        while let Some(Piece { at, wire_len, headers }) = self.layers.ready() {
            let context = Context { data: &[], encapsulation: Encapsulation::Unknown, likely: NO_SLOT };
            self.count_at(now, &self.keyed(at, (wire_len, 0), headers), &context, out);
        }
    }

    /// Counts a packet into its flow.
    #[inline]
    fn count(&mut self, packet: &Packet, context: &Context<'_>, out: &mut impl FlowSink) {
        self.count_at(self.clock.now(), packet, context, out);
    }

    #[inline]
    fn count_at(&mut self, now: Timestamp, packet: &Packet, context: &Context<'_>, out: &mut impl FlowSink) {
        let headers = &packet.headers;
        self.stats.flow_packets += 1;
        let (slot, starts) = self.flow(packet, context, now, out);
        let (hot, cold) = self.table.entry(slot);
        let direction = hot.direction(packet.from_low);
        let carried = hot.count(direction, packet.wire_len, headers);
        hot.see_time(cold, packet.at, now);
        let (ended, repeated) =
            headers.tcp.as_ref().map_or((false, false), |tcp| state::see_tcp(hot, cold, direction, tcp, headers));
        if hot.is_first_of(direction) {
            cold.see_first(hot, direction, packet);
        }
        let changes_hop = hot.is_other_link(direction, packet.link)
            && cold.see_link(hot, direction, packet.link, headers, packet.wire_len);
        let answers = !hot.marks.has(Mark::Answered) && is_answer(direction, headers);
        if answers {
            hot.marks.set(Mark::Answered);
        }
        let is_wanted = hot.budget.wants(direction.index(), headers.payload_bytes);
        let mut has_payload_facts = is_wanted
            && self.inspector.inspect(&mut hot.budget, &mut cold.payload, direction.index(), headers, context.data);
        let is_due = !self.limits.update_interval.is_zero() && !hot.marks.has(Mark::Recent);
        let is_odd = headers.fragment.is_some() | headers.has_route | headers.one_way;
        let seldom = Seldom { carried, ended, repeated, is_odd };
        if seldom.any() {
            has_payload_facts |= self.remember(packet, context, now, (slot, direction), seldom);
        }
        if starts || answers || has_payload_facts || changes_hop || is_due {
            self.report(now, slot, PacketEffects { starts, answers, has_payload_facts, changes_hop, is_due }, out);
        }
        if is_wanted && let Some(answered) = self.inspector.take_answered() {
            self.report_answer(now, slot, *answered, headers.src_mac, out);
        }
    }

    /// A name was answered with addresses.
    #[cold]
    fn report_answer(
        &mut self,
        now: Timestamp,
        slot: u32,
        (name, found): (Box<str>, Addresses),
        sender: Option<Mac>,
        out: &mut impl FlowSink,
    ) {
        let FiveTuple { orig, resp, .. } = self.table.hot(slot).tuple();
        let (point, addresses) = (self.point.clone(), found.addresses.into_boxed_slice());
        let answer = NameAnswer { point, asker: orig.ip, resolver: resp.ip, name, addresses, ttl: found.ttl };
        out.answer(now, sender, answer);
    }

    /// What happens seldom in the life of a flow; true when it brought first-payload facts.
    #[cold]
    fn remember(
        &mut self,
        packet: &Packet,
        context: &Context<'_>,
        now: Timestamp,
        (slot, direction): (u32, Direction),
        seldom: Seldom,
    ) -> bool {
        let headers = &packet.headers;
        let quotes = headers.one_way
            && quoted(headers, context.data).is_some_and(|inner| self.table.contains(&FlowKey::new(&inner).0));
        let (hot, cold) = self.table.entry(slot);
        if headers.fragment.is_some() {
            cold.extras(hot).fragments += 1;
        }
        if headers.has_route {
            cold.see_route(hot, headers, context.data);
        }
        if quotes {
            cold.see_quote(hot);
        }
        if seldom.carried {
            cold.carry(hot, direction, [1, packet.wire_len, headers.ip_bytes, headers.payload_bytes]);
        }
        let is_rewritten =
            seldom.repeated && self.inspector.rewrites(&cold.payload, direction.index(), headers.payload(context.data));
        if is_rewritten {
            cold.see_rewritten(hot);
        }
        if seldom.ended {
            self.table.arm_end(slot, now);
            self.look_again();
        }
        is_rewritten && self.inspector.may_report(&self.table.cold(slot).payload)
    }

    /// The flow of a packet, with an open record, and whether that record is new.
    #[inline]
    fn flow(&mut self, packet: &Packet, context: &Context<'_>, now: Timestamp, out: &mut impl FlowSink) -> (u32, bool) {
        let before = match self.table.find_at(context.likely, packet.hash, &packet.key) {
            None => None,
            Some(slot) => {
                let hot = self.table.hot(slot);
                let opening = hot.opening(packet.from_low, &packet.headers);
                if hot.marks.has(Mark::Open) && opening == Opening::None {
                    return (slot, false);
                }
                let mut before = Some(self.table.cold(slot).position());
                if opening == Opening::Turned {
                    self.turn(now, slot, out);
                    // A flow that turns twice has its first tuple again, perhaps at the same time: each turn has a number of its own.
                    before = before.map(|(_, again)| (packet.at, again));
                }
                if opening != Opening::Another {
                    // The flow goes on after its active timeout, or in the other direction.
                    self.open(slot, packet, context, now, before);
                    return (slot, true);
                }
                self.end(now, EndReason::EndOfFlow, slot, out);
                before
            }
        };
        self.make_room(now, out);
        let slot = self.table.insert(packet.key, packet.hash, packet.from_low, &packet.headers, now);
        let origin = self.origins.take(&packet.key, now);
        let origin = origin.filter(|_| packet.headers.tcp.is_none_or(|tcp| tcp.flags & tcp_flags::SYN == 0));
        if let Some(is_low) = origin {
            self.table.hot_mut(slot).set_origin(is_low);
        }
        self.open(slot, packet, context, now, before);
        if origin.is_some() {
            let (hot, cold) = self.table.entry(slot);
            cold.extras(hot).rare.remembered = true;
        }
        (slot, true)
    }

    /// The responder turned out to be the one who asked: the record ends, and the next one has the right direction.
    fn turn(&mut self, now: Timestamp, slot: u32, out: &mut impl FlowSink) {
        if self.table.hot(slot).marks.has(Mark::Open) {
            self.emit(now, FlowEventKind::Ended(EndReason::EndOfFlow), slot, out);
        }
        let (hot, cold) = self.table.entry(slot);
        hot.marks.clear(Mark::Open);
        state::turn(hot, cold);
    }

    /// Opens a record; `before` is the record of the same tuple that ended right before, if any.
    fn open(
        &mut self,
        slot: u32,
        packet: &Packet,
        context: &Context<'_>,
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
        if effects.changes_hop {
            self.emit(now, FlowEventKind::NextHopChanged, slot, out);
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
        let (hot, cold) = self.table.entry(slot);
        if reason == EndReason::IdleTimeout && hot.is_two_sided() && cold.has_two_senders() {
            self.origins.remember(hot.key, hot.marks.has(Mark::OrigIsLow), at);
        }
        self.inspector.release(&mut self.table.entry(slot).1.payload);
        self.table.remove(slot);
    }

    fn emit(&mut self, at: Timestamp, kind: FlowEventKind, slot: u32, out: &mut impl FlowSink) {
        self.table.hot_mut(slot).marks.clear(Mark::Dirty);
        let is_told = self.table.cold(slot).told || self.introduce(at, kind, slot, out);
        if is_told && kind != FlowEventKind::Started {
            out.flow(at, kind, self.view(slot));
        }
    }

    /// Reports that the record has started, where the sink takes it. One that it did not take is offered again when something happens to it, and
    /// ends unseen.
    fn introduce(&mut self, at: Timestamp, kind: FlowEventKind, slot: u32, out: &mut impl FlowSink) -> bool {
        let admitted = !matches!(kind, FlowEventKind::Ended(_)) && out.admits(at, kind, self.view(slot));
        if admitted {
            self.table.entry(slot).1.told = true;
            out.flow(at, FlowEventKind::Started, self.view(slot));
        }
        admitted
    }

    fn view(&self, slot: u32) -> FlowView<'_> {
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        FlowView { point: &self.point, ids: self.ids, hot, cold, inspector: &self.inspector }
    }
}
