//! Follows each flow from its first packet to its verdict, and joins what several points saw of it.
//!
//! Contract: a flow is judged once. It waits for the runtime to tell whose it is (`attribution_grace`), an attempt for an answer
//! (`answer_grace`), absence at a hop for the time in which the flow could still be seen there; then it is judged with what is known. A flow seen
//! at several points, or translated on its way, is one trail. Limits: at `max_flows` the oldest is forgotten and counted; one that was still
//! waiting is judged before that. Design: returns what happened; the engine owns timers and counters. A flow has one timer at a time.

mod judging;
mod tracked_flow;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::tracked_flow::{Phase, TrackedFlow};
use super::judge::{JudgeContext, Judgement};
use super::source::starts_here;
use super::trail::{self, Sighting};
use super::{Judge, ObservedFlow, Oriented};
use crate::input::{
    EndReason, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, NatBinding, ObservationPoint, SocketView,
};
use crate::inventory::Owner;
use crate::time::Timestamp;

/// Points whose first packet is remembered; when interfaces come and go beyond that, all count as new again.
const MAX_WATCHED: usize = 4096;
/// The same flow starts within so long of itself at two points; a later opening of the same five-tuple is another flow.
const SAME_START: Duration = Duration::from_secs(2);

/// A flow whose judgement is final.
#[derive(Clone, Debug)]
pub struct JudgedFlow {
    /// The flow, from the end that asked to the end that answers.
    pub view: ObservedFlow,
    /// The direction in which it was read.
    pub oriented: Oriented,
    /// Who asked.
    pub source: Owner,
    /// Who answers, where a contract about what comes in judged it.
    pub reached: Option<Owner>,
    /// Whether an answer was seen.
    pub answered: bool,
    /// What the contracts say; `None` where none covers it.
    pub judgement: Option<Judgement>,
    /// How long after its first packet this was final, in event time.
    pub took: Duration,
    /// Whether its end was told already: no progress follows.
    pub over: bool,
    /// Whether it was judged before, by another contract: what its content says came later.
    pub again: bool,
}

/// Waiting times and the bound.
#[derive(Clone, Copy, Debug)]
pub struct TrackerLimits {
    /// For the runtime to tell whose address it is.
    pub attribution_grace: Duration,
    /// For an answer.
    pub answer_grace: Duration,
    /// Flows followed at once.
    pub max_flows: usize,
}

/// What a step of the tracker asks of the engine.
#[derive(Debug, Default)]
pub struct Step {
    /// Flows that were judged now.
    pub judged: Vec<Arc<JudgedFlow>>,
    /// A flow that was judged before, and went on.
    pub went_on: Option<Arc<JudgedFlow>>,
    /// Flows to come back to, and when.
    pub timers: Vec<(Timestamp, FlowId)>,
    /// Flows that were forgotten because the table was full.
    pub forgotten: u64,
}

/// How long a flow is still worth waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline {
    /// Until its waiting times are over.
    Grace,
    /// Judge it now, whatever is missing.
    Now,
}

type Seeded = foldhash::fast::RandomState;

/// The flows that are being followed.
#[derive(Debug)]
pub struct Tracker {
    limits: TrackerLimits,
    judge: Judge,
    flows: hashbrown::HashMap<FiveTuple, TrackedFlow, Seeded>,
    tuples: hashbrown::HashMap<FlowId, FiveTuple, Seeded>,
    /// Translated twins, by their tuple: the tuple of the trail that they belong to.
    twins: hashbrown::HashMap<FiveTuple, FiveTuple, Seeded>,
    oldest_first: BTreeMap<u64, FlowId>,
    next_sequence: u64,
    waiting: BTreeSet<FlowId>,
    watched_since: BTreeMap<ObservationPoint, Timestamp>,
    relays: bool,
}

fn canonical(tuple: FiveTuple) -> FiveTuple {
    if tuple.orig <= tuple.resp { tuple } else { tuple.reversed() }
}

impl Tracker {
    /// Follows nothing yet.
    pub fn new(judge: Judge, limits: TrackerLimits) -> Self {
        let relays =
            judge.contracts().flat_map(super::Contract::hops).any(|hop| hop.accepts(super::EvidenceKind::Relay));
        Self {
            limits,
            judge,
            flows: hashbrown::HashMap::default(),
            tuples: hashbrown::HashMap::default(),
            twins: hashbrown::HashMap::default(),
            oldest_first: BTreeMap::new(),
            next_sequence: 0,
            waiting: BTreeSet::new(),
            watched_since: BTreeMap::new(),
            relays,
        }
    }

    /// Flows followed now.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether no flow is followed.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Whether a flow is followed: it has begun, and its end was not told yet or it waits for its judgement.
    pub fn is_followed(&self, id: FlowId) -> bool {
        self.tuples.contains_key(&id)
    }

