//! One row of the statistics: what was counted of one owner, and how it is shown.
//!
//! Contract: counters only grow, `flows_now` excepted. Limits: the latest flows are as many as [`super::WorkloadStatsLimits`] says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::alert::Alert;
use crate::detect::Severity;
use crate::input::{FiveTuple, ObservationPoint, Workload, WorkloadId};
use crate::inventory::{AttributionMethod, Confidence, Doubt, Owner};
use crate::path::{JudgedFlow, Verdict};
use crate::time::Timestamp;

/// Whose row it is. In order: workloads by id, then the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A workload.
    Workload(WorkloadId),
    /// Several could be meant.
    Ambiguous,
    /// The host itself.
    Host,
    /// Inside a container network, without an owner.
    Unknown,
    /// Outside of this host's networks.
    External,
    /// Rows for which there was no room, and workloads that are forgotten.
    Other,
}

impl Who {
    pub(super) fn of_alert(alert: &Alert) -> Self {
        if let Some(workload) = &alert.workload {
            return Self::Workload(WorkloadId::new(&workload.id));
        }
        let result = alert.attribution.as_ref().map_or("", |attribution| attribution.result);
        [Self::Ambiguous, Self::Host, Self::External]
            .into_iter()
            .find(|who| who.as_str() == result)
            .unwrap_or(Self::Unknown)
    }

    /// The workload, where it is one.
    pub const fn workload(&self) -> Option<&WorkloadId> {
        match self {
            Self::Workload(id) => Some(id),
            _ => None,
        }
    }

    /// The name of a row that is no workload's.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Workload(_) => "workload",
            Self::Ambiguous => "ambiguous",
            Self::Host => "host",
            Self::Unknown => "unknown",
            Self::External => "external",
            Self::Other => "other",
        }
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Flows that go on.
    pub flows_now: u64,
    /// Flows judged so far, as either end.
    pub flows: u64,
    /// Bytes of IP packets that it received.
    pub bytes_in: u64,
    /// Bytes of IP packets that it sent.
    pub bytes_out: u64,
    /// Its own flows by verdict, in the order of [`Verdict::LABELS`].
    pub verdicts: [u64; 4],
    /// Its own flows by how sure it is that they are its: exact, likely, ambiguous.
    pub confidence: [u64; 3],
    /// Its own flows by how that is known.
    pub how: BTreeMap<AttributionMethod, u64>,
    /// Alerts raised, in the order of [`Severity::ALL`].
    pub alerts: [u64; 4],
}

/// One flow, for a list.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowLine {
    /// First packet.
    pub at: Timestamp,
    /// Where it was seen first.
    pub point: ObservationPoint,
    /// From the end that asked to the end that answers.
    pub tuple: FiveTuple,
    /// Who asked: a workload's name, or the word for what it is.
    pub source: String,
    /// Who answers, in the same way.
    pub responder: String,
    /// What its contract says; `None` where none covers it.
    pub verdict: Option<Verdict>,
    /// How the source is known.
    pub how: Option<AttributionMethod>,
    /// How sure.
    pub confidence: Option<Confidence>,
    /// Why not surer.
    pub why: Option<Doubt>,
}

/// A row as it is shown.
#[derive(Clone, Debug)]
pub struct WorkloadRow {
    /// Whose.
    pub who: Who,
    /// The workload as it was last known.
    pub workload: Option<Arc<Workload>>,
    /// Whether it runs now.
    pub runs: bool,
    /// What was counted.
    pub tally: Tally,
    /// Its latest flows, the newest first.
    pub latest: Arc<VecDeque<Arc<FlowLine>>>,
}

impl FlowLine {
    pub(super) fn new(flow: &JudgedFlow, responder: &Owner) -> Self {
        let (how, confidence, why) = match &flow.source {
            Owner::Workload { how, confidence, why, .. } => (Some(*how), Some(*confidence), *why),
            Owner::Ambiguous { .. } => (None, Some(Confidence::Ambiguous), None),
            _ => (None, None, None),
        };
        Self {
            at: flow.oriented.at,
            point: flow.oriented.point.clone(),
            tuple: flow.oriented.tuple,
            source: name_of(&flow.source),
            responder: name_of(responder),
            verdict: flow.judgement.as_ref().map(|judgement| judgement.verdict),
            how,
            confidence,
            why,
        }
    }
}

