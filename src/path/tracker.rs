//! Follows each flow from its first packet to its verdict.
//!
//! Contract: a flow is judged once. It waits for the runtime to tell whose it is (`attribution_grace`), and an attempt waits for
//! an answer (`answer_grace`); then it is judged with what is known. A flow seen at several points is one flow.
//! Limits: at `max_flows` the oldest is forgotten and counted; one that was still waiting is judged before that.
//! Design: returns what happened; the engine owns timers and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::source::{is_unsettled, source_of, starts_here};
use super::{FlowView, Judge, Judgement, Oriented, Verdict, orientations};
use crate::input::{
    EndReason, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, ObservationPoint, Protocol, SocketView,
};
use crate::inventory::{Owner, Timeline};
use crate::time::Timestamp;

/// Points named for one flow; more witnesses are not listed.
const MAX_POINTS: usize = 8;
/// Points whose first packet is remembered; when interfaces come and go beyond that, all count as new again.
const MAX_WATCHED: usize = 4096;
/// The same flow starts within so long of itself at two points; a later opening of the same five-tuple is another flow.
const SAME_START: Duration = Duration::from_secs(2);
/// For so long after its first packet a point may see answers whose request it missed.
const WARM_UP: Duration = Duration::from_secs(5);

/// A flow whose judgement is final.
#[derive(Clone, Debug)]
pub struct JudgedFlow {
    /// The flow, from the end that asked to the end that answers.
    pub view: FlowView,
    /// The direction in which it was read.
    pub oriented: Oriented,
    /// Who asked.
    pub source: Owner,
    /// Whether an answer was seen.
    pub answered: bool,
    /// What the contracts say; `None` where none covers it.
    pub judgement: Option<Judgement>,
    /// How long after its first packet this was final, in event time.
    pub took: Duration,
    /// Whether its end was told already: no progress follows.
    pub over: bool,
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
    pub judged: Vec<JudgedFlow>,
    /// Flows to come back to, and when.
    pub wake: Vec<(Timestamp, FlowId)>,
    /// Flows that were forgotten because the table was full.
    pub forgotten: u64,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts, each with its own cause")]
struct OpenFlow {
    view: FlowView,
    sequence: u64,
    answered: bool,
    judged: bool,
    /// The meter reported its active timeout: the next record of this tuple goes on with this flow.
    continues: bool,
    /// The meter said that it ended.
    over: bool,
}

/// How long a flow is still worth waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Until its waiting times are over.
    Grace,
    /// Judge it now, whatever is missing.
    None,
}

type Seeded = foldhash::fast::RandomState;

/// The flows that are being followed.
#[derive(Debug)]
pub struct Tracker {
    limits: TrackerLimits,
    judge: Judge,
    flows: hashbrown::HashMap<FiveTuple, OpenFlow, Seeded>,
    tuples: hashbrown::HashMap<FlowId, FiveTuple, Seeded>,
    oldest_first: BTreeMap<u64, FlowId>,
    next_sequence: u64,
    waiting: BTreeSet<FlowId>,
    watched_since: BTreeMap<ObservationPoint, Timestamp>,
}

fn canonical(tuple: FiveTuple) -> FiveTuple {
    if tuple.orig <= tuple.resp { tuple } else { tuple.reversed() }
}

