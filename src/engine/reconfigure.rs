//! Another configuration, put into force while the engine runs.
//!
//! Contract: from this moment on flows are judged by the new contracts. What was said stays: open alerts keep their ids and counts, a judged flow its verdict until it
//! gets worse or becomes known, a flow that no contract covered stays uncovered until it ends. Rules whose parameters are the same keep what they remember; a
//! rule that begins now is asked about every running workload. A reload of the same configuration changes nothing. The baseline in force stays
//! (it is approved by a fact), and so do the bounds of the timeline. Cost: what a start costs, and all running workloads for each rule that begins.

use std::sync::Arc;

use super::{Engine, EngineConfig, Timer, Told};
use crate::alert::{Alert, Exception};
use crate::baseline::Compared;
use crate::detect::Findings;
use crate::incident::{IncidentLimits, IncidentTracker};
use crate::input::Workload;
use crate::path::Judge;

impl Engine {
    /// Puts a configuration into force; what its new rules say of running workloads goes to `out`.
    pub fn reconfigure(&mut self, config: EngineConfig, out: &mut Vec<Alert>) {
        let (tracking, grouping) = (config.tracking(), config.grouping());
        self.config_sha256 = config.config_sha256;
        self.rule_page = config.rule_page;
        let monitors = Arc::new(config.monitors);
        let exceptions: Vec<_> = config.exceptions.iter().map(Exception::term).collect();
        let told = Told { contracts: &config.contracts, monitors: &monitors, exceptions: &exceptions };
        let begun = self.rules.reconfigure(&config.rules, told);
        let judge = Judge::new(config.contracts);
        self.stats.add_contracts(judge.names());
        self.path.reconfigure(self.tracker.contracts(), judge.contracts());
        self.tracker.reconfigure(judge, tracking);
        self.grace = config.timings.grace();
        self.actors.reconfigure(config.local);
        for due in self.grouper.reconfigure(config.exceptions, config.severities, grouping) {
            self.timers.set(due, Timer::Updates);
        }
        self.limit_incidents(config.incidents);
        self.begin(&begun, out);
        // Now, since the next input may be a tick, which a recording does not have.
        self.wake_rules(self.watermark.now());
    }

    fn limit_incidents(&mut self, limits: Option<IncidentLimits>) {
        match (&mut self.incidents, limits) {
            (Some(tracker), Some(limits)) => tracker.reconfigure(limits),
            (tracker, limits) => *tracker = limits.map(IncidentTracker::new),
        }
    }

    /// Asks rules that begin now about what runs.
    fn begin(&mut self, places: &[usize], out: &mut Vec<Alert>) {
        if places.is_empty() {
            return;
        }
        let (now, before) = (self.watermark.now(), out.len());
        let running: Vec<Arc<Workload>> = self.timeline.running().cloned().collect();
        for workload in &running {
            self.compared = self.baseline.as_ref().and_then(|baseline| Compared::of(baseline, workload));
            for place in places {
                let mut findings = Findings::default();
                self.ask_rule(*place, now, &mut findings, |rule, context, found| {
                    rule.on_workload(context, workload, found);
                });
                self.take(*place, &mut findings, out);
            }
        }
        self.compared = None;
        self.post(out.get_mut(before..).unwrap_or_default());
    }
}
