//! `monitor-stopped`.

mod known;
mod strategy;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::known::{Cause, Known};
pub use self::strategy::META;
use crate::detect::debounce::{HoldTime, Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, Rule, Severity, placement};
use crate::input::{
    AgentProcess, ContainerAct, ContainerEvent, InventoryEvent, KernelFact, RecordedFact, RuntimeId, Workload,
    WorkloadId, WorkloadState,
};
use crate::path::{Evidence, Monitors, Selector};
use crate::time::Timestamp;

/// Monitors that are known at once.
const MAX_MONITORS: usize = 16_384;
/// Monitors of which is remembered that their end was reported.
const MAX_DOWN: usize = 1024;

rule_params! {
    /// Monitors that may stop: those that run now and then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long after its end a monitor's successor may start, or the monitor itself again.
    successor: HoldTime = HoldTime::secs(120),
    /// How long a monitor may be paused, frozen or without one of its networks: `docker commit` pauses a container.
    settle: HoldTime = HoldTime::secs(15),
}

/// The rule; it remembers the monitors that run, and those that ended a moment ago.
#[derive(Debug)]
struct MonitorStopped {
    params: Params,
    monitors: Arc<Monitors>,
    known: BTreeMap<WorkloadId, Known>,
    pending: PendingFindings<WorkloadId, Cause>,
    /// What was reported of monitors that run.
    reported: BTreeSet<(WorkloadId, Cause)>,
    /// Monitors whose end was reported, until one of their service runs.
    down: VecDeque<Known>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    MonitorStopped {
        params: params.clone(),
        monitors: Arc::default(),
        known: BTreeMap::new(),
        pending: PendingFindings::default(),
        reported: BTreeSet::new(),
        down: VecDeque::new(),
        forgotten: 0,
    }
}

