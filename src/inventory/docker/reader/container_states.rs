//! What is known of each container while its events come in.
//!
//! Contract: for one container, events and answers take effect in the order of the events: while a query about it is under
//! way, its later events wait. A container whose inspect comes too late is reported with what its network said when it was
//! connected. Limits: [`MAX_KNOWN`] containers, [`MAX_WAITING`] events each; what is beyond is left to the next reconcile.
//! Design: no socket here: events and answers in, reports and queries out, so that every order can be tested.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::acts;
use crate::input::{Attachment, ContainerEvent, InventoryEvent, NetworkMode, Workload, WorkloadId, WorkloadState};
use crate::inventory::docker::convert::GATEWAY_NETWORK;
use crate::inventory::reader::ReaderCounters;
use crate::inventory::reader::container_states::{MAX_KNOWN, STARTING};
use crate::time::Timestamp;

/// Events of one container that wait for one answer.
const MAX_WAITING: usize = 64;
/// Networks of one container that are remembered from `network connect`.
const MAX_HINTS: usize = 64;
/// Reported events that are remembered; the daemon repeats its last 256.
const MAX_RECENT: usize = 1024;

/// What happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContainerAction {
    Created,
    Connected {
        network: String,
    },
    Disconnected {
        network: String,
    },
    /// A network more or less; the runtime does not say which.
    Rewired,
    Started,
    Died,
    Destroyed,
    /// Paused, unpaused, renamed, or found different in a list.
    Changed,
    /// Something to be reported, once what came before it has taken effect.
    Report(Box<ContainerEvent>),
}

/// What the daemon must be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Container(WorkloadId),
    Endpoint { id: WorkloadId, network: String },
}

/// What the daemon answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Container(Box<Workload>),
    Endpoint(Attachment),
    /// It is gone, or there was no answer.
    Nothing,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Emit(InventoryEvent),
    Ask(Query),
}

/// A running container as the list shows it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: WorkloadId,
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) addresses: BTreeSet<IpAddr>,
}

#[derive(Debug, Default)]
struct Tracked {
    workload: Option<Workload>,
    hints: Vec<Attachment>,
    connected: Option<Timestamp>,
    started: Option<Timestamp>,
    changed: Option<Timestamp>,
    run: Option<Run>,
    /// The last list lacked it; its end is still to be received, or was missed.
    missing: bool,
    /// What its start said of it, in case that nothing else will.
    introduced: Option<Workload>,
    busy: bool,
    /// The time of the event that it is looked at for.
    asked: Option<Timestamp>,
    waiting: VecDeque<(ContainerAction, Timestamp)>,
}

/// One run of a container, once it has been reported.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// What the daemon wrote as its start; absent when it was never seen running.
    started_at: Option<Timestamp>,
    /// What was reported as its start.
    since: Option<Timestamp>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct DockerStates {
    most: usize,
    containers: BTreeMap<WorkloadId, Tracked>,
    /// Times and containers of the last events that were reported: after a cut some come again.
    recent: BTreeSet<(Timestamp, WorkloadId)>,
    /// The time of the newest event.
    newest: Option<Timestamp>,
    counters: Arc<ReaderCounters>,
}

impl Default for DockerStates {
    fn default() -> Self {
        Self::new(MAX_KNOWN, Arc::default())
    }
}

impl DockerStates {
    /// Knows at most so many containers at once, and counts what it missed.
    pub(super) fn new(most: usize, counters: Arc<ReaderCounters>) -> Self {
        Self { most, containers: BTreeMap::new(), recent: BTreeSet::new(), newest: None, counters }
    }

    /// From when on events must be asked for again after a cut: those that were received, but had no effect yet, included.
    pub(super) fn checkpoint(&self) -> Option<Timestamp> {
        let open = self.containers.values().filter(|tracked| tracked.busy);
        let open = open.flat_map(|tracked| tracked.asked.into_iter().chain(tracked.waiting.iter().map(|(_, at)| *at)));
        open.chain(self.newest).min()
    }

