//! Who talks how much, judged how: one row per workload, for people who watch.
//!
//! Contract: bytes and flows of both ends of every judged flow; verdicts and attribution count for the end that asked. What is between a
//! flow's first packet and its judgement is counted when it is judged. Limits: [`WorkloadStatsLimits`]; a row that must go, or finds no
//! room, is added to the row `other`, so that sums stay right.
//! Design: fed a flow event and a judgement at a time, never a packet; an [`Observer`], added only when somebody watches.

mod row;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use row::{FlowLine, Tally, Who, WorkloadRow};

use super::Observer;
use crate::alert::Alert;
use crate::input::{
    EndReason, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, ObservationPoint, RecordedFact, Workload,
    WorkloadId,
};
use crate::inventory::{Owner, Timeline};
use crate::names::Names;
use crate::path::{JudgedFlow, owner_of};
use crate::time::Timestamp;
use row::Row;

/// Bounds of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadStatsLimits {
    /// Rows.
    pub rows: usize,
    /// Flows that are followed to their end; those beyond count with what they had when they were judged.
    pub flows: usize,
    /// Latest alerts kept.
    pub alerts: usize,
    /// Latest flows kept of each row.
    pub latest: usize,
}

impl WorkloadStatsLimits {
    /// Of what people are shown.
    pub const SHOWN: Self = Self { rows: 20_000, flows: 262_144, alerts: 100, latest: 32 };
}

type Seeded = foldhash::fast::RandomState;

/// A judged flow that goes on.
#[derive(Debug)]
struct FollowedFlow {
    /// The smaller end first.
    tuple: FiveTuple,
    id: FlowId,
    source: Who,
    responder: Who,
    /// Whether the record's originator is the source.
    forward: bool,
    /// What was counted of it: originator's and responder's bytes.
    counted: (u64, u64),
    /// The meter reported its active timeout: the next record of this tuple goes on with it.
    continues: bool,
    /// Where it was seen first; other points' records of it are not counted.
    point: ObservationPoint,
    /// When it was last seen.
    last_seen: Timestamp,
}

/// The board.
#[derive(Debug)]
pub struct WorkloadStats {
    limits: WorkloadStatsLimits,
    rows: BTreeMap<Who, Row>,
    followed: hashbrown::HashMap<FiveTuple, FollowedFlow, Seeded>,
    alerts: VecDeque<Arc<Alert>>,
    folded: u64,
    /// When flows that are gone were last looked for.
    swept: Timestamp,
    /// Grows whenever something that is shown may have changed.
    revision: u64,
}

/// The meter reports the end of a flow; the end of one that is silent for so long was lost. Longer than the meter's timeouts are by default.
const SILENT: Duration = Duration::from_mins(30);
/// Between two walks over all flows for want of room.
const SWEEP: Duration = Duration::from_mins(1);

/// What is shown at one moment.
#[derive(Clone, Debug, Default)]
pub struct WorkloadTable {
    /// One row per workload that runs or was seen, plus rows for the host and external addresses; in order of [`Who`].
    pub rows: Vec<WorkloadRow>,
    /// The latest alerts, the newest first, each as it stands.
    pub alerts: Vec<Arc<Alert>>,
    /// Rows that were added to `other` so far.
    pub folded: u64,
}

fn bytes(record: &FlowRecord) -> (u64, u64) {
    (record.orig.counters.ip_bytes, record.resp.counters.ip_bytes)
}

impl WorkloadStats {
    /// Nothing is counted yet.
    pub fn new(limits: WorkloadStatsLimits) -> Self {
        Self {
            limits,
            rows: BTreeMap::new(),
            followed: hashbrown::HashMap::default(),
            alerts: VecDeque::new(),
            folded: 0,
            swept: Timestamp::MIN,
            revision: 0,
        }
    }