fn name_of(owner: &Owner) -> String {
    owner.workload().map_or_else(|| owner.as_str().to_owned(), |workload| workload.name.clone())
}

/// A row as it is kept.
#[derive(Debug, Default)]
pub(super) struct Row {
    workload: Option<Arc<Workload>>,
    tally: Tally,
    latest: Arc<VecDeque<Arc<FlowLine>>>,
}

impl Row {
    pub(super) fn of(workload: &Arc<Workload>) -> Self {
        Self { workload: Some(Arc::clone(workload)), ..Self::default() }
    }

    /// Another verdict on a flow of its own.
    pub(super) fn revised(&mut self, from: Verdict, flow: &JudgedFlow) {
        let place = |verdict: Verdict| Verdict::LABELS.iter().position(|label| *label == verdict.as_str());
        if let Some(count) = place(from).and_then(|place| self.tally.verdicts.get_mut(place)) {
            *count = count.saturating_sub(1);
        }
        bump(&mut self.tally.verdicts, flow.judgement.as_ref().and_then(|judgement| place(judgement.verdict)));
    }

    /// Verdict and attribution of a flow of its own.
    pub(super) fn judged(&mut self, flow: &JudgedFlow) {
        if let Some(judgement) = &flow.judgement {
            let place = Verdict::LABELS.iter().position(|label| *label == judgement.verdict.as_str());
            bump(&mut self.tally.verdicts, place);
        }
        match &flow.source {
            Owner::Workload { how, confidence, .. } => {
                bump(&mut self.tally.confidence, Some(*confidence as usize));
                *self.tally.how.entry(*how).or_default() += 1;
            }
            Owner::Ambiguous { .. } => bump(&mut self.tally.confidence, Some(Confidence::Ambiguous as usize)),
            _ => {}
        }
    }

    pub(super) fn started(&mut self, line: &Arc<FlowLine>, latest: usize, goes_on: bool) {
        self.tally.flows += 1;
        self.tally.flows_now += u64::from(goes_on);
        let lines = Arc::make_mut(&mut self.latest);
        lines.push_front(Arc::clone(line));
        lines.truncate(latest);
    }

    pub(super) const fn carried(&mut self, bytes_in: u64, bytes_out: u64) {
        self.tally.bytes_in = self.tally.bytes_in.saturating_add(bytes_in);
        self.tally.bytes_out = self.tally.bytes_out.saturating_add(bytes_out);
    }

    pub(super) const fn ended(&mut self) {
        self.tally.flows_now = self.tally.flows_now.saturating_sub(1);
    }

    pub(super) fn alert(&mut self, severity: Severity) {
        bump(&mut self.tally.alerts, Some(severity as usize));
    }

    /// No flow of it goes on.
    pub(super) const fn idle(&self) -> bool {
        self.tally.flows_now == 0
    }

    /// Adds a row that goes.
    pub(super) fn add(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.tally, &other.tally);
        mine.flows_now += theirs.flows_now;
        mine.flows += theirs.flows;
        mine.bytes_in = mine.bytes_in.saturating_add(theirs.bytes_in);
        mine.bytes_out = mine.bytes_out.saturating_add(theirs.bytes_out);
        let counts = mine.verdicts.iter_mut().zip(theirs.verdicts);
        let counts = counts.chain(mine.confidence.iter_mut().zip(theirs.confidence));
        for (mine, theirs) in counts.chain(mine.alerts.iter_mut().zip(theirs.alerts)) {
            *mine += theirs;
        }
        for (how, count) in &theirs.how {
            *mine.how.entry(*how).or_default() += count;
        }
    }

    pub(super) fn shown(&self, who: &Who, latest: Option<&Arc<Workload>>, runs: bool) -> WorkloadRow {
        WorkloadRow {
            who: who.clone(),
            workload: latest.or(self.workload.as_ref()).cloned(),
            runs,
            tally: self.tally.clone(),
            latest: Arc::clone(&self.latest),
        }
    }
}

fn bump(counts: &mut [u64], place: Option<usize>) {
    if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
        *count += 1;
    }
}