    /// What the start of a container says of it; reported only if it can never be looked at.
    pub(super) fn introduce(&mut self, workload: Workload) {
        if let Some(tracked) = self.containers.get_mut(&workload.id)
            && tracked.workload.is_none()
        {
            tracked.introduced = Some(workload);
        }
    }

    /// An event of a container.
    pub(super) fn handle(&mut self, id: &WorkloadId, action: ContainerAction, at: Timestamp) -> Vec<Step> {
        if !self.containers.contains_key(id) && self.containers.len() >= self.most {
            self.counters.overflow.add(1);
            return Vec::new();
        }
        let tracked = self.containers.entry(id.clone()).or_default();
        if tracked.waiting.len() >= MAX_WAITING {
            self.counters.overflow.add(1);
            return Vec::new();
        }
        // An answer that is on its way may show the run that this prepares.
        if matches!(action, ContainerAction::Connected { .. }) && tracked.run.is_none() {
            tracked.connect(at);
        }
        tracked.waiting.push_back((action, at));
        self.newest = self.newest.max(Some(at));
        self.proceed(id, Vec::new())
    }

    /// Reports an event, after what waits for its container; one that was reported before is left out.
    pub(super) fn report(&mut self, event: ContainerEvent) -> Vec<Step> {
        if self.recent.contains(&(event.at, event.workload.clone())) {
            return Vec::new();
        }
        self.newest = self.newest.max(Some(event.at));
        self.counters.container_events.add(1);
        let id = event.workload.clone();
        match self.containers.get_mut(&id) {
            Some(tracked) if tracked.busy && tracked.waiting.len() < MAX_WAITING => {
                let at = event.at;
                tracked.waiting.push_back((ContainerAction::Report(Box::new(event)), at));
                Vec::new()
            }
            tracked => {
                remember(&mut self.recent, &event);
                vec![reported(event, tracked.and_then(|tracked| tracked.workload.as_ref()))]
            }
        }
    }

    /// The answer to a query.
    pub(super) fn answered(&mut self, id: &WorkloadId, answer: Answer) -> Vec<Step> {
        let Some(tracked) = self.containers.get_mut(id) else { return Vec::new() };
        (tracked.busy, tracked.asked) = (false, None);
        let steps = match answer {
            Answer::Container(workload) => tracked.described(*workload, &self.counters),
            Answer::Endpoint(attachment) => {
                tracked.hint(attachment);
                None
            }
            Answer::Nothing => tracked.too_late(None, &self.counters),
        };
        self.proceed(id, steps.into_iter().map(Step::Emit).collect())
    }

    /// A whole snapshot after (re)connecting: nothing waits any more. A run that it lacks ended unheard; it is kept until the
    /// next list, because the events since the [checkpoint](Self::checkpoint) can still say when.
    pub(super) fn snapshot(&mut self, running: Vec<Workload>) -> Vec<InventoryEvent> {
        let mut before = std::mem::take(&mut self.containers);
        let mut events = Vec::new();
        for workload in running.into_iter().take(self.most) {
            let id = workload.id.clone();
            let mut tracked = before.remove(&id).unwrap_or_default();
            tracked.settle();
            events.extend(tracked.described(workload, &self.counters));
            self.containers.insert(id, tracked);
        }
        for (id, mut tracked) in before {
            if tracked.run.is_some() && !tracked.missing && self.containers.len() < self.most {
                tracked.settle();
                tracked.missing = true;
                self.containers.insert(id, tracked);
            }
        }
        events
    }

    /// A whole list of what runs: asks about what is new or differs, and forgets the runs that it lacks.
    pub(super) fn listed(&mut self, list: &[Listed], at: Timestamp) -> Vec<Step> {
        let ids: BTreeSet<&WorkloadId> = list.iter().map(|listed| &listed.id).collect();
        for (id, tracked) in &mut self.containers {
            if !ids.contains(id) {
                // The first time its `die` is most likely on its way, and says when.
                tracked.run = tracked.run.filter(|_| !tracked.missing);
                tracked.missing = true;
            }
        }
        let differs = |listed: &&Listed| self.containers.get(&listed.id).is_none_or(|tracked| tracked.differs(listed));
        let different: Vec<WorkloadId> = list.iter().filter(differs).map(|listed| listed.id.clone()).collect();
        let mut steps = Vec::new();
        for id in different {
            steps.extend(self.handle(&id, ContainerAction::Changed, at));
        }
        steps
    }

