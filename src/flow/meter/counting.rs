//! A packet into its flow.
//!
//! Contract: each packet is counted into exactly one record. Design: what happens seldom in the life of a flow is out of the way of the rest.

use super::Meter;
use super::events::PacketEffects;
use crate::decode::{Headers, quoted};
use crate::flow::direction::Direction;
use crate::flow::fragments::Piece;
use crate::flow::index::NO_SLOT;
use crate::flow::key::FlowKey;
use crate::flow::layers::Encapsulation;
use crate::flow::packet::{Context, Packet};
use crate::flow::sink::FlowSink;
use crate::flow::state::{self, Mark, Opening, is_answer};
use crate::input::{EndReason, FlowEventKind, tcp_flags};
use crate::time::Timestamp;

/// What happens seldom in the life of a flow.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what one packet is, any of them together")]
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

impl Meter {
    #[inline]
    fn keyed(&self, at: Timestamp, (wire_len, link): (u32, u32), headers: Headers) -> Packet {
        let (key, from_low) = FlowKey::new(&headers);
        Packet { at, wire_len, hash: self.table.hash(&key), link, key, from_low, headers }
    }

    /// A fragment, or in the inner layer what may be a tunnel.
    #[cold]
    pub(super) fn slow_path(&mut self, packet: &Packet, data: &[u8], out: &mut impl FlowSink) {
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
    pub(super) fn count_ready(&mut self, now: Timestamp, out: &mut impl FlowSink) {
        let now = now.min(self.clock.now());
        while let Some(Piece { at, wire_len, headers }) = self.layers.ready() {
            let context = Context { data: &[], encapsulation: Encapsulation::Unknown, likely: NO_SLOT };
            self.count_at(now, &self.keyed(at, (wire_len, 0), headers), &context, out);
        }
    }

    /// Counts a packet into its flow.
    #[inline]
    pub(super) fn count(&mut self, packet: &Packet, context: &Context<'_>, out: &mut impl FlowSink) {
        self.count_at(self.clock.now(), packet, context, out);
    }

    #[inline]
    fn count_at(&mut self, now: Timestamp, packet: &Packet, context: &Context<'_>, out: &mut impl FlowSink) {
        let headers = &packet.headers;
        self.stats.flow_packets += 1;
        let (slot, starts) = self.flow(packet, context, now, out);
        let (hot, cold) = self.table.entry(slot);
        let direction = hot.direction(packet.from_low);
        let resumes = hot.is_resumed_by(direction, headers, now);
        let carried = hot.count(direction, packet.wire_len, headers);
        cold.see_time(hot, packet.at, now);
        let tcp =
            headers.tcp.as_ref().map(|tcp| state::see_tcp(hot, cold, direction, tcp, headers)).unwrap_or_default();
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
        // A fragment that waited is not the packet that comes now.
        if (is_wanted || hot.is_beginning()) && !context.data.is_empty() {
            out.telling();
        }
        let mut has_payload_facts = is_wanted
            && self.inspector.inspect(&mut hot.budget, &mut cold.payload, direction.index(), headers, context.data);
        let is_due = !self.limits.update_interval.is_zero() && !hot.marks.has(Mark::Recent);
        let is_odd = headers.fragment.is_some() | headers.has_route | headers.one_way;
        let seldom = Seldom { carried, ended: tcp.has_ended, repeated: tcp.is_repeated, is_odd };
        if seldom.any() {
            has_payload_facts |= self.remember(packet, context, now, (slot, direction), seldom);
        }
        if starts || answers || has_payload_facts || changes_hop || resumes || is_due {
            let resumed_by = resumes.then_some(direction);
            self.report(
                now,
                slot,
                PacketEffects { starts, answers, has_payload_facts, changes_hop, resumed_by, is_due },
                out,
            );
        }
        if is_wanted && let Some(answered) = self.inspector.take_answered() {
            self.report_answer(now, slot, *answered, headers.src_mac, out);
        }
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
}