impl Rule for MonitorStopped {
    fn monitors(&mut self, monitors: &Arc<Monitors>) {
        self.monitors = Arc::clone(monitors);
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        if let Some(known) = self.known.get_mut(&workload.id) {
            known.changed(workload, context.now);
        } else if self.learn(workload) {
            self.back(context, workload, findings);
        } else {
            return;
        }
        self.check(context, &workload.id, findings);
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        let event = match fact {
            RecordedFact::Inventory(event) => event,
            RecordedFact::Kernel(KernelFact::Agent(process)) => return self.on_process(context, process, findings),
            _ => return,
        };
        match event {
            InventoryEvent::Container(event) => self.on_event(context, event, findings),
            InventoryEvent::Stopped { id, until } => self.ended(context, id, *until, findings),
            InventoryEvent::Reconciled { runtime, .. } => self.reconciled(context, *runtime, findings),
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for id in self.pending.ripe(context.now) {
            self.check(context, &id, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl MonitorStopped {
    /// Remembers a monitor that runs; whether it is one.
    fn learn(&mut self, workload: &Arc<Workload>) -> bool {
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        if !runs || Selector::any(&self.params.allowed, workload) {
            return false;
        }
        let Some(role) = self.monitors.role(workload) else { return false };
        if self.known.len() >= MAX_MONITORS {
            self.forgotten += 1;
            return false;
        }
        self.known.insert(workload.id.clone(), Known::new(workload, role));
        true
    }

    fn on_event(&mut self, context: Context<'_>, event: &ContainerEvent, findings: &mut Findings) {
        let Some(known) = self.known.get_mut(&event.workload) else { return };
        known.note(event);
        if matches!(event.action, ContainerAct::Killed { .. }) {
            self.check(context, &event.workload, findings);
        }
    }

    /// A process of an agent: in a workload that is a monitor for that reason, or for another one.
    fn on_process(&mut self, context: Context<'_>, process: &AgentProcess, findings: &mut Findings) {
        if let Some(known) = self.known.get_mut(&process.workload).filter(|known| known.ended.is_none()) {
            known.process(process, context.now);
            self.check(context, &process.workload, findings);
        }
    }

    fn ended(&mut self, context: Context<'_>, id: &WorkloadId, until: Timestamp, findings: &mut Findings) {
        if let Some(known) = self.known.get_mut(id) {
            known.end(until);
            self.check(context, id, findings);
        }
    }

    /// What the runtime's whole list lacks has ended, unheard.
    fn reconciled(&mut self, context: Context<'_>, runtime: RuntimeId, findings: &mut Findings) {
        let is_gone = |(id, known): &(&WorkloadId, &Known)| {
            known.workload.runtime == runtime && known.ended.is_none() && !context.timeline.is_running(id)
        };
        let gone: Vec<WorkloadId> = self.known.iter().filter(is_gone).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.ended(context, &id, context.now, findings);
        }
    }

    /// Reports what stands for long enough.
    fn check(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let Some(known) = self.known.get(id) else { return };
        let standing = known.standing.clone();
        self.pending.keep(id, |cause| standing.contains_key(cause));
        self.over(context, id, findings);
        for (cause, since) in standing {
            let hold = if cause == Cause::Ended { self.params.successor } else { self.params.settle };
            match self.pending.observe(id, cause.clone(), context.now, since.plus(hold.get())) {
                Next::Report => self.report(context, id, &cause, since, findings),
                Next::Schedule(at) => findings.schedule(at),
                Next::Nothing => {}
            }
        }
    }

    /// Says of what was reported, and does not stand any more, that it is over.
    fn over(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let Some(known) = self.known.get(id) else { return };
        let is_over = |(of, cause): &(WorkloadId, Cause)| of == id && !known.standing.contains_key(cause);
        let over: Vec<_> = self.reported.iter().filter(|one| is_over(one)).cloned().collect();
        for one in over {
            self.reported.remove(&one);
            // One that has ended is not back; that is a cause of its own.
            if known.ended.is_none() {
                findings.push(back_finding(&known.workload, &one.1, context.now, "it works again".to_owned()));
            }
        }
    }

    /// A monitor started: those of its service that were down are replaced.
    fn back(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let Some(new) = self.known.get(&workload.id) else { return };
        let (back, down): (VecDeque<_>, _) =
            std::mem::take(&mut self.down).into_iter().partition(|known| known.is_same_service(new));
        self.down = down;
        for known in back {
            let text = format!("{} of the same service runs", workload.name);
            findings.push(back_finding(&known.workload, &Cause::Ended, context.now, text));
        }
    }

    /// Remembers what was reported, until it is over.
    fn remember(&mut self, id: &WorkloadId, cause: &Cause) {
        if *cause != Cause::Ended {
            self.reported.insert((id.clone(), cause.clone()));
        } else if let Some(known) = self.known.remove(id) {
            if self.down.len() >= MAX_DOWN {
                self.down.pop_front();
                self.forgotten += 1;
            }
            self.down.push_back(known);
        }
    }

    fn report(
        &mut self,
        context: Context<'_>,
        id: &WorkloadId,
        cause: &Cause,
        since: Timestamp,
        findings: &mut Findings,
    ) {
        let Some(known) = self.known.get(id) else { return };
        let others = self.others(context, known, since);
        let is_silent = !context.timeline.is_reconciled(&known.workload.runtime);
        if *cause != Cause::Ended || !(others.successor || is_silent || context.timeline.running().next().is_none()) {
            let evidence = evidence(known, cause, since, others.replicas);
            let finding = Finding::of_workload(&META, since, &known.workload, &cause.to_string(), evidence);
            let severity = if others.replicas > 0 { Severity::Medium } else { META.severity };
            findings.push(Finding { severity, missing_hop: known.role.hop(), ..finding });
            self.remember(id, cause);
        }
        if *cause == Cause::Ended {
            self.known.remove(id);
            self.pending.forget(id);
            self.reported.retain(|(of, _)| of != id);
        }
    }

    /// Other containers of a monitor's service.
    fn others(&self, context: Context<'_>, known: &Known, since: Timestamp) -> Others {
        let earliest = since.minus(self.params.successor.get());
        let same = |other: &&Known| {
            let is_other = other.workload.id != known.workload.id && other.ended.is_none();
            is_other && other.is_same_service(known) && placement::runs(context.timeline, &other.workload)
        };
        let mut others = Others::default();
        for other in self.known.values().filter(same) {
            if other.workload.since.is_some_and(|start| start >= earliest) {
                others.successor = true;
            } else {
                others.replicas += 1;
            }
        }
        others
    }
}

fn back_finding(workload: &Arc<Workload>, cause: &Cause, at: Timestamp, text: String) -> Finding {
    let finding = Finding::of_workload(&META, at, workload, &cause.to_string(), vec![Evidence::new("over", text)]);
    Finding { is_over: true, ..finding }
}

#[derive(Debug, Default)]
struct Others {
    /// One started about when the monitor ended.
    successor: bool,
    /// So many ran before and still do.
    replicas: usize,
}

fn evidence(known: &Known, cause: &Cause, since: Timestamp, replicas: usize) -> Vec<Evidence> {
    let mut evidence =
        vec![Evidence::new("monitor", format!("{}; {} since {}", known.role, cause.in_words(), since.readable()))];
    evidence.extend(known.acts.iter().map(|(at, act)| Evidence::new("event", format!("{}: it {act}", at.readable()))));
    if cause == &Cause::Ended {
        evidence.push(Evidence::new("successor", "no container of its service started about then"));
    }
    if replicas > 0 {
        evidence.push(Evidence::new("replicas", format!("{replicas} others of its service run")));
    }
    evidence.push(Evidence::new("by", "not known: the runtime does not report who asked for it"));
    evidence
}
