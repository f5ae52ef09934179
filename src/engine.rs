//! The engine: inputs in, alerts out. It owns all state and has no clock.
//!
//! Contract: time is the event time of the inputs, a watermark that only moves forward. Timers due at or before an input fire
//! first, in (deadline, sequence) order, stamped with their deadline. Ticks move time and nothing else. Equal inputs give equal
//! outputs. Limits: every table is bounded by [`EngineConfig`]; what a bound cost is counted in [`EngineStats`].
//! Design: inventory → tracker → rules → alert grouper, one call each; this file only passes facts on and counts.

mod approval;
mod asked;
mod asking;
mod config;
mod facts;
mod heard_logs;
mod histogram;
mod judged_counts;
mod observer;
mod reconfigure;
mod rule_set;
mod stats;
mod timers;
mod verdict_log;
mod workload_stats;

use std::any::Any;
use std::sync::Arc;

pub use config::{EngineConfig, Timings};
pub use heard_logs::{HeardLog, HeardLogs};
pub use histogram::LatencyHistogram;
pub use observer::Observer;
pub use stats::{Bound, EngineStats, FirewallStats, HostLoggingStats, LogFileStats};
pub use verdict_log::{
    ExceptionGroup, LoggedFlow, ReasonCount, Renamed, Scope, Target, Traffic, VerdictLog, VerdictLogContents,
    VerdictLogLimits, Window, WindowKind, WorkloadLine,
};
pub use workload_stats::{FlowLine, Tally, Who, WorkloadRow, WorkloadStats, WorkloadStatsLimits, WorkloadTable};

use crate::alert::{Alert, AlertGrouper, Exception};
use crate::baseline::{Baseline, Compared};
use crate::detect::{Actors, Contacts, asker_of};
use crate::incident::{Incident, IncidentTracker};
use crate::input::{Endpoint, Fact, FlowEvent, FlowEventKind, FlowId, Input, NameAnswer, RecordedFact};
use crate::inventory::{RecentActs, Timeline};
use crate::names::Names;
use crate::path::{GracePeriods, Judge, JudgeContext, PathState, Step, Tracker, owner_of};
use crate::time::{Timestamp, Watermark};
use asked::Asked;
use judged_counts::JudgedCounts;
use rule_set::{RuleSet, Told};
use timers::Timers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Flow(FlowId),
    Rule(usize),
    Contacts,
    Updates,
    LeftOpen,
}

