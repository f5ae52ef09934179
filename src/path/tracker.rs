//! Follows each flow from its first packet to its verdict, and joins what several points saw of it.
//!
//! Contract: a flow waits for the runtime to report its owner (`attribution_grace`), an attempt for an answer (`answer_grace`), absence at a hop
//! for the time in which the flow could still be seen there; then it is judged with what is known. The judgement of a covered flow is revised
//! until the flow ends (ADR 11). A flow seen at several points, or translated on its way, is one trail; frames that a stranger forged are a trail
//! of their own (ADR 10). Limits: at `max_flows` the oldest is forgotten and counted; one that was still waiting is judged before that.
//! Design: returns what happened; the engine owns timers and counters. A flow has one timer at a time while it waits, and one for each pair of MACs that is new.

mod aside;
mod asked;
mod by_age;
mod ended_early;
mod flows;
mod judging;
mod key;
mod rejoin;
mod revising;
mod starting;
mod tracked_flow;
mod translation;
mod unsure;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::aside::Aside;
use self::asked::Spent;
use self::by_age::ByAge;
use self::ended_early::EndedEarly;
use self::flows::Flows;
use self::judging::binding_of;
use self::key::TrailKey;
use self::tracked_flow::TrackedFlow;
use self::unsure::UnsureOrigins;
use self::waiting::{Waiting, traces_of};
use super::source;
use super::{Contract, EvidenceKind, Judge, JudgeContext, JudgedFlow};
use crate::input::{
    EndReason, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, ObservationPoint, SocketView, Workload,
};
use crate::inventory::{Touched, Trace};
use crate::time::Timestamp;

/// Points whose first packet is remembered; when interfaces come and go beyond that, all count as new again.
const MAX_WATCHED: usize = 4096;

/// Waiting times and the bound.
#[derive(Clone, Copy, Debug)]
pub struct TrackerLimits {
    /// For the runtime to report whose address it is.
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
    /// A flow that was judged before, and was answered.
    pub answered: Option<Arc<JudgedFlow>>,
    /// A judged flow in whose record a new pair of MACs appeared, at any point.
    pub new_link: Option<Arc<JudgedFlow>>,
    /// Judged flows of which nothing more will be reported, although they have not ended.
    pub gone: Vec<FlowId>,
    /// Flows to come back to, and when.
    pub timers: Vec<(Timestamp, FlowId)>,
    /// Flows that were forgotten because the table was full.
    pub forgotten: u64,
}

impl Step {
    /// Empties it; its room stays.
    pub fn clear(&mut self) {
        let Self { judged, went_on, answered, new_link, gone, timers, forgotten } = self;
        judged.clear();
        gone.clear();
        timers.clear();
        (*went_on, *answered, *new_link, *forgotten) = (None, None, None, 0);
    }
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
    flows: Flows,
    /// Translated twins, by their own key: the key of the trail that they belong to.
    twins: hashbrown::HashMap<TrailKey, TrailKey, Seeded>,
    by_age: ByAge,
    next_sequence: u64,
    /// Flows without a judgement.
    waiting: Waiting,
    /// Flows that have ended, whose other points may still report.
    lingering: BTreeSet<FlowId>,
    /// Those of them whose five-tuple is in use again.
    aside: Aside,
    /// Conversations that fell silent, and of which it is not certain who began them.
    unsure: UnsureOrigins,
    /// Connections whose translated side may still show.
    ended_early: EndedEarly,
    watched_since: BTreeMap<ObservationPoint, Timestamp>,
    forgotten_points: u64,
    relays: bool,
    spent: Spent,
}

impl Tracker {
    /// Follows nothing yet.
    pub fn new(judge: Judge, limits: TrackerLimits) -> Self {
        Self {
            limits,
            relays: relays(&judge),
            judge,
            flows: Flows::default(),
            twins: hashbrown::HashMap::default(),
            by_age: ByAge::default(),
            next_sequence: 0,
            waiting: Waiting::default(),
            lingering: BTreeSet::new(),
            aside: Aside::default(),
            unsure: UnsureOrigins::default(),
            ended_early: EndedEarly::default(),
            watched_since: BTreeMap::new(),
            forgotten_points: 0,
            spent: Spent::default(),
        }
    }

    /// Takes over other contracts and limits. What was said of a flow stays until it is revised; one that no contract covered stays uncovered.
    pub fn reconfigure(&mut self, judge: Judge, limits: TrackerLimits) {
        (self.relays, self.judge, self.limits) = (relays(&judge), judge, limits);
    }

    /// The contracts.
    pub fn contracts(&self) -> impl Iterator<Item = &Contract> + Clone {
        self.judge.contracts()
    }

