//! What became of the flows that contracts cover, one by one where they are exceptions: for a report about a stretch of time.
//!
//! Contract: every judged flow that a contract covers is counted once, by verdict; each that is bypassed or partial is listed or counted as left
//! out; so is each window in which something was not seen. Limits: [`VerdictLogLimits`]. Design: an
//! [`Observer`], added only when asked for; it decides nothing.

mod contents;
mod traffic;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use contents::{ExceptionGroup, LoggedFlow, ReasonCount, Target, VerdictLogContents, WorkloadLine};
pub use traffic::Traffic;
pub use windows::{Window, WindowKind};

use super::Observer;
use crate::input::{FlowEvent, InventoryEvent, RecordedFact, Workload, WorkloadId};
use crate::inventory::Timeline;
use crate::names::Names;
use crate::path::{JudgedFlow, Selector, Verdict};
use crate::time::Timestamp;
use traffic::Flows;
use windows::Windows;

/// Bounds of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictLogLimits {
    /// Destinations of exceptions.
    pub destinations: usize,
    /// Flows listed of each.
    pub flows: usize,
    /// Workloads.
    pub workloads: usize,
    /// Windows.
    pub windows: usize,
    /// Observation points named with a reason.
    pub points: usize,
}

/// The verdict log.
#[derive(Debug)]
pub struct VerdictLog {
    limits: VerdictLogLimits,
    /// Whose observation is noted; those of others only when a contract covers a flow of theirs.
    workloads: Vec<Selector>,
    windows: Windows,
    flows: Flows,
    /// The contract whose flows are counted, and nothing else.
    except: Option<&'static str>,
    /// The name by which each workload was known last.
    names: BTreeMap<WorkloadId, Arc<Workload>>,
    contents: VerdictLogContents,
}

/// What a log is about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whose traffic.
    pub workloads: Vec<Selector>,
    /// The contract whose flows are not asked about.
    pub except: Option<&'static str>,
}

/// A workload whose new name is not, or was not, asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Renamed {
    /// When.
    pub at: Timestamp,
    /// Its name before.
    pub before: String,
    /// Its name since.
    pub after: String,
}

/// Workloads whose names are remembered.
const MAX_NAMES: usize = 20_000;
/// Renamings that are listed.
const MAX_RENAMED: usize = 100;

impl VerdictLog {
    /// An empty log about these workloads.
    pub fn new(limits: VerdictLogLimits, scope: &Scope) -> Self {
        Self {
            limits,
            workloads: scope.workloads.clone(),
            windows: Windows::new(limits.windows),
            flows: Flows::default(),
            except: scope.except,
            names: BTreeMap::new(),
            contents: VerdictLogContents::default(),
        }
    }

    fn name(&mut self, workload: &Arc<Workload>, now: Timestamp) {
        let is_asked = |workload: &Workload| self.workloads.iter().any(|selector| selector.matches(workload));
        if let Some(before) = self.names.get(&workload.id)
            && before.name != workload.name
            && is_asked(before) != is_asked(workload)
            && self.contents.renamed.len() < MAX_RENAMED
        {
            let (before, after) = (before.name.clone(), workload.name.clone());
            self.contents.renamed.push(Renamed { at: now, before, after });
        }
        if self.names.len() < MAX_NAMES || self.names.contains_key(&workload.id) {
            self.names.insert(workload.id.clone(), Arc::clone(workload));
        }
    }

    /// What is known so far.
    pub fn contents(&self) -> VerdictLogContents {
        VerdictLogContents {
            windows: self.windows.all(),
            windows_omitted: self.windows.omitted(),
            amounts: self.flows.amounts(),
            names: self.names.values().map(|workload| workload.name.clone()).collect(),
            ..self.contents.clone()
        }
    }

    fn line(&mut self, timeline: &Timeline, workload: &Arc<Workload>, flows: u64) {
        let VerdictLogContents { workloads, workloads_omitted, .. } = &mut self.contents;
        if workloads.len() >= self.limits.workloads && !workloads.contains_key(&workload.id) {
            *workloads_omitted += flows;
            return;
        }
        let line = workloads.entry(workload.id.clone()).or_insert_with(|| WorkloadLine {
            workload: Arc::clone(workload),
            flows: 0,
            watched: timeline.is_watched(workload),
        });
        line.workload = Arc::clone(timeline.workload(&workload.id).unwrap_or(workload));
        line.flows += flows;
    }
}

impl Observer for VerdictLog {
    fn judged(&mut self, timeline: &Timeline, _names: &Names, flow: &JudgedFlow, _goes_on: bool) {
        let Some(judgement) = &flow.judgement else { return };
        if self.except == Some(&*judgement.contract) {
            return self.flows.judged(flow, Traffic::Excepted);
        }
        self.flows.judged(flow, Traffic::of(judgement.verdict));
        let at = flow.oriented.at;
        let contents = &mut self.contents;
        if let Some(from) = flow.revised_from
            && !contents.take_back(from)
        {
            return;
        }
        contents.first = Some(contents.first.map_or(at, |first| first.min(at)));
        contents.last = Some(contents.last.map_or(at, |last| last.max(at)));
        match judgement.verdict {
            Verdict::Verified => contents.verified += 1,
            Verdict::Bypassed | Verdict::Partial => {
                contents.bypassed += u64::from(judgement.verdict == Verdict::Bypassed);
                contents.partial += u64::from(judgement.verdict == Verdict::Partial);
                contents.except(flow, judgement, self.limits);
            }
            Verdict::Unobservable(reason) => {
                contents.unobservable += 1;
                contents.reasons.entry(reason).or_default().count(flow, self.limits.points);
            }
        }
        if flow.revised_from.is_some() {
            return;
        }
        match flow.source.workload() {
            Some(workload) => self.line(timeline, workload, 1),
            None => contents.unattributed += 1,
        }
    }

    fn fact(&mut self, timeline: &Timeline, fact: &RecordedFact, now: Timestamp) {
        self.windows.on_fact(fact, now);
        let event = match fact {
            RecordedFact::Inventory(event) => Some(event),
            RecordedFact::Link(_) => None,
            _ => return,
        };
        if let Some(InventoryEvent::Workload(workload)) = event
            && self.workloads.iter().any(|selector| selector.matches(workload))
        {
            self.line(timeline, workload, 0);
        }
        if let Some(InventoryEvent::Workload(workload)) = event {
            self.name(workload, now);
        }
        // One that has ended keeps what was known while it ran.
        for line in self.contents.workloads.values_mut().filter(|line| timeline.is_running(&line.workload.id)) {
            line.watched = timeline.is_watched(&line.workload);
        }
    }

    fn flow(&mut self, event: &FlowEvent) {
        self.flows.on_flow(event);
    }
}

/// Sums by key.
type Counts<K> = BTreeMap<K, u64>;
