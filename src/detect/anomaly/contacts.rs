//! Contacts: each flow of an actor, with what became of it.
//!
//! Contract: of each flow with an actor at an end, [`ContactStep::Decided`] comes once, as soon as its outcome is known; then [`ContactStep::GoesOn`] with each
//! report, [`ContactStep::Resumed`] with each pause that ended, and [`ContactStep::Ended`] once, also of a flow that the tracker gives up; a flow that ends with its outcome has both. Groups and broadcasts are nobody that one contacts.
//! Limits: [`MAX_OPEN`] flows are followed; beyond, a new one is judged by what its first report says, and counted.
//! Design: the engine asks at each event of a judged flow and at deadlines; what waits is found by its deadline, nothing is walked over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::actor::Actor;
use super::actors::Actors;
use super::outcome::{End, Outcome, Progress, SILENCE, outcome};
use crate::input::{FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord};
use crate::path::{JudgedFlow, PathState};
use crate::time::Timestamp;

/// Flows that are followed.
const MAX_OPEN: usize = 262_144;

/// How far a contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactStep {
    /// Its outcome is known now.
    Decided,
    /// It goes on.
    GoesOn,
    /// One end speaks again after a pause: the one that asked, or the other.
    Resumed {
        /// The one that asked.
        by_source: bool,
    },
    /// It has ended: its counters are final.
    Ended,
}

/// A contact as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// Who asked, where it is ours.
    pub source: Option<&'a Actor>,
    /// Who was asked, where it is ours.
    pub target: Option<&'a Actor>,
    /// From the end that asked.
    pub tuple: FiveTuple,
    /// What became of it.
    pub outcome: Outcome,
    /// How far it is.
    pub step: ContactStep,
    /// The flow as it was judged.
    pub flow: &'a JudgedFlow,
    /// The record as it stands, from the end that asked.
    pub record: &'a FlowRecord,
}

/// A contact that is followed.
#[derive(Clone, Debug)]
pub struct Followed {
    source: Option<Actor>,
    target: Option<Actor>,
    outcome: Option<Outcome>,
    flow: Arc<JudgedFlow>,
    /// The record as it stands, while the outcome is not known.
    latest: Option<Box<FlowRecord>>,
}

impl Followed {
    fn record(&self) -> &FlowRecord {
        self.latest.as_deref().unwrap_or(&self.flow.view.record)
    }
}

/// What to ask the rules about.
#[derive(Clone, Debug)]
pub struct Due {
    followed: Followed,
    steps: [Option<ContactStep>; 2],
}

impl Due {
    /// Calls back with each step.
    pub fn each(&self, record: Option<&FlowRecord>, mut ask: impl FnMut(&Contact<'_>)) {
        let Followed { source, target, outcome, flow, .. } = &self.followed;
        let Some(outcome) = *outcome else { return };
        let record = record.unwrap_or_else(|| self.followed.record());
        for step in self.steps.into_iter().flatten() {
            let (source, target) = (source.as_ref(), target.as_ref());
            ask(&Contact { source, target, tuple: record.tuple, outcome, step, flow, record });
        }
    }
}

/// The contacts that are followed.
#[derive(Debug, Default)]
pub struct Contacts {
    open: hashbrown::HashMap<FlowId, Followed, foldhash::fast::RandomState>,
    /// The earliest first.
    deadlines: BinaryHeap<Reverse<(Timestamp, FlowId)>>,
    forgotten: u64,
}

impl Contacts {
    /// A flow was judged; what to ask, and when to come back.
    pub fn judged(
        &mut self,
        (path, actors): (&PathState, &Actors),
        flow: &Arc<JudgedFlow>,
        now: Timestamp,
    ) -> (Option<Due>, Option<Timestamp>) {
        let id = flow.view.record.id;
        if flow.again || flow.oriented.tuple.resp.ip.is_multicast() || is_broadcast(&flow.oriented.tuple) {
            return (None, None);
        }
        let (source, target) = (actors.source(flow), actors.of(&flow.responder, flow.oriented.tuple.resp.ip));
        if source.is_none() && target.is_none() {
            return (None, None);
        }
        let end = if flow.over { End::Ended } else { End::Open };
        let is_lossy = is_lossy(path, &flow.view.record, now);
        let outcome = outcome(&flow.view.record, flow.oriented.forward, Progress { now, end, is_lossy });
        let followed = Followed { source, target, outcome, flow: Arc::clone(flow), latest: None };
        let decided = outcome.map(|_| ContactStep::Decided);
        if flow.over {
            return (Some(Due { followed, steps: [decided, Some(ContactStep::Ended)] }), None);
        }
        let decided = decided.map(|decided| Due { followed: followed.clone(), steps: [Some(decided), None] });
        if self.open.len() >= MAX_OPEN {
            self.forgotten += 1;
            return (decided, None);
        }
        let mut deadline = None;
        if outcome.is_none() {
            let at = flow.view.record.start.plus(SILENCE).max(now);
            self.deadlines.push(Reverse((at, id)));
            deadline = Some(at);
        }
        self.open.insert(id, followed);
        (decided, deadline)
    }