impl Tracker {
    /// Follows nothing yet.
    pub fn new(judge: Judge, limits: TrackerLimits) -> Self {
        Self {
            limits,
            judge,
            flows: hashbrown::HashMap::default(),
            tuples: hashbrown::HashMap::default(),
            oldest_first: BTreeMap::new(),
            next_sequence: 0,
            waiting: BTreeSet::new(),
            watched_since: BTreeMap::new(),
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
    pub fn on_event(&mut self, timeline: &Timeline, event: &FlowEvent, step: &mut Step) {
        match event.kind {
            FlowEventKind::Started => self.started(timeline, &event.record, step),
            FlowEventKind::Answered | FlowEventKind::Payload | FlowEventKind::Updated | FlowEventKind::Ended(_) => {
                self.progress(timeline, &event.record, event.kind, step);
            }
        }
    }

    /// A waiting time is over.
    pub fn on_timer(&mut self, timeline: &Timeline, id: FlowId, now: Timestamp, step: &mut Step) {
        self.try_judge(timeline, id, now, Patience::Grace, step);
    }

    /// The inventory changed: flows that wait for it are looked at again.
    pub fn on_inventory(&mut self, timeline: &Timeline, now: Timestamp, step: &mut Step) {
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.try_judge(timeline, id, now, Patience::Grace, step);
        }
    }

    /// The kernel showed a socket: flows that it may be behind, and that wait, are looked at again.
    pub fn on_socket(&mut self, timeline: &Timeline, socket: &SocketView, now: Timestamp, step: &mut Step) {
        let SocketView { protocol, local, remote, .. } = *socket;
        let ids: Vec<FlowId> = match remote {
            Some(remote) if !local.ip.is_unspecified() => {
                let tuple = canonical(FiveTuple { protocol, orig: local, resp: remote });
                self.flows.get(&tuple).map(|open| open.view.record.id).into_iter().collect()
            }
            _ => {
                let at_port = |tuple: &FiveTuple| {
                    tuple.protocol == protocol && (tuple.orig.port == local.port || tuple.resp.port == local.port)
                };
                self.waiting.iter().copied().filter(|id| self.tuples.get(id).is_some_and(at_port)).collect()
            }
        };
        for id in ids.into_iter().filter(|id| self.waiting.contains(id)).collect::<Vec<_>>() {
            self.try_judge(timeline, id, now, Patience::Grace, step);
        }
    }

    /// The observation ends: what still waits is judged as it stands.
    pub fn finish(&mut self, timeline: &Timeline, now: Timestamp, step: &mut Step) {
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.try_judge(timeline, id, now, Patience::None, step);
        }
    }

    fn started(&mut self, timeline: &Timeline, record: &FlowRecord, step: &mut Step) {
        if !self.watched_since.contains_key(&record.point) {
            if self.watched_since.len() >= MAX_WATCHED {
                self.watched_since.clear();
            }
            self.watched_since.insert(record.point.clone(), record.start);
        }
        let key = canonical(record.tuple);
        if let Some(open) = self.flows.get_mut(&key) {
            let again = starts_here(record) && record.start.since(open.view.record.start) > SAME_START;
            if open.view.record.point != record.point && !again {
                open.witness(&record.point);
                return;
            }
            let old = open.view.record.id;
            if open.continues && open.view.record.point == record.point {
                open.view.record = record.clone();
                open.continues = false;
                self.tuples.remove(&old);
                self.tuples.insert(record.id, key);
                self.oldest_first.insert(open.sequence, record.id);
                if self.waiting.remove(&old) {
                    self.waiting.insert(record.id);
                }
                return;
            }
            self.try_judge(timeline, old, record.start, Patience::None, step);
            self.forget(old);
        }
        self.make_room(timeline, record.start, step);
        self.follow(key, record);
        step.wake.push((record.start.plus(self.limits.answer_grace), record.id));
        step.wake.push((record.start.plus(self.limits.attribution_grace), record.id));
        self.try_judge(timeline, record.id, record.start, Patience::Grace, step);
    }

