//! What the meter reports of a flow, and when it ends.
//!
//! Contract: a record has one `Started` and one `Ended`; a timer's event carries its deadline.

use super::Meter;
use crate::decode::app::dns::Addresses;
use crate::flow::direction::Direction;
use crate::flow::sink::{FlowSink, FlowView};
use crate::flow::state::Mark;
use crate::flow::timers::Due;
use crate::flow::wheel::Wheel;
use crate::input::{EndReason, FiveTuple, FlowEventKind, Mac, NameAnswer};
use crate::time::Timestamp;

/// What a packet is for its flow, beside one more.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what one packet is, any of them together")]
pub(super) struct PacketEffects {
    /// The first of a record.
    pub(super) starts: bool,
    /// The first answer of a record.
    pub(super) answers: bool,
    /// It brought first-payload facts.
    pub(super) has_payload_facts: bool,
    /// It went over another pair of link addresses than those before.
    pub(super) changes_hop: bool,
    /// It is the first payload of its sender after a pause.
    pub(super) resumed_by: Option<Direction>,
    /// The last report was an update interval ago.
    pub(super) is_due: bool,
}

impl Meter {
    #[cold]
    #[inline(never)]
    pub(super) fn expire(&mut self, now: Timestamp, out: &mut impl FlowSink) {
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

    /// Reports what a packet, already counted, changed.
    #[inline(never)]
    pub(super) fn report(&mut self, now: Timestamp, slot: u32, effects: PacketEffects, out: &mut impl FlowSink) {
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
        if let Some(direction) = effects.resumed_by {
            self.resume(now, slot, direction, out);
        }
        if effects.is_due {
            self.update(now, slot, out);
        }
    }

    fn resume(&mut self, now: Timestamp, slot: u32, direction: Direction, out: &mut impl FlowSink) {
        let (_, cold) = self.table.entry(slot);
        if cold.resumed < FlowEventKind::MAX_RESUMED {
            cold.resumed += 1;
            self.emit(now, FlowEventKind::Resumed { by_orig: direction == Direction::Orig }, slot, out);
        }
    }

    /// A name was answered with addresses.
    #[cold]
    pub(super) fn report_answer(
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

    fn update(&mut self, at: Timestamp, slot: u32, out: &mut impl FlowSink) {
        self.emit(at, FlowEventKind::Updated, slot, out);
        let (hot, cold) = self.table.entry(slot);
        hot.marks.set(Mark::Recent);
        cold.reported = at;
        self.table.arm_report(slot, at);
        self.look_again();
    }

    /// Ends the flow nearest to its end if the table is full; a connection that has ended is not counted as evicted.
    pub(super) fn make_room(&mut self, now: Timestamp, out: &mut impl FlowSink) {
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
    pub(super) fn end(&mut self, at: Timestamp, reason: EndReason, slot: u32, out: &mut impl FlowSink) {
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

    pub(super) fn emit(&mut self, at: Timestamp, kind: FlowEventKind, slot: u32, out: &mut impl FlowSink) {
        // A pause is told of beside the updates, not in place of one.
        if !matches!(kind, FlowEventKind::Resumed { .. }) {
            self.table.hot_mut(slot).marks.clear(Mark::Dirty);
        }
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