    /// Lets waiting events take effect until one needs an answer.
    fn proceed(&mut self, id: &WorkloadId, mut steps: Vec<Step>) -> Vec<Step> {
        let Some(tracked) = self.containers.get_mut(id) else { return steps };
        while !tracked.busy {
            let Some((action, at)) = tracked.waiting.pop_front() else { return steps };
            if let ContainerAction::Report(event) = &action {
                remember(&mut self.recent, event);
            }
            if action == ContainerAction::Destroyed {
                let reported = tracked.workload.is_some() || tracked.run.is_some();
                if reported {
                    steps.push(Step::Emit(InventoryEvent::Stopped { id: id.clone(), until: at }));
                }
                self.containers.remove(id);
                return steps;
            }
            match tracked.act_on(id, action, at) {
                Some(Step::Ask(query)) => {
                    tracked.busy = true;
                    tracked.asked = Some(at);
                    steps.push(Step::Ask(query));
                }
                other => steps.extend(other),
            }
        }
        steps
    }
}

impl Tracked {
    /// Nothing is under way any more.
    fn settle(&mut self) {
        self.busy = false;
        self.asked = None;
        self.waiting.clear();
    }

    fn act_on(&mut self, id: &WorkloadId, action: ContainerAction, at: Timestamp) -> Option<Step> {
        match action {
            ContainerAction::Connected { network } if self.run.is_none() => {
                self.connect(at);
                Some(Step::Ask(Query::Endpoint { id: id.clone(), network }))
            }
            ContainerAction::Disconnected { .. } if self.run.is_none() => None,
            ContainerAction::Disconnected { network } => {
                self.hints.retain(|hint| hint.network_id != network);
                self.changed = self.changed.max(Some(at));
                Some(Step::Ask(Query::Container(id.clone())))
            }
            ContainerAction::Rewired if self.run.is_none() => Some(Step::Ask(Query::Container(id.clone()))),
            ContainerAction::Connected { .. } | ContainerAction::Rewired => {
                self.changed = self.changed.max(Some(at));
                Some(Step::Ask(Query::Container(id.clone())))
            }
            ContainerAction::Started => {
                self.started = Some(at);
                Some(Step::Ask(Query::Container(id.clone())))
            }
            ContainerAction::Died => self.died(id, at),
            ContainerAction::Report(event) => Some(reported(*event, self.workload.as_ref())),
            ContainerAction::Created | ContainerAction::Changed | ContainerAction::Destroyed => {
                Some(Step::Ask(Query::Container(id.clone())))
            }
        }
    }

    /// A network was given to what does not run yet; the first of a run counts.
    fn connect(&mut self, at: Timestamp) {
        self.connected = self.connected.filter(|first| at.since(*first) <= STARTING).or(Some(at));
    }

    fn died(&mut self, id: &WorkloadId, at: Timestamp) -> Option<Step> {
        let run = self.run?;
        // Replayed from before this run began.
        if run.since.is_some_and(|since| at < since) {
            return None;
        }
        (self.run, self.started, self.connected, self.changed) = (None, None, None, None);
        self.hints.clear();
        Some(Step::Emit(InventoryEvent::Stopped { id: id.clone(), until: at }))
    }

    fn hint(&mut self, attachment: Attachment) {
        self.hints.retain(|hint| hint.network_id != attachment.network_id);
        if self.hints.len() < MAX_HINTS {
            self.hints.push(attachment);
        }
    }

    /// The daemon described it.
    fn described(&mut self, mut workload: Workload, counters: &ReaderCounters) -> Option<InventoryEvent> {
        match workload.state {
            WorkloadState::Created => {
                self.workload = Some(workload.clone());
                Some(InventoryEvent::Workload(Arc::new(workload)))
            }
            WorkloadState::Exited => self.too_late(Some(workload), counters),
            WorkloadState::Running | WorkloadState::Paused => {
                let started_at = workload.since;
                let same = self.run.filter(|run| run.started_at == started_at);
                let since = match same {
                    Some(run) => run.since,
                    None => self.first_moment(started_at),
                };
                workload.since = since.max(self.changed);
                self.run = Some(Run { started_at, since: workload.since });
                self.missing = false;
                self.fill_in(&mut workload);
                self.workload = Some(workload.clone());
                Some(InventoryEvent::Workload(Arc::new(workload)))
            }
        }
    }

