//! Decode and flow table of one observation point.
//!
//! Contract: event times never go back. A timer fires when the clock reaches its deadline, before what happens then, and
//! its event carries the deadline: output depends on the packets only, not on how often time is told.
//! Each packet is counted into exactly one record, and each record has one `Started` and one `Ended`.
//! Limits: the clock is the latest packet time (or `advance`) seen; packets from before it count at the clock, while records
//! keep the packets' own times. A packet from far in the future ends every flow, once.
//! Design: one queue a timeout, ordered by deadline; so expiry costs a constant a packet. A TCP connection that has ended
//! stays for [`TCP_LINGER`] after its last packet: the last ACK, repeated FINs and late RSTs count into it and do not make a
//! flow in the wrong direction; a new SYN ends it at once and starts a new flow.

use std::time::Duration;

use super::id::IdMaker;
use super::key::FlowKey;
use super::probe::Probes;
use super::queue::Queue;
use super::sink::{FlowSink, FlowView, Frame};
use super::state::{self, is_answer, is_syn};
use super::table::Table;
use crate::decode::{DecodeReason, Decoded, Headers, LinkType, decode};
use crate::input::{EndReason, FlowEventKind, ObservationPoint};
use crate::time::{Timestamp, Watermark};

/// How long an ended TCP connection still takes in late packets, at most the idle timeout; its `Ended` comes after that.
pub const TCP_LINGER: Duration = Duration::from_secs(5);

/// Bounds and timeouts of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterLimits {
    /// Flows held at once; at the bound the longest idle is evicted and counted.
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
    /// Times that payload was given up because too many flows were being looked at.
    pub probes_refused: u64,
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
    probes: Probes,
    stats: MeterStats,
    not_decoded: [u64; DecodeReason::ALL.len()],
}