    fn follow(&mut self, followed: FollowedFlow) {
        if let Some(old) = self.followed.remove(&followed.tuple) {
            self.ended(&old);
        }
        if self.followed.len() >= self.limits.flows && followed.last_seen.since(self.swept) >= SWEEP {
            self.sweep(followed.last_seen);
        }
        if self.followed.len() < self.limits.flows {
            self.followed.insert(followed.tuple, followed);
        } else {
            self.ended(&followed);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.swept = now;
        let silent: Vec<FollowedFlow> =
            self.followed.extract_if(|_, followed| now.since(followed.last_seen) >= SILENT).map(|(_, o)| o).collect();
        for followed in &silent {
            self.ended(followed);
        }
    }

    fn carried(&mut self, source: &Who, responder: &Who, out: u64, back: u64) {
        if let Some(row) = self.rows.get_mut(source) {
            row.carried(back, out);
        }
        if let Some(row) = self.rows.get_mut(responder).filter(|_| responder != source) {
            row.carried(out, back);
        }
    }

    fn ended(&mut self, followed: &FollowedFlow) {
        for who in ends(&followed.source, &followed.responder) {
            if let Some(row) = self.rows.get_mut(who) {
                row.ended();
            }
        }
    }

    /// Something that is shown may have changed since this was lower.
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// What it shows now. Rows of workloads that the timeline has forgotten go to `other`.
    pub(super) fn view(&mut self, timeline: &Timeline) -> WorkloadTable {
        let forgotten = |id: &WorkloadId| timeline.workload(id).is_none();
        let gone = self.rows.iter().filter(|(who, row)| row.idle() && who.workload().is_some_and(forgotten));
        self.fold(gone.map(|(who, _)| who.clone()).collect());
        let running: BTreeSet<&WorkloadId> = timeline.running().map(|workload| &workload.id).collect();
        let rows = self.rows.iter().map(|(who, row)| {
            let id = who.workload();
            row.shown(who, id.and_then(|id| timeline.workload(id)), id.is_some_and(|id| running.contains(id)))
        });
        WorkloadTable { rows: rows.collect(), alerts: self.alerts.iter().cloned().collect(), folded: self.folded }
    }

    fn row_for(&mut self, timeline: &Timeline, owner: &Owner) -> Who {
        let who = match owner {
            Owner::Workload { workload, .. } => return self.known(timeline, workload),
            Owner::Ambiguous { .. } => Who::Ambiguous,
            Owner::Host => Who::Host,
            Owner::Unknown => Who::Unknown,
            Owner::External => Who::External,
        };
        self.rows.entry(who.clone()).or_default();
        who
    }

    /// The row of a workload, made where there is room.
    fn known(&mut self, timeline: &Timeline, workload: &Arc<Workload>) -> Who {
        let who = Who::Workload(workload.id.clone());
        if self.rows.contains_key(&who) {
            return who;
        }
        if self.rows.len() >= self.limits.rows {
            self.make_room(timeline);
        }
        if self.rows.len() >= self.limits.rows {
            self.folded += 1;
            self.rows.entry(Who::Other).or_default();
            return Who::Other;
        }
        self.rows.insert(who.clone(), Row::of(workload));
        who
    }

    /// Frees the rows of all workloads that do not run, so that the walk is seldom.
    fn make_room(&mut self, timeline: &Timeline) {
        let running: BTreeSet<&WorkloadId> = timeline.running().map(|workload| &workload.id).collect();
        let over = |id: &WorkloadId| !running.contains(id);
        let gone = self.rows.iter().filter(|(who, row)| row.idle() && who.workload().is_some_and(over));
        let gone: Vec<Who> = gone.map(|(who, _)| who.clone()).collect();
        self.fold(gone);
    }

    fn fold(&mut self, rows: Vec<Who>) {
        for who in rows {
            if let Some(row) = self.rows.remove(&who) {
                self.folded += 1;
                self.rows.entry(Who::Other).or_default().add(&row);
            }
        }
    }
}

impl Observer for WorkloadStats {
    fn judged(&mut self, timeline: &Timeline, _names: &Names, flow: &JudgedFlow, goes_on: bool) {
        self.revision += 1;
        if let Some(from) = flow.revised_from {
            let asks = self.row_for(timeline, &flow.source);
            if let Some(row) = self.rows.get_mut(&asks) {
                row.revised(from, flow);
            }
            return;
        }
        let responder = owner_of(timeline, &flow.oriented.point, flow.oriented.tuple.resp, flow.oriented.at);
        let (asks, answers) = (self.row_for(timeline, &flow.source), self.row_for(timeline, &responder));
        let line = Arc::new(FlowLine::new(flow, &responder));
        let latest = self.limits.latest;
        for who in ends(&asks, &answers) {
            if let Some(row) = self.rows.get_mut(who) {
                row.started(&line, latest, goes_on);
            }
        }
        if let Some(row) = self.rows.get_mut(&asks) {
            row.judged(flow);
        }
        let record = &flow.view.record;
        let (out, back) = bytes(record);
        self.carried(&asks, &answers, out, back);
        if goes_on {
            let forward = flow.oriented.forward;
            self.follow(FollowedFlow {
                tuple: flow.oriented.tuple.canonical(),
                id: record.id,
                source: asks,
                responder: answers,
                forward,
                counted: if forward { (out, back) } else { (back, out) },
                continues: false,
                point: record.point.clone(),
                last_seen: record.end,
            });
        }
    }