    fn follow(&mut self, key: FiveTuple, record: &FlowRecord) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let view = FlowView { record: record.clone(), points: vec![record.point.clone()], translated: None };
        self.flows
            .insert(key, OpenFlow { view, sequence, answered: false, judged: false, continues: false, over: false });
        self.tuples.insert(record.id, key);
        self.oldest_first.insert(sequence, record.id);
        self.waiting.insert(record.id);
    }

    fn progress(&mut self, timeline: &Timeline, record: &FlowRecord, kind: FlowEventKind, step: &mut Step) {
        let Some(open) = self.flows.get_mut(&canonical(record.tuple)) else { return };
        if open.view.record.id != record.id {
            return;
        }
        open.view.record = record.clone();
        open.answered |= kind == FlowEventKind::Answered;
        open.continues = kind == FlowEventKind::Ended(EndReason::ActiveTimeout);
        open.over = matches!(kind, FlowEventKind::Ended(_)) && !open.continues;
        let (over, judged) = (open.over, open.judged);
        if judged && over {
            self.forget(record.id);
        } else {
            self.try_judge(timeline, record.id, record.end, Patience::Grace, step);
        }
    }

    /// Judges the flow unless it is worth waiting for the runtime or for an answer.
    fn try_judge(&mut self, timeline: &Timeline, id: FlowId, now: Timestamp, patience: Patience, step: &mut Step) {
        let Some(open) = self.tuples.get(&id).and_then(|key| self.flows.get(key)).filter(|open| !open.judged) else {
            return;
        };
        let record = &open.view.record;
        let age = now.since(record.start);
        let waited = |grace| patience == Patience::None || age >= grace;
        let Some(reading) = self.read(timeline, record, waited(self.limits.attribution_grace)) else { return };
        let is_attempt = reading.judgement.as_ref().is_some_and(|j| j.verdict == Verdict::Bypassed)
            && record.tuple.protocol == Protocol::TCP
            && !open.answered;
        if is_attempt && !open.over && !waited(self.limits.answer_grace) {
            return;
        }
        let over = open.over;
        step.judged.push(JudgedFlow {
            view: if reading.oriented.forward { open.view.clone() } else { open.view.clone().reversed() },
            oriented: reading.oriented,
            source: reading.source,
            answered: open.answered,
            judgement: reading.judgement,
            took: age,
            over: open.over,
        });
        self.waiting.remove(&id);
        if over {
            self.forget(id);
        } else if let Some(open) = self.tuples.get(&id).and_then(|key| self.flows.get_mut(key)) {
            open.judged = true;
        }
    }

    /// The reading that a contract covers, or else the likeliest; `None` while the runtime may still tell.
    fn read(&self, timeline: &Timeline, record: &FlowRecord, waited: bool) -> Option<Reading> {
        let watched_since = self.watched_since.get(&record.point).copied().unwrap_or(record.start);
        let warming_up = record.start < watched_since.plus(WARM_UP);
        let mut likeliest = None;
        for oriented in orientations(record, warming_up) {
            let source = source_of(timeline, record, &oriented);
            if !waited && is_unsettled(timeline, &source, &oriented) {
                return None;
            }
            let judgement = self.judge.judge(timeline, &oriented, &source);
            let covered = judgement.is_some();
            let reading = Reading { oriented, source, judgement };
            if covered {
                return Some(reading);
            }
            likeliest.get_or_insert(reading);
        }
        likeliest
    }

    fn make_room(&mut self, timeline: &Timeline, now: Timestamp, step: &mut Step) {
        while self.flows.len() >= self.limits.max_flows.max(1) {
            let Some((_, id)) = self.oldest_first.pop_first() else { return };
            self.try_judge(timeline, id, now, Patience::None, step);
            self.forget(id);
            step.forgotten += 1;
        }
    }

    fn forget(&mut self, id: FlowId) {
        if let Some(open) = self.tuples.remove(&id).and_then(|key| self.flows.remove(&key)) {
            self.oldest_first.remove(&open.sequence);
        }
        self.waiting.remove(&id);
    }
}

impl OpenFlow {
    fn witness(&mut self, point: &ObservationPoint) {
        if self.view.points.len() < MAX_POINTS && !self.view.points.contains(point) {
            self.view.points.push(point.clone());
        }
    }
}

struct Reading {
    oriented: Oriented,
    source: Owner,
    judgement: Option<Judgement>,
}
