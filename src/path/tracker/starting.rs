//! A record starts: a new flow, another point's view of a known one, or the next record of one.
//!
//! Contract: a five-tuple that is opened again is a flow of its own; what is cut out of a running connection is none.
//! Design: what a new record is to the flow that has its key decides; see [`Relation`].

use std::time::Duration;

use super::key::TrailKey;
use super::tracked_flow::{self, TrackedFlow};
use super::{Deadline, Step, Tracker, judging};
use crate::input::{FlowRecord, tcp_flags};
use crate::path::JudgeContext;
use crate::path::source::starts_here;
use crate::path::trail::Sighting;
use crate::time::Timestamp;

/// The same flow starts within so long of itself at two points; a later opening of the same five-tuple is another flow.
const SAME_START: Duration = Duration::from_secs(2);

/// What a record that starts is to the followed flow with its key.
enum Relation {
    /// None is followed.
    New,
    /// Another point's view of it.
    Witness,
    /// Its next record at the same point.
    GoesOn,
    /// Another flow with the same five-tuple.
    Replaces,
}

impl Tracker {
    pub(super) fn started(&mut self, context: JudgeContext<'_>, record: &FlowRecord, now: Timestamp, step: &mut Step) {
        self.watch(record);
        let key = self.key(context, record);
        let is_known = self.flows.contains_key(&key);
        if key.stranger.is_none()
            && !is_known
            && let Some(trail) = self.joined(context, record)
        {
            return self.witness_twin(context, trail, record, now, step);
        }
        let relation = if is_known { self.relation(context, key, record) } else { Relation::New };
        let handed_over = match relation {
            Relation::New => Vec::new(),
            Relation::Witness => return self.witness_start(context, key, record, now, step),
            Relation::GoesOn => return self.go_on(key, record),
            Relation::Replaces => self.replace(context, key, record, now, step),
        };
        self.make_room(context, now, step);
        self.follow(key, record);
        if !handed_over.is_empty()
            && let Some(tracked) = self.flows.get_mut(&key)
        {
            tracked.join(handed_over);
        }
        self.try_judge(context, record.id, now, Deadline::Grace, step);
        self.wait(context, record.id, now, step);
    }

    fn relation(&self, context: JudgeContext<'_>, key: TrailKey, record: &FlowRecord) -> Relation {
        let Some(tracked) = self.flows.get(&key) else { return Relation::New };
        let same_point = tracked.point == record.point;
        if !same_point && !self.begins_anew(context, tracked, record) {
            return Relation::Witness;
        }
        if same_point && tracked.goes_on_in(record) { Relation::GoesOn } else { Relation::Replaces }
    }

    fn witness_start(
        &mut self,
        context: JudgeContext<'_>,
        key: TrailKey,
        record: &FlowRecord,
        now: Timestamp,
        step: &mut Step,
    ) {
        let Some(tracked) = self.flows.get_mut(&key) else { return };
        let old = tracked.id;
        let nearer = tracked.witness_same(context, record);
        if nearer {
            self.renumber(old, record.id, key);
        }
        self.judge_or_revise(context, if nearer { record.id } else { old }, now, step);
    }

    /// Ends the flow that had the key; what other points saw of the new one already.
    fn replace(
        &mut self,
        context: JudgeContext<'_>,
        key: TrailKey,
        record: &FlowRecord,
        now: Timestamp,
        step: &mut Step,
    ) -> Vec<Sighting> {
        let Some(tracked) = self.flows.get_mut(&key) else { return Vec::new() };
        let (old, handed_over) = (tracked.id, tracked.hand_over(record));
        // One that is not judged yet still waits for its evidence: a forged handshake that turns it does not cut that short.
        if self.lingering.contains(&old) || self.waiting.contains(old) {
            self.put_aside(context, old, now, step);
        } else {
            self.end(context, old, now, step);
        }
        handed_over
    }

    /// Whether a record of another point than the one that meters a trail is no part of it: the five-tuple is opened a second time, or the trail
    /// began with a frame of the far end, and this point, nearer to the other end, shows that the other end asked.
    fn begins_anew(&self, context: JudgeContext<'_>, tracked: &TrackedFlow, record: &FlowRecord) -> bool {
        let distance = |point, tuple| tracked_flow::distance(context.timeline, point, tuple, record.start);
        let (old, new) = (distance(&tracked.point, tracked.tuple), distance(&record.point, record.tuple));
        if record.tuple == tracked.tuple {
            let is_strangers = new > old && context.timeline.owner_of_veth(&record.point, record.start).is_some();
            // Without a mark of the start, a flow that goes on may reach a point later than others: its route changed.
            let may_start = record.tcp.is_some() || tracked.over.is_some();
            let is_late = record.start.since(tracked.start) > SAME_START;
            return may_start && starts_here(record) && is_late && !is_strangers;
        }
        let is_turned = record.rare.as_ref().is_some_and(|rare| rare.reoriented);
        match record.tcp {
            Some(tcp) => tcp.orig_flags & tcp_flags::SYN != 0 && (new < old || (is_turned && new == old)),
            None => new < old && new <= tracked_flow::OWN_LINK && !self.is_warming_up(record),
        }
    }

    /// Whether a point may have missed what came before a record.
    fn is_warming_up(&self, record: &FlowRecord) -> bool {
        let since = self.watched_since.get(&record.point).copied().unwrap_or(record.start);
        record.start < since.plus(judging::WARM_UP)
    }

    /// The next record of the same point goes on with the flow.
    pub(super) fn go_on(&mut self, key: TrailKey, record: &FlowRecord) {
        let Some(tracked) = self.flows.get_mut(&key) else { return };
        let old = tracked.id;
        tracked.go_on(record);
        self.lingering.remove(&old);
        self.renumber(old, record.id, key);
    }
}