    /// Takes in a flow event.
    pub fn on_event(&mut self, context: JudgeContext<'_>, event: &FlowEvent, step: &mut Step) {
        match event.kind {
            FlowEventKind::Started => self.started(context, &event.record, step),
            FlowEventKind::Answered | FlowEventKind::Payload | FlowEventKind::Updated | FlowEventKind::Ended(_) => {
                self.progress(context, &event.record, event.kind, step);
            }
        }
    }

    /// A waiting time is over.
    pub fn on_timer(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        self.try_judge(context, id, now, Deadline::Grace, step);
        self.wait(context, id, now, step);
    }

    /// The inventory changed: flows that wait for it are looked at again.
    pub fn on_inventory(&mut self, context: JudgeContext<'_>, now: Timestamp, step: &mut Step) {
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.try_judge(context, id, now, Deadline::Grace, step);
        }
    }

    /// The kernel showed a socket: flows that it may be behind, and that wait, are looked at again.
    pub fn on_socket(&mut self, context: JudgeContext<'_>, socket: &SocketView, now: Timestamp, step: &mut Step) {
        let SocketView { protocol, local, remote, .. } = *socket;
        let ids: Vec<FlowId> = match remote {
            Some(remote) if !local.ip.is_unspecified() => {
                let tuple = FiveTuple { protocol, orig: local, resp: remote };
                self.flows.get(&self.trail_of(tuple)).map(|tracked| tracked.id).into_iter().collect()
            }
            _ => {
                let at_port = |tuple: &FiveTuple| {
                    tuple.protocol == protocol && (tuple.orig.port == local.port || tuple.resp.port == local.port)
                };
                self.waiting.iter().copied().filter(|id| self.tuples.get(id).is_some_and(at_port)).collect()
            }
        };
        for id in ids.into_iter().filter(|id| self.waiting.contains(id)).collect::<Vec<_>>() {
            self.try_judge(context, id, now, Deadline::Grace, step);
        }
    }

    /// A translation was told: its two sides are one trail.
    pub fn on_binding(&mut self, context: JudgeContext<'_>, binding: &NatBinding, now: Timestamp, step: &mut Step) {
        let (before, after) = (canonical(binding.before), canonical(binding.after));
        let is_hosts = binding.netns.is_none();
        if is_hosts && before != after && self.flows.contains_key(&before) && self.flows.contains_key(&after) {
            self.merge(before, after);
        }
        for tuple in [before, after] {
            if let Some(id) = self.flows.get(&tuple).map(|tracked| tracked.id).filter(|id| self.waiting.contains(id)) {
                self.try_judge(context, id, now, Deadline::Grace, step);
            }
        }
    }

    /// The twin's sightings belong to the trail of the tuple before translation.
    fn merge(&mut self, before: FiveTuple, after: FiveTuple) {
        let Some(twin) = self.flows.get(&after).map(|tracked| tracked.id) else { return };
        let sightings = self.flows.get_mut(&after).map(TrackedFlow::drain_sightings).unwrap_or_default();
        let answered = self.flows.get(&after).is_some_and(|tracked| tracked.answered);
        self.forget(twin);
        if let Some(tracked) = self.flows.get_mut(&before) {
            tracked.answered |= answered;
            for sighting in sightings {
                tracked.witness(sighting);
            }
            if tracked.add_twin(after) {
                self.twins.insert(after, before);
            }
        }
    }

    /// The observation ends: what still waits is judged as it stands.
    pub fn finish(&mut self, context: JudgeContext<'_>, now: Timestamp, step: &mut Step) {
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.try_judge(context, id, now, Deadline::Now, step);
        }
    }

    /// The tuple of the trail that a tuple belongs to.
    fn trail_of(&self, tuple: FiveTuple) -> FiveTuple {
        let key = canonical(tuple);
        if self.flows.contains_key(&key) { key } else { self.twins.get(&key).copied().unwrap_or(key) }
    }

    /// The tuple of a followed trail that this one is a side of, by what is known of its translation.
    fn joined(&self, context: JudgeContext<'_>, record: &FlowRecord) -> Option<FiveTuple> {
        let binding = context.path.bindings.find(&record.tuple, record.start)?;
        let twin = canonical(trail::twin(binding, &record.tuple));
        (twin != canonical(record.tuple) && self.flows.contains_key(&twin)).then_some(twin)
    }

    fn started(&mut self, context: JudgeContext<'_>, record: &FlowRecord, step: &mut Step) {
        self.watch(record);
        let key = canonical(record.tuple);
        if !self.flows.contains_key(&key)
            && let Some(trail) = self.joined(context, record)
        {
            return self.witness_twin(context, trail, record, step);
        }
        if let Some(tracked) = self.flows.get_mut(&key) {
            let again = starts_here(record) && record.start.since(tracked.start) > SAME_START;
            let old = tracked.id;
            if tracked.point != record.point && !again && !tracked.leaves_elsewhere(context, record) {
                let nearer = tracked.witness_same(context, record);
                if nearer {
                    self.renumber(old, record.id, key);
                }
                let id = if nearer { record.id } else { old };
                return self.try_judge(context, id, record.start, Deadline::Grace, step);
            }
            if tracked.continues && tracked.point == record.point {
                tracked.go_on(record);
                return self.renumber(old, record.id, key);
            }
            self.try_judge(context, old, record.start, Deadline::Now, step);
            self.forget(old);
        }
        self.make_room(context, record.start, step);
        self.follow(key, record);
        self.try_judge(context, record.id, record.start, Deadline::Grace, step);
        self.wait(context, record.id, record.start, step);
    }

    fn watch(&mut self, record: &FlowRecord) {
        if !self.watched_since.contains_key(&record.point) {
            if self.watched_since.len() >= MAX_WATCHED {
                self.watched_since.clear();
            }
            self.watched_since.insert(record.point.clone(), record.start);
        }
    }

    fn witness_twin(&mut self, context: JudgeContext<'_>, trail: FiveTuple, record: &FlowRecord, step: &mut Step) {
        let Some(tracked) = self.flows.get_mut(&trail) else { return };
        let binding = context.path.bindings.find(&record.tuple, record.start);
        let reversed = binding.is_some_and(|binding| {
            let twin = trail::twin(binding, &record.tuple);
            twin != tracked.tuple
        });
        tracked.witness(Sighting::of(record, reversed));
        let id = tracked.id;
        if tracked.add_twin(canonical(record.tuple)) {
            self.twins.insert(canonical(record.tuple), trail);
        }
        self.try_judge(context, id, record.start, Deadline::Grace, step);
    }

    /// Another record meters the flow from now on.
    fn renumber(&mut self, old: FlowId, new: FlowId, key: FiveTuple) {
        let Some(tracked) = self.flows.get(&key) else { return };
        self.tuples.remove(&old);
        self.tuples.insert(new, key);
        self.oldest_first.insert(tracked.sequence, new);
        if self.waiting.remove(&old) {
            self.waiting.insert(new);
        }
    }

    fn follow(&mut self, key: FiveTuple, record: &FlowRecord) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.flows.insert(key, TrackedFlow::new(record, sequence));
        self.tuples.insert(record.id, key);
        self.oldest_first.insert(sequence, record.id);
        self.waiting.insert(record.id);
    }

    fn progress(&mut self, context: JudgeContext<'_>, record: &FlowRecord, kind: FlowEventKind, step: &mut Step) {
        let key = self.trail_of(record.tuple);
        let Some(tracked) = self.flows.get_mut(&key) else { return };
        let id = tracked.id;
        tracked.answered |= kind == FlowEventKind::Answered;
        if id != record.id {
            if kind == FlowEventKind::Answered {
                self.try_judge(context, id, record.end, Deadline::Grace, step);
            }
            return;
        }
        if tracked.rest.is_some() && judging::goes_on(record) {
            tracked.revive(record.end);
            self.waiting.insert(id);
            self.wait(context, id, record.end, step);
        }
        let Some(tracked) = self.flows.get_mut(&key) else { return };
        tracked.update(record);
        tracked.continues = kind == FlowEventKind::Ended(EndReason::ActiveTimeout);
        tracked.over = matches!(kind, FlowEventKind::Ended(_)) && !tracked.continues;
        let over = tracked.over;
        let Phase::Judged(judged) = &tracked.phase else {
            return self.try_judge(context, id, record.end, Deadline::Grace, step);
        };
        let judged = Arc::clone(judged);
        if kind == FlowEventKind::Payload {
            let read = if judged.oriented.forward { record.clone() } else { record.clone().reversed() };
            let again = self.judge_content(context, &judged, &read, step);
            if let Some((again, tracked)) = again.zip(self.flows.get_mut(&key)) {
                tracked.phase = Phase::Judged(again);
            }
        }
        step.went_on = (kind != FlowEventKind::Answered).then_some(judged);
        if over {
            self.forget(id);
        }
    }

    fn make_room(&mut self, context: JudgeContext<'_>, now: Timestamp, step: &mut Step) {
        while self.flows.len() >= self.limits.max_flows.max(1) {
            let Some((_, id)) = self.oldest_first.pop_first() else { return };
            self.try_judge(context, id, now, Deadline::Now, step);
            self.forget(id);
            step.forgotten += 1;
        }
    }

    fn forget(&mut self, id: FlowId) {
        if let Some(tracked) = self.tuples.remove(&id).and_then(|key| self.flows.remove(&key)) {
            self.oldest_first.remove(&tracked.sequence);
            for twin in tracked.twins {
                self.twins.remove(&twin);
            }
        }
        self.waiting.remove(&id);
    }
}
