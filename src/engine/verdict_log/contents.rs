//! What a verdict log holds.
//!
//! Contract: `verified + bypassed + partial + unobservable` is every flow that a contract covers; the reasons add up to `unobservable`, the groups
//! and `exceptions_omitted` to the exceptions. Limits: [`VerdictLogLimits`]; what did not fit is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Counts, Renamed, Traffic, VerdictLogLimits, Window};
use crate::input::{Endpoint, FiveTuple, FlowRecord, ObservationPoint, Protocol, Workload, WorkloadId};
use crate::inventory::{Owner, Watched};
use crate::path::{Amount, Evidence, JudgedFlow, Judgement, MissingHop, Unobservable, Verdict};
use crate::time::Timestamp;

/// Everything that was noted.
#[derive(Clone, Debug, Default)]
pub struct VerdictLogContents {
    /// Flows that passed.
    pub verified: u64,
    /// Flows that went around.
    pub bypassed: u64,
    /// Flows that passed in part.
    pub partial: u64,
    /// Flows that could not be judged.
    pub unobservable: u64,
    /// Why not.
    pub reasons: BTreeMap<Unobservable, ReasonCount>,
    /// Flows that were bypassed or partial, by destination.
    pub exceptions: BTreeMap<Target, ExceptionGroup>,
    /// Such flows to further destinations.
    pub exceptions_omitted: u64,
    /// The workloads that were asked about, or that had a flow which a contract covers.
    pub workloads: BTreeMap<WorkloadId, WorkloadLine>,
    /// Flows of workloads for which there was no room.
    pub workloads_omitted: u64,
    /// Flows of nobody in particular.
    pub unattributed: u64,
    /// When something was not seen, in order of beginning.
    pub windows: Vec<Window>,
    /// Windows for which there was no room.
    pub windows_omitted: u64,
    /// Flows, packets and bytes by what they are counted as.
    pub amounts: BTreeMap<Traffic, Amount>,
    /// Workloads that were asked about only before or after they were renamed.
    pub renamed: Vec<Renamed>,
    /// Names of all workloads that the runtimes reported.
    pub names: BTreeSet<String>,
    /// Beginning of the first flow.
    pub first: Option<Timestamp>,
    /// Beginning of the last one.
    pub last: Option<Timestamp>,
}

/// Where an exception went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The end that answers.
    pub end: Endpoint,
    /// Protocol.
    pub protocol: Protocol,
}

/// The exceptions to one destination.
#[derive(Clone, Debug)]
pub struct ExceptionGroup {
    /// Of them, bypassed.
    pub bypassed: u64,
    /// Of them, partial.
    pub partial: u64,
    /// Beginning of the first.
    pub first: Timestamp,
    /// Beginning of the last.
    pub last: Timestamp,
    /// The first ones, in order of judgement.
    pub flows: Vec<LoggedFlow>,
}

/// One exception.
#[derive(Clone, Debug)]
pub struct LoggedFlow {
    /// As it was when it was judged, from the end that asked.
    pub record: FlowRecord,
    /// The same, as it was read.
    pub tuple: FiveTuple,
    /// Where it was seen.
    pub points: Vec<ObservationPoint>,
    /// Who asked.
    pub source: Owner,
    /// Whether an answer was seen.
    pub answered: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// What was skipped.
    pub missing_hop: Option<MissingHop>,
    /// Why this is said.
    pub evidence: Vec<Evidence>,
}

/// How often, when and where a reason held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasonCount {
    /// Flows.
    pub count: u64,
    /// Beginning of the first.
    pub first: Option<Timestamp>,
    /// Beginning of the last.
    pub last: Option<Timestamp>,
    /// Where they were seen first.
    pub points: Counts<ObservationPoint>,
}

/// One workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadLine {
    /// As it was last known.
    pub workload: Arc<Workload>,
    /// Its flows that a contract covers.
    pub flows: u64,
    /// Where its traffic could be seen while it ran.
    pub watched: Watched,
}

impl VerdictLogContents {
    /// Flows that a contract covers.
    pub const fn flows(&self) -> u64 {
        self.verified + self.bypassed + self.partial + self.unobservable
    }

    /// Flows that are exceptions.
    pub const fn exception_flows(&self) -> u64 {
        self.bypassed + self.partial
    }

    /// A verdict is revised; false where it stays among the exceptions, which are listed with their first verdict.
    pub(super) fn take_back(&mut self, from: Verdict) -> bool {
        match from {
            Verdict::Verified => self.verified = self.verified.saturating_sub(1),
            Verdict::Bypassed | Verdict::Partial => return false,
            Verdict::Unobservable(reason) => {
                self.unobservable = self.unobservable.saturating_sub(1);
                if let Some(count) = self.reasons.get_mut(&reason) {
                    count.count = count.count.saturating_sub(1);
                }
                self.reasons.retain(|_, count| count.count > 0);
            }
        }
        true
    }

    pub(super) fn except(&mut self, flow: &JudgedFlow, judgement: &Judgement, limits: VerdictLogLimits) {
        let tuple = flow.oriented.tuple;
        let target = Target { end: tuple.resp, protocol: tuple.protocol };
        if self.exceptions.len() >= limits.destinations && !self.exceptions.contains_key(&target) {
            self.exceptions_omitted += 1;
            return;
        }
        let at = flow.oriented.at;
        let group = self.exceptions.entry(target).or_insert_with(|| ExceptionGroup {
            bypassed: 0,
            partial: 0,
            first: at,
            last: at,
            flows: Vec::new(),
        });
        group.bypassed += u64::from(judgement.verdict == Verdict::Bypassed);
        group.partial += u64::from(judgement.verdict == Verdict::Partial);
        (group.first, group.last) = (group.first.min(at), group.last.max(at));
        if group.flows.len() < limits.flows {
            group.flows.push(LoggedFlow::new(flow, judgement));
        }
    }
}

impl ExceptionGroup {
    /// Its flows, listed or not.
    pub const fn count(&self) -> u64 {
        self.bypassed + self.partial
    }
}

impl LoggedFlow {
    fn new(flow: &JudgedFlow, judgement: &Judgement) -> Self {
        Self {
            record: flow.view.record.clone(),
            tuple: flow.oriented.tuple,
            points: flow.view.points.clone(),
            source: flow.source.clone(),
            answered: flow.answered,
            verdict: judgement.verdict,
            missing_hop: judgement.missing_hop.clone(),
            evidence: judgement.evidence.clone(),
        }
    }
}

impl ReasonCount {
    pub(super) fn count(&mut self, flow: &JudgedFlow, most_points: usize) {
        let (at, point) = (flow.oriented.at, &flow.oriented.point);
        self.count += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if self.points.len() < most_points || self.points.contains_key(point) {
            *self.points.entry(point.clone()).or_default() += 1;
        }
    }
}