/// Everything between an observation and an alert.
#[derive(Debug)]
pub struct Engine {
    watermark: Watermark,
    timers: Timers<Timer>,
    timeline: Timeline,
    recent: RecentActs,
    tracker: Tracker,
    path: PathState,
    names: Names,
    grace: GracePeriods,
    rules: RuleSet,
    actors: Actors,
    contacts: Contacts,
    baseline: Option<Arc<Baseline>>,
    /// The workload that rules are asked about, beside the baseline.
    compared: Option<Compared>,
    grouper: AlertGrouper,
    incidents: Option<IncidentTracker>,
    stats: EngineStats,
    judged: JudgedCounts,
    /// An empty step, with room.
    spare: Option<Box<Step>>,
    observers: Vec<Box<dyn Observer>>,
    /// Of the configuration in force, for alerts.
    config_sha256: Option<Arc<str>>,
    rule_page: Option<Arc<str>>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: EngineConfig) -> Self {
        let (tracking, grouping) = (config.tracking(), config.grouping());
        let monitors = Arc::new(config.monitors);
        let exceptions: Vec<_> = config.exceptions.iter().map(Exception::term).collect();
        let told = Told { contracts: &config.contracts, monitors: &monitors, exceptions: &exceptions };
        let rules = RuleSet::new(&config.rules, told);
        let judge = Judge::new(config.contracts);
        let path = PathState::new(judge.contracts());
        Self {
            path,
            names: Names::default(),
            watermark: Watermark::default(),
            timers: Timers::default(),
            timeline: Timeline::new(config.timeline),
            recent: RecentActs::default(),
            stats: EngineStats::new(judge.names()),
            judged: JudgedCounts::default(),
            spare: None,
            tracker: Tracker::new(judge, tracking),
            grace: config.timings.grace(),
            rules,
            actors: Actors::new(config.local),
            contacts: Contacts::default(),
            baseline: config.baseline,
            compared: None,
            grouper: AlertGrouper::new(config.exceptions, config.severities, grouping),
            incidents: config.incidents.map(IncidentTracker::new),
            observers: Vec::new(),
            config_sha256: config.config_sha256,
            rule_page: config.rule_page,
        }
    }

    /// Adds an observer; it sees everything from now on.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// The observer of this type, where there is one.
    pub fn observer<T: Observer>(&self) -> Option<&T> {
        self.observers.iter().find_map(|observer| (&**observer as &dyn Any).downcast_ref())
    }

    /// Takes the observer of this type out, where there is one.
    pub fn take_observer<T: Observer>(&mut self) -> Option<T> {
        let at = self.observers.iter().position(|observer| (&**observer as &dyn Any).is::<T>())?;
        let observer: Box<dyn Any> = self.observers.remove(at);
        observer.downcast().ok().map(|observer| *observer)
    }

    /// What each workload did so far; `None` without [`WorkloadStats`] among the observers.
    pub fn workload_stats(&mut self) -> Option<WorkloadTable> {
        let mut all = self.observers.iter_mut().map(|observer| &mut **observer as &mut dyn Any);
        let stats: &mut WorkloadStats = all.find_map(|observer| observer.downcast_mut())?;
        Some(stats.view(&self.timeline))
    }

    /// Grows whenever what [`Self::workload_stats`] answers may have changed; 0 when it answers nothing.
    pub fn workload_stats_revision(&self) -> u64 {
        self.observer().map_or(0, WorkloadStats::revision)
    }

    /// What became of the flows that contracts cover; `None` without a [`VerdictLog`] among the observers.
    pub fn verdict_log(&self) -> Option<VerdictLogContents> {
        self.observer().map(VerdictLog::contents)
    }

    /// Takes in one observation; alerts that are due go to `out`.
    pub fn push(&mut self, input: &Input, out: &mut Vec<Alert>) {
        let before = out.len();
        self.apply(input, out);
        self.post(out.get_mut(before..).unwrap_or_default());
    }

    /// Incidents that are new or have grown since the last call; none where they are switched off.
    pub fn take_incidents(&mut self) -> Vec<Incident> {
        self.incidents.as_mut().map(IncidentTracker::take).unwrap_or_default()
    }

    fn post(&mut self, alerts: &mut [Alert]) {
        for alert in alerts {
            alert.config_sha256.clone_from(&self.config_sha256);
            if let Some(page) = &self.rule_page {
                alert.link = page.replace("{rule}", alert.rule);
            }
            if let Some(incidents) = &mut self.incidents {
                incidents.alert(&self.timeline, alert);
            }
            self.observers.iter_mut().for_each(|observer| observer.alert(alert));
        }
    }

    fn apply(&mut self, input: &Input, out: &mut Vec<Alert>) {
        // What an earlier run left open is known before anything is found.
        if !matches!(input.fact, Fact::Recorded(RecordedFact::OpenAlert(_))) {
            self.wake_rules(input.at);
        }
        self.fire(input.at, out);
        let now = self.watermark.advance(input.at);
        match &input.fact {
            Fact::Flow(event) => self.on_flow(event, now, out),
            Fact::Claim(claim) => {
                self.ask_rules(Asked::Claim, now, out, |rule, context, found| rule.on_claim(context, claim, found));
            }
            Fact::Recorded(fact) => self.on_fact(fact, now, out),
            Fact::Answer(answer) => self.learn_name(answer, now),
            Fact::Undecoded(frames) => self.path.unjudged.undecoded(&self.timeline, frames),
            Fact::Tick => {}
        }
        self.report_unjudged(now, out);
    }

    /// A name was answered with addresses.
    fn learn_name(&mut self, answer: &NameAnswer, now: Timestamp) {
        let end = Endpoint { ip: answer.asker, port: 0 };
        let owner = owner_of(&self.timeline, &answer.point, end, now);
        self.names.learn(&asker_of(&owner, answer.asker), answer, now);
    }

    /// The observation ends: what still waits is judged as it stands, what was counted is reported.
    pub fn finish(&mut self, out: &mut Vec<Alert>) {
        let (now, before) = (self.watermark.now(), out.len());
        let mut step = self.spare.take().unwrap_or_default();
        let grace = GracePeriods { all_reported: true, ..self.grace };
        let context = JudgeContext { timeline: &self.timeline, path: &self.path, grace };
        self.tracker.finish(context, now, &mut step);
        self.handle(step, now, out);
        self.report_unjudged(now, out);
        self.end_rules(now, out);
        out.extend(self.grouper.finish(now));
        self.post(out.get_mut(before..).unwrap_or_default());
    }

    /// When the first timer is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    /// What was counted so far.
    pub fn stats(&self) -> EngineStats {
        let mut stats = self.stats.clone();
        self.judged.add_to(&mut stats);
        stats.flows_followed = self.tracker.len();
        stats.alerts_closed_early = self.grouper.closed_early();
        stats.alerts_over_budget.clone_from(self.grouper.over_budget());
        for exception in self.grouper.exceptions() {
            let expires = stats.exceptions_expire.entry(exception.name.clone()).or_default();
            *expires = exception.expires.max(*expires);
        }
        stats.incidents = self.incidents.as_ref().map(IncidentTracker::counts).unwrap_or_default();
        stats.workloads_running = self.timeline.running().count();
        stats.workloads = self.timeline.states();
        stats.hops_seen = self.path.hops.iter().map(|(hop, record)| (Arc::clone(hop), record.last_seen)).collect();
        stats.kernel_missed.clone_from(self.timeline.kernel().missed());
        stats.unjudged.clone_from(self.path.unjudged.totals());
        stats.count_bounds(&self.timeline, &self.path, self.tracker.forgotten_points());
        stats.bounds.insert(Bound::Names, self.names.forgotten());
        stats.bounds.insert(Bound::Rules, self.rules_forgot());
        stats
    }

    /// What rules, and what they may look at, forgot.
    fn rules_forgot(&self) -> u64 {
        self.rules.forgotten() + self.actors.forgotten() + self.contacts.forgotten() + self.recent.forgotten()
    }

    /// Who owns what, as known now.
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What verdicts rest on beside the inventory, as known now.
    pub const fn path(&self) -> &PathState {
        &self.path
    }

    fn fire(&mut self, until: Timestamp, out: &mut Vec<Alert>) {
        while let Some((deadline, timers)) = self.timers.pop_due(until) {
            let now = self.watermark.advance(deadline);
            match timers {
                Timer::Flow(id) => {
                    self.track(now, out, |tracker, context, step| tracker.on_timer(context, id, now, step));
                }
                Timer::Rule(index) => self.fire_rule(index, now, out),
                Timer::Contacts => {
                    let due = self.contacts.due(&self.path, now);
                    self.contact(&due, None, now, out);
                }
                Timer::Updates => out.extend(self.grouper.due(now)),
                Timer::LeftOpen => self.grouper.forget_resumed(now),
            }
        }
    }

    /// Lets the tracker do something, and takes what came of it.
    fn track(
        &mut self,
        now: Timestamp,
        out: &mut Vec<Alert>,
        act: impl FnOnce(&mut Tracker, JudgeContext<'_>, &mut Step),
    ) {
        let mut step = self.spare.take().unwrap_or_default();
        let context = JudgeContext { timeline: &self.timeline, path: &self.path, grace: self.grace };
        act(&mut self.tracker, context, &mut step);
        self.handle(step, now, out);
    }

    fn on_flow(&mut self, event: &FlowEvent, now: Timestamp, out: &mut Vec<Alert>) {
        let mut step = self.spare.take().unwrap_or_default();
        if event.kind == FlowEventKind::Started {
            self.path.see(&event.record.point, event.record.start);
        }
        let context = JudgeContext { timeline: &self.timeline, path: &self.path, grace: self.grace };
        self.tracker.on_event(context, event, now, &mut step);
        let (went_on, new_link, answered) = (step.went_on.take(), step.new_link.take(), step.answered.take());
        self.handle(step, now, out);
        if let Some(flow) = went_on.as_ref().or(answered.as_ref()) {
            let record = flow.oriented.read(&event.record);
            let due = self.contacts.went_on(&self.path, (flow, event), &record, now);
            self.contact(due.as_slice(), Some(&record), now, out);
        }
        if let Some(flow) = new_link {
            self.ask_rules(Asked::NewLink, now, out, |rule, context, found| {
                rule.on_new_link(context, &flow, &event.record, found);
            });
        }
        if let Some(flow) = went_on {
            self.path.go_on(&flow, event);
            self.ask_rules(Asked::Progress, now, out, |rule, context, found| {
                rule.on_progress(context, &flow, event, found);
            });
        }
        self.observers.iter_mut().for_each(|observer| observer.flow(event));
        let ended = matches!(event.kind, FlowEventKind::Ended(_));
        if let Some(due) = self.grouper.on_flow(&event.record, ended) {
            self.timers.set(due, Timer::Updates);
        }
    }

    fn handle(&mut self, mut step: Box<Step>, now: Timestamp, out: &mut Vec<Alert>) {
        for (at, id) in &step.timers {
            self.timers.set(*at, Timer::Flow(*id));
        }
        self.stats.flows_forgotten += step.forgotten;
        for judged in &step.judged {
            let flow = &**judged;
            self.stats.judged(flow);
            self.judged.judged(flow);
            self.path.record(&self.timeline, flow);
            self.actors.see(flow);
            let tuple = flow.oriented.tuple;
            if !self.names.is_empty() {
                self.names.touch(&asker_of(&flow.source, tuple.orig.ip), tuple.resp.ip, flow.oriented.at);
            }
            let goes_on = self.tracker.is_followed(flow.view.record.id);
            self.observers.iter_mut().for_each(|observer| observer.judged(&self.timeline, &self.names, flow, goes_on));
            let asked = if flow.skip().is_some() { Asked::SkippingFlow } else { Asked::Flow };
            self.ask_rules(asked, now, out, |rule, context, found| rule.on_flow(context, flow, found));
            let (due, deadline) = self.contacts.judged((&self.path, &self.actors), judged, now);
            if let Some(at) = deadline {
                self.timers.set(at, Timer::Contacts);
            }
            self.contact(due.as_slice(), None, now, out);
        }
        for id in &step.gone {
            let due = self.contacts.gone(&self.path, *id, now);
            self.contact(due.as_slice(), None, now, out);
        }
        step.clear();
        self.spare = Some(step);
    }
}
