//! Decode and flow table of one observation point.
//!
//! Contract: event times never go back. A timer fires when the clock reaches its deadline, before what happens then, and
//! its event carries the deadline: output depends on the packets only, not on how often time is told.
//! Each packet is counted into exactly one record, and each record has one `Started` and one `Ended`.
//! Limits: the clock is the latest packet time (or `advance`) seen; packets from before it count at the clock, while records
//! keep the packets' own times. A packet from far in the future ends every flow, once.
//! Design: packets go in batches through decoding, reading ahead in the table, and counting. A TCP connection that has ended
//! stays for [`TCP_LINGER`] after its last packet: the last ACK, repeated FINs and late RSTs count into it and do not make a
//! flow in the wrong direction; a new SYN ends it at once and starts a new flow.

use std::time::Duration;

use super::id::IdMaker;
use super::index::NO_SLOT;
use super::key::FlowKey;
use super::sink::{FlowSink, FlowView, Frame};
use super::state::{self, Direction, is_answer, is_syn};
use super::table::Table;
use super::timers::{Due, Timers};
use super::wheel::Wheel;
use crate::decode::{DecodeReason, Decoded, Headers, LinkType, decode};
use crate::input::{EndReason, FlowEventKind, ObservationPoint};
use crate::time::{Timestamp, Watermark};

/// How long an ended TCP connection still takes in late packets, at most the idle timeout; its `Ended` comes after that.
pub const TCP_LINGER: Duration = Duration::from_secs(5);

/// Bounds and timeouts of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterLimits {
    /// Flows held at once; at the bound the one nearest to its end (the longest idle) is evicted and counted.
    pub max_flows: usize,
    /// A flow without a packet for so long ends; zero switches it off.
    pub idle_timeout: Duration,
    /// A flow longer than this is reported and goes on in a new record; zero switches it off.
    pub active_timeout: Duration,
    /// `Updated` is sent at most this often; zero switches it off.
    pub update_interval: Duration,
}

/// What a meter counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Packets read.
    pub packets: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
    /// Flows started.
    pub flows: u64,
    /// Flows held now.
    pub active_flows: u64,
    /// Packets counted into flows.
    pub flow_packets: u64,
    /// Well-formed frames that carry no IP (ARP, LLDP …).
    pub non_ip: u64,
    /// Packets not decoded, by reason (`DecodeReason::as_str`), only non-zero ones.
    pub not_decoded: Vec<(&'static str, u64)>,
    /// Flows evicted because the table was full.
    pub evicted_flows: u64,
}

/// Packets that go through the stages together: enough to wait for memory once, few enough to stay in the first cache.
const BATCH: usize = 32;

/// Packets of one observation point into flow events.
#[derive(Debug)]
pub struct Meter {
    point: ObservationPoint,
    link: LinkType,
    limits: MeterLimits,
    ids: IdMaker,
    clock: Watermark,
    table: Table,
    /// Nothing is due before this.
    next_check: Timestamp,
    stats: MeterStats,
    not_decoded: [u64; DecodeReason::ALL.len()],
    /// What reading ahead yields; kept so that it is not optimised away.
    warmth: u32,
}