    /// Flows followed now.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Observation points forgotten because there were too many.
    pub const fn forgotten_points(&self) -> u64 {
        self.forgotten_points
    }

    /// Whether no flow is followed.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Whether a flow is followed: it has begun, and its end was not reported yet or it waits for its judgement.
    pub fn is_followed(&self, id: FlowId) -> bool {
        self.flows.of(id).is_some()
    }

    /// Takes in a flow event.
    pub fn on_event(&mut self, context: JudgeContext<'_>, event: &FlowEvent, now: Timestamp, step: &mut Step) {
        self.judge.catch_up(context.timeline);
        match event.kind {
            FlowEventKind::Started => self.started(context, &event.record, now, step),
            FlowEventKind::Answered
            | FlowEventKind::Payload
            | FlowEventKind::NextHopChanged
            | FlowEventKind::Resumed { .. }
            | FlowEventKind::Updated
            | FlowEventKind::Ended(_) => {
                self.progress(context, (&event.record, event.kind), now, step);
            }
        }
    }

    /// A waiting time is over.
    pub fn on_timer(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        self.judge.catch_up(context.timeline);
        if self.lingering.contains(&id) {
            return self.end_or_linger(context, id, now, step);
        }
        self.judge_or_revise(context, id, now, step);
        self.wait(context, id, now, step);
    }

    /// The inventory changed: flows that wait for what was touched are looked at again, and all where a hop may be elsewhere now.
    pub fn on_inventory(&mut self, context: JudgeContext<'_>, touched: &Touched, now: Timestamp, step: &mut Step) {
        let hops_changed = self.judge.catch_up(context.timeline);
        let ids: Vec<FlowId> = match touched {
            Touched::These(traces) if !hops_changed => self.waiting_that_show(context, traces),
            Touched::These(_) | Touched::Everything => self.waiting.all(),
        };
        for id in ids {
            self.try_judge(context, id, now, Deadline::Grace, step);
        }
    }

    /// The waiting flows that show one of these, in order of id.
    fn waiting_that_show(&mut self, context: JudgeContext<'_>, traces: &BTreeSet<Trace>) -> Vec<FlowId> {
        let Self { waiting, flows, .. } = self;
        let traces_of = |id: FlowId| {
            let tracked = flows.of(id)?;
            Some(traces_of(tracked, binding_of(context, &tracked.point, &tracked.tuple, tracked.start)))
        };
        waiting.showing(traces, traces_of).into_iter().collect()
    }

    /// The kernel showed a socket: flows that it may be behind, and that wait, are looked at again.
    pub fn on_socket(&mut self, context: JudgeContext<'_>, socket: &SocketView, now: Timestamp, step: &mut Step) {
        self.judge.catch_up(context.timeline);
        let SocketView { protocol, local, remote, .. } = *socket;
        let ids: Vec<FlowId> = match remote {
            Some(remote) if !local.ip.is_unspecified() => {
                let tuple = FiveTuple { protocol, orig: local, resp: remote };
                self.flows.get(&self.trail_of(TrailKey::of(tuple))).map(|tracked| tracked.id).into_iter().collect()
            }
            _ => self.waiting_that_show(context, &BTreeSet::from([Trace::Port(protocol, local.port)])),
        };
        for id in ids {
            self.judge_or_revise(context, id, now, step);
        }
    }

    /// The observation ends: what still waits is judged as it stands.
    pub fn finish(&mut self, context: JudgeContext<'_>, now: Timestamp, step: &mut Step) {
        self.judge.catch_up(context.timeline);
        for id in self.waiting.all() {
            self.try_judge(context, id, now, Deadline::Now, step);
        }
        for id in self.lingering.iter().copied().collect::<Vec<_>>() {
            self.end(context, id, now, step);
        }
    }

    /// The key of the trail that a key belongs to.
    fn trail_of(&self, key: TrailKey) -> TrailKey {
        if self.flows.contains_key(&key) { key } else { self.twins.get(&key).copied().unwrap_or(key) }
    }

    /// The key of the trail that a record belongs to.
    fn trail_of_record(&self, context: JudgeContext<'_>, record: &FlowRecord) -> TrailKey {
        let known = self.flows.of(record.id).map(|tracked| tracked.key);
        known.unwrap_or_else(|| {
            let key = self.trail_of(self.key(context, record));
            self.aside_of(key, record).unwrap_or(key)
        })
    }

    /// The key of a record: who forged its first packet is part of it.
    fn key(&self, context: JudgeContext<'_>, record: &FlowRecord) -> TrailKey {
        let is_router = |workload: &Workload| self.judge.is_router(workload);
        TrailKey { stranger: source::stranger(context.timeline, record, is_router), ..TrailKey::of(record.tuple) }
    }