    /// A judged flow went on; `record` is its record, read from the end that asked.
    pub fn went_on(
        &mut self,
        path: &PathState,
        (flow, event): (&JudgedFlow, &FlowEvent),
        record: &FlowRecord,
        now: Timestamp,
    ) -> Option<Due> {
        let id = flow.view.record.id;
        let followed = self.open.get_mut(&id)?;
        let (was_open, is_over) = (followed.outcome.is_none(), event.kind.is_end());
        if was_open {
            let end = if is_over { End::of(event.kind) } else { End::Open };
            let progress = Progress { now, end, is_lossy: is_lossy(path, record, now) };
            followed.outcome = outcome(record, flow.oriented.forward, progress);
            followed.latest = followed.outcome.is_none().then(|| Box::new(record.clone()));
        }
        let is_known = followed.outcome.is_some();
        let followed = if is_over { self.open.remove(&id)? } else { is_known.then(|| followed.clone())? };
        let then = match event.kind {
            _ if is_over => Some(ContactStep::Ended),
            FlowEventKind::Payload | FlowEventKind::Updated | FlowEventKind::Ended(_) => Some(ContactStep::GoesOn),
            FlowEventKind::Resumed { by_orig } => {
                Some(ContactStep::Resumed { by_source: by_orig == flow.oriented.forward })
            }
            FlowEventKind::Started | FlowEventKind::Answered | FlowEventKind::NextHopChanged => None,
        };
        let decided = was_open.then_some(ContactStep::Decided);
        is_known.then_some(Due { followed, steps: [decided, then] })
    }

    /// Nothing more will be reported of a flow: it ends as it is known.
    pub fn gone(&mut self, path: &PathState, id: FlowId, now: Timestamp) -> Option<Due> {
        let decided = self.decide(path, id, now, End::Cut).map(|_| ContactStep::Decided);
        let followed = self.open.remove(&id)?;
        followed.outcome?;
        Some(Due { followed, steps: [decided, Some(ContactStep::Ended)] })
    }

    /// Contacts whose waiting time is over.
    pub fn due(&mut self, path: &PathState, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some(Reverse((_, id))) = self.deadlines.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.deadlines.pop();
            due.extend(self.decide(path, id, now, End::Open));
        }
        due
    }

    /// The observation ends: what waits is decided as it stands.
    pub fn finish(&mut self, path: &PathState, now: Timestamp) -> Vec<Due> {
        let mut waiting: Vec<_> = std::mem::take(&mut self.deadlines).into_iter().map(|Reverse(one)| one).collect();
        waiting.sort_unstable();
        waiting.into_iter().filter_map(|(_, id)| self.decide(path, id, now, End::Cut)).collect()
    }

    fn decide(&mut self, path: &PathState, id: FlowId, now: Timestamp, end: End) -> Option<Due> {
        let followed = self.open.get_mut(&id).filter(|followed| followed.outcome.is_none())?;
        let record = followed.record();
        let progress = Progress { now, end, is_lossy: is_lossy(path, record, now) };
        followed.outcome = outcome(record, followed.flow.oriented.forward, progress);
        followed.outcome?;
        let due = Due { followed: followed.clone(), steps: [Some(ContactStep::Decided), None] };
        followed.latest = None;
        Some(due)
    }

    /// Contacts forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

fn is_lossy(path: &PathState, record: &FlowRecord, now: Timestamp) -> bool {
    record.resp.counters.packets == 0 && path.losses.overlap(&record.point, record.start, now)
}

/// The address of everybody, or the last one of the usual prefix: a directed broadcast, as far as that can be said without the prefix.
fn is_broadcast(tuple: &FiveTuple) -> bool {
    match tuple.resp.ip.to_canonical() {
        std::net::IpAddr::V4(ip) => {
            ip.is_broadcast() || (ip.octets()[3] == 255 && tuple.protocol == crate::input::Protocol::UDP)
        }
        std::net::IpAddr::V6(_) => false,
    }
}