    /// A flow went on or ended; one that was not judged yet is counted when it is.
    fn flow(&mut self, event: &FlowEvent) {
        let (record, key) = (&event.record, event.record.tuple.canonical());
        let Some(followed) = self.followed.get_mut(&key) else { return };
        if event.kind == FlowEventKind::Started {
            if followed.continues && followed.point == record.point {
                (followed.id, followed.counted, followed.continues) = (record.id, (0, 0), false);
            }
            return;
        }
        if followed.id != record.id {
            return;
        }
        self.revision += 1;
        let (orig, resp) = bytes(record);
        let (orig_more, resp_more) = (orig.saturating_sub(followed.counted.0), resp.saturating_sub(followed.counted.1));
        (followed.counted, followed.last_seen) = ((orig, resp), record.end);
        followed.continues = event.kind == FlowEventKind::Ended(EndReason::ActiveTimeout);
        let over = matches!(event.kind, FlowEventKind::Ended(_)) && !followed.continues;
        let (out, back) = if followed.forward { (orig_more, resp_more) } else { (resp_more, orig_more) };
        let (source, responder) = (followed.source.clone(), followed.responder.clone());
        self.carried(&source, &responder, out, back);
        if over && let Some(followed) = self.followed.remove(&key) {
            self.ended(&followed);
        }
    }

    fn fact(&mut self, _timeline: &Timeline, _fact: &RecordedFact, _now: Timestamp) {
        self.revision += 1;
    }

    fn workload(&mut self, timeline: &Timeline, workload: &Arc<Workload>) {
        self.known(timeline, workload);
    }

    /// An alert was delivered.
    fn alert(&mut self, alert: &Alert) {
        self.revision += 1;
        if alert.is_first_of_run {
            let who = Who::of_alert(alert);
            let who = if who.workload().is_none() || self.rows.contains_key(&who) { who } else { Who::Other };
            self.rows.entry(who).or_default().alert(alert.severity);
        }
        self.alerts.retain(|known| known.id != alert.id);
        self.alerts.push_front(Arc::new(alert.clone()));
        self.alerts.truncate(self.limits.alerts);
    }
}

/// Both ends, once where they are the same.
fn ends<'a>(source: &'a Who, responder: &'a Who) -> impl Iterator<Item = &'a Who> {
    [Some(source), Some(responder).filter(|responder| *responder != source)].into_iter().flatten()
}

#[cfg(test)]
mod tests;