    /// It started, and had ended when it was looked at: reports the run with what is known. `died` ends it.
    fn too_late(&mut self, workload: Option<Workload>, counters: &ReaderCounters) -> Option<InventoryEvent> {
        if self.run.is_some() || self.started.is_none() {
            return None;
        }
        counters.late.add(1);
        let introduced = self.introduced.take();
        let before = || self.workload.clone().or(introduced);
        let mut workload = workload.or_else(before)?;
        // What has ended has no addresses any more; Podman shows them between network and start.
        let prepared =
            |known: &&Workload| known.state == WorkloadState::Created && known.network_mode == workload.network_mode;
        if workload.addresses().next().is_none()
            && let Some(known) = self.workload.as_ref().filter(prepared)
        {
            workload.attachments.clone_from(&known.attachments);
        }
        workload.state = WorkloadState::Running;
        workload.pid = None;
        workload.since = self.first_moment(None);
        self.fill_in(&mut workload);
        self.run = Some(Run { started_at: None, since: workload.since });
        self.workload = Some(workload.clone());
        Some(InventoryEvent::Workload(Arc::new(workload)))
    }

    /// When its first packet can have left: the earliest of connect, start event and written start, if of the same run.
    fn first_moment(&self, started_at: Option<Timestamp>) -> Option<Timestamp> {
        let start = started_at.into_iter().chain(self.started).min();
        let of_this_run = |at: &Timestamp| start.is_none_or(|start| start.since(*at) <= STARTING);
        let started = self.started.filter(|at| started_at.is_none_or(|written| written.since(*at) <= STARTING));
        started_at.into_iter().chain(started).chain(self.connected.filter(of_this_run)).min()
    }

    /// Puts addresses from `network connect` where the description has none.
    fn fill_in(&self, workload: &mut Workload) {
        if workload.network_mode != NetworkMode::Own {
            return;
        }
        for hint in &self.hints {
            match workload.attachments.iter_mut().find(|a| a.network_id == hint.network_id || a.network == hint.network)
            {
                Some(attachment) if attachment.addresses.is_empty() => attachment.clone_from(hint),
                None if workload.pid.is_none() => workload.attachments.push(hint.clone()),
                Some(_) | None => {}
            }
        }
        workload.attachments.sort_by(|a, b| a.network.cmp(&b.network));
    }

    fn differs(&self, listed: &Listed) -> bool {
        let (Some(_), Some(workload)) = (self.run, &self.workload) else { return true };
        let paused = workload.state == WorkloadState::Paused;
        let own = workload.network_mode == NetworkMode::Own;
        self.missing
            || workload.name != listed.name
            || paused != listed.paused
            || (own && listed_addresses(workload) != listed.addresses)
    }
}

fn remember(recent: &mut BTreeSet<(Timestamp, WorkloadId)>, event: &ContainerEvent) {
    recent.insert((event.at, event.workload.clone()));
    if recent.len() > MAX_RECENT {
        recent.pop_first();
    }
}

/// An event as it is reported, with what can be believed of it.
fn reported(event: ContainerEvent, workload: Option<&Workload>) -> Step {
    let action = acts::believed(event.action, workload);
    Step::Emit(InventoryEvent::Container(Arc::new(ContainerEvent { action, ..event })))
}

/// The addresses that the list of containers shows: those of Swarm's way out are known by the network alone.
fn listed_addresses(workload: &Workload) -> BTreeSet<IpAddr> {
    let listed = workload.attachments.iter().filter(|attachment| attachment.network != GATEWAY_NETWORK);
    listed.flat_map(|attachment| attachment.addresses.iter().copied()).collect()
}

#[cfg(test)]
mod tests;
