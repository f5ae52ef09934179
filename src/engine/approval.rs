//! Workloads beside the baseline, and a baseline that is approved while the engine runs.
//!
//! Contract: from the fact on, the approved baseline is the one in force, and every running workload is compared with it once. One that cannot
//! be read leaves the one before in force; `baseline-changed` reports it. Cost: an approval asks about all workloads; nothing else does.

use std::sync::Arc;

use super::{Asked, Engine};
use crate::alert::Alert;
use crate::baseline::{Baseline, Compared};
use crate::input::{BaselineFact, RecordedFact, Workload};
use crate::time::Timestamp;

impl Engine {
    /// Puts an approved baseline into force.
    pub(super) fn approve(&mut self, fact: &RecordedFact, now: Timestamp, out: &mut Vec<Alert>) {
        let RecordedFact::Baseline(BaselineFact::Approved { document, .. }) = fact else { return };
        let Ok(baseline) = Baseline::from_json(document) else { return };
        self.baseline = Some(Arc::new(baseline));
        // Some rules want nothing while there is none.
        self.rules.listen();
        let running: Vec<Arc<Workload>> = self.timeline.running().cloned().collect();
        for workload in &running {
            self.ask_about(workload, now, out);
        }
    }

    /// Asks the rules about a workload.
    pub(super) fn ask_about(&mut self, workload: &Arc<Workload>, now: Timestamp, out: &mut Vec<Alert>) {
        self.compared = self.baseline.as_ref().and_then(|baseline| Compared::of(baseline, workload));
        self.ask_rules(Asked::Workload, now, out, |rule, context, found| {
            rule.on_workload(context, workload, found);
        });
        self.compared = None;
    }
}