/// What is due; at the same deadline in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Idle,
    Linger,
    Active,
    Update,
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
            table: Table::new(),
            probes: Probes::default(),
            stats: MeterStats::default(),
            not_decoded: [0; DecodeReason::ALL.len()],
        }
    }

    /// Captured packets, in the order they were captured.
    pub fn packets(&mut self, frames: &[Frame<'_>], out: &mut impl FlowSink) {
        for frame in frames {
            self.packet(frame.at, frame.wire_len, frame.data, out);
        }
    }

    /// One captured packet: `wire_len` bytes long on the wire, `data` of them captured.
    pub fn packet(&mut self, at: Timestamp, wire_len: u32, data: &[u8], out: &mut impl FlowSink) {
        self.advance(at, out);
        self.stats.packets += 1;
        self.stats.frame_bytes += u64::from(wire_len);
        match decode(self.link, wire_len, data) {
            Ok(Decoded::Ip(headers)) => self.count(at, wire_len, &headers, data, out),
            Ok(Decoded::NonIp) => self.stats.non_ip += 1,
            Err(reason) => self.not_decoded[reason.index()] += 1,
        }
    }

    /// Time passed without a packet: expires and reports.
    pub fn advance(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let now = self.clock.advance(now);
        while let Some((deadline, due, slot)) = self.next_due().filter(|(deadline, ..)| *deadline <= now) {
            self.fire(deadline, due, slot, out);
        }
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
        self.probes = Probes::default();
    }

    /// Counters so far.
    pub fn stats(&self) -> MeterStats {
        let counts = DecodeReason::ALL.into_iter().zip(self.not_decoded);
        MeterStats {
            active_flows: self.table.len() as u64,
            probes_refused: self.probes.refused(),
            not_decoded: counts.filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.as_str(), n)).collect(),
            ..self.stats.clone()
        }
    }

    /// Counts a packet into its flow.
    fn count(&mut self, at: Timestamp, wire_len: u32, headers: &Headers, data: &[u8], out: &mut impl FlowSink) {
        let now = self.clock.now();
        self.stats.flow_packets += 1;
        let (key, from_low) = FlowKey::new(headers);
        let (slot, starts) = self.flow(key, from_low, (at, now), headers, out);
        let (hot, cold) = self.table.entry(slot);
        let direction = hot.direction(from_low);
        let ended = hot.count(direction, at, wire_len, headers);
        hot.last = now;
        if state::is_first_of_direction(hot, direction) {
            cold.see_mac(direction, headers);
            cold.seat.see_first(direction.index(), headers);
        }
        if hot.interest.wants(direction.index(), headers.payload_bytes) {
            let (interest, seat) = (&mut hot.interest, &mut cold.seat);
            self.probes.feed(interest, seat, direction.index(), headers, headers.payload(data));
        }
        self.touch(slot, ended);
        self.report(now, slot, starts, is_answer(direction, headers), out);
    }

    /// The flow of a packet, with an open record, and whether that record is new.
    fn flow(
        &mut self,
        key: FlowKey,
        from_low: bool,
        times: (Timestamp, Timestamp),
        headers: &Headers,
        out: &mut impl FlowSink,
    ) -> (u32, bool) {
        let hash = self.table.hash(&key);
        let mut before = None;
        let mut found = self.table.find(hash, &key);
        if let Some(slot) = found {
            let hot = self.table.hot(slot);
            let is_new_connection = hot.closed && is_syn(headers);
            if hot.open && !is_new_connection {
                return (slot, false);
            }
            before = Some(self.table.cold(slot).position());
            if is_new_connection {
                self.end(times.1, EndReason::EndOfFlow, slot, out);
                found = None;
            }
        }
        let slot = found.unwrap_or_else(|| {
            self.make_room(times.1, out);
            let (hot, cold) = state::first_packet(key, hash, from_low, headers);
            self.table.insert(hot, cold)
        });
        state::open_record(self.table.entry(slot), times, headers, self.ids, before);
        self.stats.flows += 1;
        self.table.active.push(slot);
        (slot, true)
    }

    /// Moves a flow to the end of the queue that it belongs in.
    fn touch(&mut self, slot: u32, ended: bool) {
        if ended {
            self.table.idle.remove(slot);
        }
        if self.table.hot(slot).closed {
            self.table.closed.push(slot);
        } else {
            self.table.idle.push(slot);
        }
    }

    /// Tells what a packet, already counted, means.
    fn report(&mut self, now: Timestamp, slot: u32, starts: bool, answers: bool, out: &mut impl FlowSink) {
        let hot = self.table.entry(slot).0;
        let answered = answers && !hot.answered;
        hot.answered |= answers;
        if starts {
            self.emit(now, FlowEventKind::Started, slot, out);
        }
        if answered {
            self.emit(now, FlowEventKind::Answered, slot, out);
        }
        if self.limits.update_interval.is_zero() {
            return;
        }
        if starts {
            self.table.reported.push(slot);
        } else if !self.table.reported.contains(slot) {
            self.update(now, slot, out);
        }
    }

    fn update(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        self.emit(at, FlowEventKind::Updated, slot, out);
        self.table.entry(slot).1.reported = at;
        self.table.reported.push(slot);
    }

    /// Ends the longest idle flow if the table is full; connections that have ended go first and are not counted as evicted.
    fn make_room(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let max_flows = self.limits.max_flows.clamp(1, Queue::MAX_SLOTS as usize);
        while self.table.len() >= max_flows {
            if let Some(slot) = self.table.closed.front() {
                self.end(now, EndReason::EndOfFlow, slot, out);
            } else if let Some(slot) = self.table.idle.front() {
                // A flow between two records loses nothing.
                self.stats.evicted_flows += u64::from(self.table.hot(slot).open);
                self.end(now, EndReason::LackOfResources, slot, out);
            } else {
                return;
            }
        }
    }

    /// The earliest timer.
    fn next_due(&self) -> Option<(Timestamp, Due, u32)> {
        let idle = self.limits.idle_timeout;
        let linger = if idle.is_zero() { TCP_LINGER } else { TCP_LINGER.min(idle) };
        let last = |slot: u32| self.table.hot(slot).last;
        let timer = |queue: &Queue, due: Due, span: Duration, since: &dyn Fn(u32) -> Timestamp| {
            let slot = queue.front().filter(|_| !span.is_zero())?;
            Some((since(slot).plus(span), due, slot))
        };
        [
            timer(&self.table.idle, Due::Idle, idle, &last),
            timer(&self.table.closed, Due::Linger, linger, &last),
            timer(&self.table.active, Due::Active, self.limits.active_timeout, &|slot| self.table.cold(slot).started),
            timer(&self.table.reported, Due::Update, self.limits.update_interval, &|slot| {
                self.table.cold(slot).reported
            }),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn fire(&mut self, deadline: Timestamp, due: Due, slot: u32, out: &mut impl FlowSink) {
        match due {
            Due::Idle => self.end(deadline, EndReason::IdleTimeout, slot, out),
            Due::Linger => self.end(deadline, EndReason::EndOfFlow, slot, out),
            Due::Active => self.close_record(deadline, slot, out),
            Due::Update => {
                self.table.reported.remove(slot);
                if self.table.hot(slot).dirty {
                    self.update(deadline, slot, out);
                }
            }
        }
    }

    /// The active timeout: the record ends, the flow stays.
    fn close_record(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        let reason = if self.table.hot(slot).closed { EndReason::EndOfFlow } else { EndReason::ActiveTimeout };
        self.emit(at, FlowEventKind::Ended(reason), slot, out);
        self.table.entry(slot).0.open = false;
        self.table.active.remove(slot);
        self.table.reported.remove(slot);
    }

    /// Ends a flow and its record, if one is open.
    fn end(&mut self, at: Timestamp, reason: EndReason, slot: u32, out: &mut impl FlowSink) {
        if self.table.hot(slot).open {
            self.emit(at, FlowEventKind::Ended(reason), slot, out);
        }
        self.probes.release(&mut self.table.entry(slot).1.seat);
        self.table.remove(slot);
    }

    fn emit(&mut self, at: Timestamp, kind: FlowEventKind, slot: u32, out: &mut impl FlowSink) {
        let (hot, cold) = self.table.entry(slot);
        hot.dirty = false;
        out.flow(at, kind, FlowView { point: &self.point, hot, cold, probes: &self.probes });
    }
}