/// A decoded packet on its way to its flow.
#[derive(Clone, Copy, Debug)]
struct Packet {
    at: Timestamp,
    wire_len: u32,
    hash: u32,
    key: FlowKey,
    from_low: bool,
    headers: Headers,
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
            next_check: Timestamp::MAX,
            stats: MeterStats::default(),
            not_decoded: [0; DecodeReason::ALL.len()],
            warmth: 0,
        }
    }

    /// Captured packets, in the order they were captured.
    pub fn packets(&mut self, frames: &[Frame<'_>], out: &mut impl FlowSink) {
        for frames in frames.chunks(BATCH) {
            let mut packets = [const { None }; BATCH];
            let mut hashes = [0; BATCH];
            let mut likely = [NO_SLOT; BATCH];
            for ((frame, packet), hash) in frames.iter().zip(&mut packets).zip(&mut hashes) {
                *packet = self.decode(frame);
                *hash = packet.as_ref().map_or(0, |packet| packet.hash);
            }
            self.warmth ^= self.table.look_ahead(&hashes[..frames.len()], &mut likely[..frames.len()]);
            for ((frame, packet), likely) in frames.iter().zip(&packets).zip(likely) {
                self.advance(frame.at, out);
                if let Some(packet) = packet {
                    self.count(packet, likely, out);
                }
            }
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

    fn expire(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        while let Some((deadline, due, slot)) = self.table.next_due(now) {
            self.fire(deadline, due, slot, out);
        }
        self.next_check = self.table.next_check();
    }

    /// The observation ends: every record ends, in order of (start, tuple), with `ForcedEnd`, or with `EndOfFlow` where TCP
    /// had ended before.
    pub fn drain(&mut self, out: &mut impl FlowSink) {
        let now = self.clock.now();
        for slot in self.table.open_by_start() {
            let reason = if self.table.hot(slot).closed { EndReason::EndOfFlow } else { EndReason::ForcedEnd };
            self.emit(now, FlowEventKind::Ended(reason), slot, out);
        }
        self.table.clear();
        self.next_check = Timestamp::MAX;
    }

    /// Counters so far.
    pub fn stats(&self) -> MeterStats {
        let counts = DecodeReason::ALL.into_iter().zip(self.not_decoded);
        MeterStats {
            active_flows: self.table.len() as u64,
            not_decoded: counts.filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.as_str(), n)).collect(),
            ..self.stats.clone()
        }
    }

    /// Decodes and counts a frame; `None` where it belongs to no flow.
    #[inline]
    fn decode(&mut self, frame: &Frame<'_>) -> Option<Packet> {
        self.stats.packets += 1;
        self.stats.frame_bytes += u64::from(frame.wire_len);
        match decode(self.link, frame.wire_len, frame.data) {
            Ok(Decoded::Ip(headers)) => {
                let (key, from_low) = FlowKey::new(&headers);
                let hash = self.table.hash(&key);
                Some(Packet { at: frame.at, wire_len: frame.wire_len, hash, key, from_low, headers })
            }
            Ok(Decoded::NonIp) => {
                self.stats.non_ip += 1;
                None
            }
            Err(reason) => {
                self.not_decoded[reason.index()] += 1;
                None
            }
        }
    }

    /// Counts a packet into its flow.
    #[inline]
    fn count(&mut self, packet: &Packet, likely: u32, out: &mut impl FlowSink) {
        let now = self.clock.now();
        let headers = &packet.headers;
        self.stats.flow_packets += 1;
        let (slot, starts) = self.flow(packet, likely, now, out);
        let hot = self.table.hot_mut(slot);
        let direction = hot.direction(packet.from_low);
        let carried = hot.count(direction, packet.at, packet.wire_len, headers);
        hot.last = now;
        let ended = headers.tcp_flags().is_some_and(|flags| hot.see_tcp(direction, flags));
        let is_first = hot.is_first_of(direction);
        let answers = !hot.answered && is_answer(direction, headers);
        hot.answered |= answers;
        if carried || ended || is_first {
            self.remember(packet, slot, direction, (carried, ended));
        }
        if starts || answers || !self.limits.update_interval.is_zero() {
            self.report(now, slot, starts, answers, out);
        }
    }

    /// What happens seldom in the life of a flow.
    fn remember(&mut self, packet: &Packet, slot: u32, direction: Direction, (carried, ended): (bool, bool)) {
        let now = self.clock.now();
        let (hot, cold) = self.table.entry(slot);
        cold.see_mac(direction, &packet.headers);
        if carried {
            let headers = &packet.headers;
            cold.carry(hot, direction, [1, packet.wire_len, headers.ip_bytes, headers.payload_bytes]);
        }
        if ended {
            self.table.arm_end(slot, now);
            self.next_check = self.next_check.min(self.table.next_check());
        }
    }

    /// The flow of a packet, with an open record, and whether that record is new.
    #[inline]
    fn flow(&mut self, packet: &Packet, likely: u32, now: Timestamp, out: &mut impl FlowSink) -> (u32, bool) {
        if let Some(slot) = self.table.find_at(likely, packet.hash, &packet.key) {
            let hot = self.table.hot(slot);
            if hot.open && !(hot.closed && is_syn(&packet.headers)) {
                return (slot, false);
            }
            return (self.reopen(slot, packet, now, out), true);
        }
        (self.start(packet, now, None, out), true)
    }

    /// A new record for a tuple that is in the table: the flow goes on after its active timeout, or a new connection begins.
    fn reopen(&mut self, slot: u32, packet: &Packet, now: Timestamp, out: &mut impl FlowSink) -> u32 {
        let hot = self.table.hot(slot);
        let before = Some(self.table.cold(slot).position());
        if hot.closed && is_syn(&packet.headers) {
            self.end(now, EndReason::EndOfFlow, slot, out);
            return self.start(packet, now, before, out);
        }
        self.open(slot, packet, now, before);
        slot
    }

    fn start(
        &mut self,
        packet: &Packet,
        now: Timestamp,
        before: Option<(Timestamp, u32)>,
        out: &mut impl FlowSink,
    ) -> u32 {
        self.make_room(now, out);
        let (mut hot, cold) = state::first_packet(packet.key, packet.hash, packet.from_low, &packet.headers);
        hot.last = now;
        let slot = self.table.insert(hot, cold, now);
        self.open(slot, packet, now, before);
        slot
    }

    fn open(&mut self, slot: u32, packet: &Packet, now: Timestamp, before: Option<(Timestamp, u32)>) {
        state::open_record(self.table.entry(slot), (packet.at, now), &packet.headers, before);
        self.stats.flows += 1;
        self.table.arm_report(slot, now);
        self.next_check = self.next_check.min(self.table.next_check());
    }

    /// Tells what a packet, already counted, means.
    fn report(&mut self, now: Timestamp, slot: u32, starts: bool, answered: bool, out: &mut impl FlowSink) {
        if starts {
            self.emit(now, FlowEventKind::Started, slot, out);
        }
        if answered {
            self.emit(now, FlowEventKind::Answered, slot, out);
        }
        if !self.limits.update_interval.is_zero() && !self.table.hot(slot).recent {
            self.update(now, slot, out);
        }
    }

    fn update(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        self.emit(at, FlowEventKind::Updated, slot, out);
        let (hot, cold) = self.table.entry(slot);
        hot.recent = true;
        cold.reported = at;
        self.table.arm_report(slot, at);
        self.next_check = self.next_check.min(self.table.next_check());
    }

    /// Ends the flow nearest to its end if the table is full; a connection that has ended is not counted as evicted.
    fn make_room(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let max_flows = self.limits.max_flows.clamp(1, Wheel::MAX_SLOTS as usize);
        while self.table.len() >= max_flows {
            let Some(slot) = self.table.first_to_end() else { return };
            let hot = self.table.hot(slot);
            let reason = if hot.closed { EndReason::EndOfFlow } else { EndReason::LackOfResources };
            // A flow between two records loses nothing.
            self.stats.evicted_flows += u64::from(hot.open && !hot.closed);
            self.end(now, reason, slot, out);
        }
    }

    fn fire(&mut self, deadline: Timestamp, due: Due, slot: u32, out: &mut impl FlowSink) {
        match due {
            Due::End if self.table.hot(slot).closed => self.end(deadline, EndReason::EndOfFlow, slot, out),
            Due::End => self.end(deadline, EndReason::IdleTimeout, slot, out),
            Due::Active => self.close_record(deadline, slot, out),
            Due::Update if self.table.hot(slot).dirty => self.update(deadline, slot, out),
            Due::Update => {
                self.table.hot_mut(slot).recent = false;
                self.table.arm_report(slot, deadline);
            }
        }
    }

    /// The active timeout: the record ends, the flow stays.
    fn close_record(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        let reason = if self.table.hot(slot).closed { EndReason::EndOfFlow } else { EndReason::ActiveTimeout };
        self.emit(at, FlowEventKind::Ended(reason), slot, out);
        let hot = self.table.hot_mut(slot);
        hot.open = false;
        hot.recent = false;
        self.table.arm_report(slot, at);
    }

    /// Ends a flow and its record, if one is open.
    fn end(&mut self, at: Timestamp, reason: EndReason, slot: u32, out: &mut impl FlowSink) {
        if self.table.hot(slot).open {
            self.emit(at, FlowEventKind::Ended(reason), slot, out);
        }
        self.table.remove(slot);
    }

    fn emit(&mut self, at: Timestamp, kind: FlowEventKind, slot: u32, out: &mut impl FlowSink) {
        self.table.hot_mut(slot).dirty = false;
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        out.flow(at, kind, FlowView { point: &self.point, ids: self.ids, hot, cold });
    }
}
