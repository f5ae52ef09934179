//! What became of the flows that contracts cover, one by one where they are exceptions: for a report about a stretch of time.
//!
//! Contract: every judged flow that a contract covers is counted once, by verdict; each that is bypassed or partial is listed or counted as left
//! out; so is each window in which something was not seen. Limits: [`LedgerLimits`]. Design: like the board, fed a judgement at a
//! time and kept only when asked ([`super::Engine::keep_ledger`]); it decides nothing.

mod page;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use page::{ExceptionGroup, LedgerFlow, LedgerPage, ReasonCount, Target, WorkloadLine};
pub use windows::{Window, WindowKind};

use crate::input::{InventoryEvent, RecordedFact, Workload};
use crate::inventory::Timeline;
use crate::path::{JudgedFlow, Selector, Verdict};
use crate::time::Timestamp;
use windows::Windows;

/// Bounds of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
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

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    limits: LedgerLimits,
    /// Whose observation is noted; those of others only when a contract covers a flow of theirs.
    workloads: Vec<Selector>,
    windows: Windows,
    page: LedgerPage,
}

impl Ledger {
    /// An empty ledger about these workloads.
    pub fn new(limits: LedgerLimits, workloads: Vec<Selector>) -> Self {
        Self { limits, workloads, windows: Windows::new(limits.windows), page: LedgerPage::default() }
    }

    /// A flow was judged.
    pub(super) fn judged(&mut self, timeline: &Timeline, flow: &JudgedFlow) {
        let Some(judgement) = &flow.judgement else { return };
        let at = flow.oriented.at;
        let page = &mut self.page;
        page.first = Some(page.first.map_or(at, |first| first.min(at)));
        page.last = Some(page.last.map_or(at, |last| last.max(at)));
        match judgement.verdict {
            Verdict::Verified => page.verified += 1,
            Verdict::Bypassed | Verdict::Partial => {
                page.bypassed += u64::from(judgement.verdict == Verdict::Bypassed);
                page.partial += u64::from(judgement.verdict == Verdict::Partial);
                page.except(flow, judgement, self.limits);
            }
            Verdict::Unobservable(reason) => {
                page.unobservable += 1;
                page.reasons.entry(reason).or_default().count(flow, self.limits.points);
            }
        }
        match flow.source.workload() {
            Some(workload) => self.line(timeline, workload, 1),
            None => page.unattributed += 1,
        }
    }

    /// Something was told.
    pub(super) fn on_fact(&mut self, timeline: &Timeline, fact: &RecordedFact, now: Timestamp) {
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
        // One that has ended keeps what was known while it ran.
        for line in self.page.workloads.values_mut().filter(|line| timeline.is_running(&line.workload.id)) {
            line.watched = timeline.is_watched(&line.workload);
        }
    }

    /// What is known so far.
    pub fn page(&self) -> LedgerPage {
        LedgerPage { windows: self.windows.all(), windows_omitted: self.windows.omitted(), ..self.page.clone() }
    }

    fn line(&mut self, timeline: &Timeline, workload: &Arc<Workload>, flows: u64) {
        let LedgerPage { workloads, workloads_omitted, .. } = &mut self.page;
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

/// Sums by key.
type Counts<K> = BTreeMap<K, u64>;
