//! A monitor as it is known: what it had when it ran well, and what stands against it now.
//!
//! Contract: pure; a cause stands from the moment when it began until it is taken back. Limits: [`MAX_ACTS`] events and [`MAX_KEYS`]
//! keys are remembered of each. Design: a container that Compose is about to replace gets another name first, so a monitor keeps every key
//! that it had.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::input::{AgentProcess, AgentState, ContainerAct, ContainerEvent, ResourceLimits, Workload, WorkloadState};
use crate::inventory::configuration::ServiceKey;
use crate::path::MonitorRole;
use crate::time::Timestamp;

/// Events that are shown with a finding.
const MAX_ACTS: usize = 8;
const MAX_KEYS: usize = 4;
/// Processes of agents in one monitor.
const MAX_PROCESSES: usize = 256;
/// Less memory, processors and processes than any agent can work with.
const LEAST: ResourceLimits = ResourceLimits { memory: 32 << 20, nano_cpus: 50_000_000, pids: 4 };
/// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU; SIGCONT ends what they do (signal(7)).
const FREEZING: [u8; 4] = [19, 20, 21, 22];
const CONTINUE: u8 = 18;

/// What stands against a monitor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Ended,
    Paused,
    Frozen,
    Disconnected(String),
    Starved(&'static str),
    /// No process of this agent is left.
    Process(String),
    /// All processes of this agent are stopped.
    Halted(String),
}

impl Cause {
    /// With the monitor as its subject.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Ended => "it has not run".to_owned(),
            Self::Paused => "it has been paused".to_owned(),
            Self::Frozen => "its first process has been frozen by a signal".to_owned(),
            Self::Disconnected(network) => format!("it has been without its network {network}"),
            Self::Process(program) => format!("the container has run without a process of {program}"),
            Self::Halted(program) => format!("its processes of {program} have been stopped"),
            Self::Starved(limit) => format!("its limit of {limit} has been too low to work"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("ended"),
            Self::Paused => f.write_str("paused"),
            Self::Frozen => f.write_str("frozen"),
            Self::Disconnected(network) => write!(f, "disconnected from {network}"),
            Self::Starved(limit) => write!(f, "starved of {limit}"),
            Self::Process(program) => write!(f, "no process of {program}"),
            Self::Halted(program) => write!(f, "{program} stopped"),
        }
    }
}

/// A monitor.
#[derive(Debug)]
pub(super) struct Known {
    /// As it was last reported while it ran.
    pub(super) workload: Arc<Workload>,
    pub(super) role: MonitorRole,
    pub(super) ended: Option<Timestamp>,
    /// What stands against it, since when.
    pub(super) standing: BTreeMap<Cause, Timestamp>,
    /// What the runtime did to it, last.
    pub(super) acts: VecDeque<(Timestamp, String)>,
    keys: BTreeSet<ServiceKey>,
    networks: BTreeSet<String>,
    limits: ResourceLimits,
    /// Its agents' processes, by pid: name, and whether each is stopped.
    processes: BTreeMap<u32, (String, bool)>,
}

impl Known {
    pub(super) fn new(workload: &Arc<Workload>, role: MonitorRole) -> Self {
        Self {
            workload: Arc::clone(workload),
            role,
            ended: None,
            standing: BTreeMap::new(),
            acts: VecDeque::new(),
            keys: BTreeSet::from([ServiceKey::of(workload)]),
            networks: networks(workload),
            limits: limits(workload),
            processes: BTreeMap::new(),
        }
    }

    /// Whether both are, or were, of one service.
    pub(super) fn is_same_service(&self, other: &Self) -> bool {
        !self.keys.is_disjoint(&other.keys)
    }

    /// Takes in an event, for those who ask what happened.
    pub(super) fn note(&mut self, event: &ContainerEvent) {
        match event.action {
            ContainerAct::Killed { signal: Some(signal) } if FREEZING.contains(&signal) => {
                self.standing.entry(Cause::Frozen).or_insert(event.at);
            }
            ContainerAct::Killed { signal: Some(CONTINUE) } => _ = self.standing.remove(&Cause::Frozen),
            _ => {}
        }
        if self.acts.len() >= MAX_ACTS {
            self.acts.pop_front();
        }
        self.acts.push_back((event.at, event.action.to_string()));
    }

    /// The kernel showed a process of an agent in it.
    pub(super) fn process(&mut self, process: &AgentProcess, at: Timestamp) {
        if process.state == AgentState::Ended {
            self.processes.remove(&process.pid);
        } else if self.processes.len() < MAX_PROCESSES {
            let is_stopped = process.state == AgentState::Stopped;
            self.processes.insert(process.pid, (process.program.clone(), is_stopped));
        }
        let mut of_program = self.processes.values().filter(|(program, _)| *program == process.program).peekable();
        let is_gone = of_program.peek().is_none();
        let are_stopped = !is_gone && of_program.all(|(_, is_stopped)| *is_stopped);
        self.stands(Cause::Process(process.program.clone()), is_gone, at);
        self.stands(Cause::Halted(process.program.clone()), are_stopped, at);
    }

    /// Its run ended.
    pub(super) fn end(&mut self, until: Timestamp) {
        self.ended = Some(until);
        self.processes.clear();
        self.standing = BTreeMap::from([(Cause::Ended, until)]);
    }

    /// It was reported again.
    pub(super) fn changed(&mut self, workload: &Arc<Workload>, now: Timestamp) {
        if !matches!(workload.state, WorkloadState::Running | WorkloadState::Paused) {
            return;
        }
        if self.keys.len() < MAX_KEYS {
            self.keys.insert(ServiceKey::of(workload));
        }
        if self.ended.take().is_some() || self.workload.pid != workload.pid {
            // Another run: what it has now is what it is compared with.
            self.standing.clear();
            (self.networks, self.limits) = (networks(workload), limits(workload));
        }
        self.workload = Arc::clone(workload);
        self.stands(Cause::Paused, workload.state == WorkloadState::Paused, now);
        self.compare_networks(workload, now);
        self.compare_limits(workload, now);
    }

    fn stands(&mut self, cause: Cause, stands: bool, now: Timestamp) {
        if stands {
            self.standing.entry(cause).or_insert(now);
        } else {
            self.standing.remove(&cause);
        }
    }

    fn compare_networks(&mut self, workload: &Workload, now: Timestamp) {
        let attached = networks(workload);
        for network in self.networks.clone() {
            let is_lost = !attached.contains(&network);
            self.stands(Cause::Disconnected(network), is_lost, now);
        }
        self.networks.extend(attached);
    }

    fn compare_limits(&mut self, workload: &Workload, now: Timestamp) {
        let (before, limits) = (self.limits.clone(), limits(workload));
        for (name, before, limit, least) in [
            ("memory", before.memory, limits.memory, LEAST.memory),
            ("processors", before.nano_cpus, limits.nano_cpus, LEAST.nano_cpus),
            ("processes", before.pids, limits.pids, LEAST.pids),
        ] {
            let is_lower = limit > 0 && (before <= 0 || limit < before);
            self.stands(Cause::Starved(name), is_lower && limit < least, now);
        }
    }
}

fn networks(workload: &Workload) -> BTreeSet<String> {
    workload.attachments.iter().map(|attachment| attachment.network.clone()).collect()
}

fn limits(workload: &Workload) -> ResourceLimits {
    workload.configuration.as_ref().map(|settings| settings.limits.clone()).unwrap_or_default()
}
