//! The second witness of a log driver that is `none`: the runtime sent this service's logs to a collector before, and sends nothing now.
//!
//! Contract: says so once a container, while it talks and nothing was lost. Where other containers send to the same address, the wire is
//! not quiet and says nothing. Limits: [`MAX_KNOWN`] services, targets and containers are remembered; beyond, a new one is not, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::detect::log_shipping::{DriverTarget, LOG_PORTS, LogFlows, Pulse, Quiet, Sender};
use crate::detect::{Context, Findings};
use crate::input::{FlowRecord, InventoryEvent, RecordedFact, Workload, WorkloadId, WorkloadState};
use crate::inventory::configuration::ServiceKey;
use crate::path::{Evidence, JudgedFlow, responder_of};
use crate::time::Timestamp;
use crate::wording::many;

const MAX_KNOWN: usize = 4096;

/// A container whose output is thrown away, and whose service sent logs before.
#[derive(Debug)]
struct Mute {
    workload: Arc<Workload>,
    target: DriverTarget,
    pulse: Pulse,
}

/// What the wire shows of log drivers.
#[derive(Debug)]
pub struct Wire {
    quiet: Quiet,
    flows: LogFlows,
    pulses: BTreeMap<DriverTarget, Pulse>,
    targets: BTreeMap<ServiceKey, DriverTarget>,
    mute: BTreeMap<WorkloadId, Mute>,
    due: BTreeSet<(Timestamp, WorkloadId)>,
    forgotten: u64,
}

/// What it found: the container, and what the wire shows.
pub type Found = (Arc<Workload>, Timestamp, Vec<Evidence>);

impl Wire {
    /// Nothing was seen yet.
    pub fn new(quiet: Quiet) -> Self {
        Self {
            quiet,
            flows: LogFlows::new(&LOG_PORTS, &[]),
            pulses: BTreeMap::new(),
            targets: BTreeMap::new(),
            mute: BTreeMap::new(),
            due: BTreeSet::new(),
            forgotten: 0,
        }
    }

    /// Takes in containers and their ends.
    pub fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact) {
        if let RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) = fact {
            self.mute.remove(id);
        }
        self.flows.on_fact(context.timeline, fact);
    }

    /// A container whose log driver is `none`.
    pub fn mute(&mut self, context: Context<'_>, workload: &Arc<Workload>) {
        if workload.state == WorkloadState::Exited || self.mute.contains_key(&workload.id) {
            return;
        }
        let Some(target) = self.targets.get(&ServiceKey::of(workload)) else { return };
        let Some(pulse) = self.pulses.get(target) else { return };
        if self.mute.len() >= MAX_KNOWN {
            self.forgotten += 1;
            return;
        }
        let (target, mut pulse) = (target.clone(), pulse.clone());
        pulse.wait_from(workload.since.unwrap_or(context.now).max(pulse.last));
        self.mute.insert(workload.id.clone(), Mute { workload: Arc::clone(workload), target, pulse });
    }

    /// A flow was judged.
    pub fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) -> Vec<Found> {
        if self.flows.may_be_collector(flow) {
            self.read(context, flow, &flow.oriented.read(&flow.view.record), flow.over);
            return Vec::new();
        }
        if self.mute.is_empty() {
            return Vec::new();
        }
        let responder = responder_of(context.timeline, &flow.oriented);
        let talkers = [flow.source.workload(), responder.workload()].into_iter().flatten();
        let ids: Vec<WorkloadId> = talkers.map(|workload| workload.id.clone()).collect();
        ids.iter().filter_map(|id| self.talk(context, id, flow.oriented.at, findings)).collect()
    }

    /// A flow went on.
    pub fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord, ended: bool) {
        if self.flows.may_be_collector(flow) {
            self.read(context, flow, &flow.oriented.read(record), ended);
        }
    }

    /// Containers whose waiting time is over.
    pub fn on_time(&mut self, context: Context<'_>) -> Vec<Found> {
        let mut found = Vec::new();
        while self.due.first().is_some_and(|(due, _)| *due <= context.now) {
            let Some((_, id)) = self.due.pop_first() else { break };
            found.extend(self.check(context, &id));
        }
        found
    }

    fn read(&mut self, context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord, ended: bool) {
        let Some(shipment) = self.flows.read(context.timeline, flow, record, ended) else { return };
        let Sender::Driver(target) = &shipment.sender else { return };
        for mute in self.mute.values_mut().filter(|mute| mute.target == *target) {
            mute.pulse.wait_from(shipment.time);
        }
        let clients = self.flows.clients.of(target).filter_map(|id| context.timeline.workload(id));
        for service in clients.map(|client| ServiceKey::of(client)).collect::<BTreeSet<_>>() {
            if self.targets.len() < MAX_KNOWN || self.targets.contains_key(&service) {
                self.targets.insert(service, target.clone());
            } else {
                self.forgotten += 1;
            }
        }
        if self.pulses.len() < MAX_KNOWN || self.pulses.contains_key(target) {
            let pulse = self.pulses.entry(target.clone()).or_insert_with(|| Pulse::new(shipment.time));
            pulse.shipped(shipment.time, &flow.view.points);
        } else {
            self.forgotten += 1;
        }
    }

    fn talk(&mut self, context: Context<'_>, id: &WorkloadId, at: Timestamp, findings: &mut Findings) -> Option<Found> {
        let mute = self.mute.get_mut(id).filter(|mute| !mute.pulse.reported)?;
        mute.pulse.talked(at, &mute.workload.name);
        let due = mute.pulse.due(self.quiet);
        if due <= context.now {
            return self.check(context, id);
        }
        if mute.pulse.talk == 1 && self.due.insert((due, id.clone())) {
            findings.schedule(due);
        }
        None
    }

    fn check(&mut self, context: Context<'_>, id: &WorkloadId) -> Option<Found> {
        let mute = self.mute.get_mut(id)?;
        if !mute.pulse.is_quiet(self.quiet, context.path, context.now) {
            return None;
        }
        mute.pulse.reported = true;
        let Mute { workload, target, pulse } = mute;
        let evidence = vec![
            Evidence::new(
                "wire",
                format!(
                    "the runtime sent logs of this service to {target} until {}; nothing since, while {} of it began",
                    pulse.last.readable(),
                    many(pulse.talk, "flow")
                ),
            ),
            Evidence::new(
                "observation",
                format!("nothing was lost in that time at {}", pulse.watched_at(context.path, context.now)),
            ),
        ];
        Some((Arc::clone(workload), pulse.from, evidence))
    }

    /// What found no room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten + self.flows.forgotten()
    }
}