    fn watch(&mut self, record: &FlowRecord) {
        if !self.watched_since.contains_key(&record.point) {
            if self.watched_since.len() >= MAX_WATCHED {
                self.forgotten_points += self.watched_since.len() as u64;
                self.watched_since.clear();
            }
            self.watched_since.insert(record.point.clone(), record.start);
        }
    }

    /// Another record meters the flow from now on.
    fn renumber(&mut self, old: FlowId, new: FlowId, key: TrailKey) {
        let Some(tracked) = self.flows.get(&key) else { return };
        let sequence = tracked.sequence;
        self.flows.leave(old);
        self.flows.join(new, &key);
        self.by_age.rename(sequence, new);
        if self.waiting.remove(old) {
            self.waiting.insert(new);
        }
        if self.lingering.remove(&old) {
            self.lingering.insert(new);
        }
    }

    fn follow(&mut self, key: TrailKey, record: &FlowRecord) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut tracked = TrackedFlow::new(key, record, sequence, self.spent.observe(record));
        self.unsure.remind(&mut tracked, record);
        self.flows.insert(tracked);
        self.by_age.push(sequence, record.id);
        self.waiting.insert(record.id);
    }

    fn progress(
        &mut self,
        context: JudgeContext<'_>,
        (record, kind): (&FlowRecord, FlowEventKind),
        now: Timestamp,
        step: &mut Step,
    ) {
        let before = self.trail_of_record(context, record);
        let key = self.rejoin(context, before, record, now, step);
        let is_known = self.flows.of(record.id).is_some();
        let tracked = if is_known { self.flows.of_mut(record.id) } else { self.flows.get_mut(&key) };
        let Some(tracked) = tracked.filter(|tracked| !tracked.is_younger_than(record)) else { return };
        let id = tracked.id;
        tracked.answered |= kind == FlowEventKind::Answered;
        if kind == FlowEventKind::NextHopChanged {
            step.new_link.clone_from(&tracked.judged);
        }
        let has_joined = key != before || (kind == FlowEventKind::Answered && tracked.forged);
        if kind == FlowEventKind::NextHopChanged || has_joined {
            step.timers.push((now.plus(context.grace.absence()), id));
        }
        if id != record.id {
            tracked.witness(record, kind, record.tuple != tracked.tuple);
            step.went_on = tracked.told_as(record.id).cloned();
            return self.judge_or_revise(context, id, now, step);
        }
        tracked.update(record, kind);
        tracked.continues = kind == FlowEventKind::Ended(EndReason::ActiveTimeout);
        tracked.over = kind.is_end().then_some(now);
        let over = tracked.over.is_some();
        let Some(judged) = tracked.judged.clone() else {
            self.waiting.note(id);
            return self.try_judge(context, id, now, Deadline::Grace, step);
        };
        if kind == FlowEventKind::Payload {
            self.judge_payload(context, key, &judged, record, step);
        }
        let latest = self.flows.of(id).and_then(|tracked| tracked.content.clone()).unwrap_or(judged);
        let is_answer = kind == FlowEventKind::Answered;
        *(if is_answer { &mut step.answered } else { &mut step.went_on }) = Some(latest);
        if over {
            self.linger(context, id, now, step);
        } else {
            self.revise(context, id, now, step);
        }
    }

    fn make_room(&mut self, context: JudgeContext<'_>, now: Timestamp, step: &mut Step) {
        while self.flows.len() >= self.limits.max_flows.max(1) {
            let Some(id) = self.by_age.pop_first() else { return };
            self.try_judge(context, id, now, Deadline::Now, step);
            self.give_up(id, step);
            step.forgotten += 1;
        }
    }

    /// Forgets a flow that goes on.
    fn give_up(&mut self, id: FlowId, step: &mut Step) {
        let judged = self.flows.of(id).and_then(|tracked| tracked.judged.as_ref());
        step.gone.extend(judged.map(|judged| judged.view.record.id));
        self.forget(id, step);
    }

    fn forget(&mut self, id: FlowId, step: &mut Step) {
        if let Some(mut tracked) = self.flows.remove(id) {
            let key = tracked.key;
            self.spent.push(tracked.observed.take());
            step.gone.extend(tracked.told());
            self.by_age.remove(tracked.sequence);
            self.unsure.remember(&tracked);
            for twin in tracked.twins {
                // Another flow may have it by now.
                if self.twins.get(&twin) == Some(&key) {
                    self.twins.remove(&twin);
                }
            }
            self.forget_aside(key);
        }
        self.waiting.remove(id);
        self.lingering.remove(&id);
    }
}

/// Whether the verdicts of some contract rest on what a hop sends on.
fn relays(judge: &Judge) -> bool {
    judge.contracts().flat_map(Contract::hops).any(|hop| hop.accepts(EvidenceKind::Relay))
}
