//! What was reported of each container, and so what is new.
//!
//! Contract: lists and events may come in any order and more than once; each run is reported once with its first moment and ends
//! once, and what ran only between two lists is reported when a later one still shows it. Limits: [`MAX_KNOWN`] containers;
//! what is beyond is counted and left out. Design: no socket and no clock: what was observed goes in, events come out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::ReaderCounters;
use crate::input::{InventoryEvent, Workload, WorkloadId, WorkloadState};
use crate::time::Timestamp;

/// Containers known at once, the created and ended ones that the runtime still has included.
pub const MAX_KNOWN: usize = 65_536;
/// A preparation earlier than this before the start belongs to another run, or only changed a configuration.
pub const STARTING: Duration = Duration::from_secs(30);

/// A container as the runtime shows it.
#[derive(Clone, Debug)]
pub struct ObservedContainer {
    /// All of it; `since` is the start of its run, or its creation.
    pub workload: Workload,
    /// When its last run ended, if it has.
    pub ended: Option<Timestamp>,
}

impl ObservedContainer {
    /// Whether it owns anything.
    pub fn runs(&self) -> bool {
        runs(&self.workload)
    }
}

#[derive(Debug)]
struct KnownContainer {
    workload: Workload,
    running: bool,
    ended: Option<Timestamp>,
    /// The last list lacked it; its end is still to be received, or was missed.
    missing: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct ContainerStates {
    known: BTreeMap<WorkloadId, KnownContainer>,
    /// When the run that is about to start was prepared.
    first: BTreeMap<WorkloadId, Timestamp>,
    /// Everything that ended before this was reported, or was of no interest yet.
    checkpoint: Option<Timestamp>,
    counters: Arc<ReaderCounters>,
}

impl ContainerStates {
    /// Nothing is known yet.
    pub fn new(counters: Arc<ReaderCounters>) -> Self {
        Self { counters, ..Self::default() }
    }

    /// A run is being prepared: its network may be used from now on.
    pub fn prepared(&mut self, id: &WorkloadId, at: Timestamp) {
        if self.first.len() < MAX_KNOWN || self.first.contains_key(id) {
            self.first.insert(id.clone(), at);
        } else {
            self.counters.overflow.add(1);
        }
    }

    /// A container as it is at this time.
    pub fn observe(&mut self, observed: ObservedContainer, at: Timestamp) -> Vec<InventoryEvent> {
        self.apply(observed, at, false)
    }

    /// A start, and the container as the runtime shows it by now: a short run may have ended meanwhile, with its process or the
    /// container removed.
    pub fn started(
        &mut self,
        id: &WorkloadId,
        observed: Option<ObservedContainer>,
        at: Timestamp,
    ) -> Vec<InventoryEvent> {
        match observed {
            Some(observed) if observed.workload.state != WorkloadState::Created => self.observe(observed, at),
            Some(created) if !self.known.contains_key(id) => {
                let mut events = self.observe(created, at);
                events.extend(self.started_unseen(id, at));
                events
            }
            _ => self.started_unseen(id, at),
        }
    }

    /// A run of which nothing more can be learned: reported with what was known before.
    fn started_unseen(&mut self, id: &WorkloadId, at: Timestamp) -> Vec<InventoryEvent> {
        self.counters.late.add(1);
        let is_new = |known: &&KnownContainer| !known.running && known.ended.is_none_or(|ended| ended < at);
        let Some(known) = self.known.get(id).filter(is_new) else { return Vec::new() };
        let workload = Workload {
            state: WorkloadState::Running,
            pid: None,
            since: Some(at),
            attachments: Vec::new(),
            ..known.workload.clone()
        };
        self.apply(ObservedContainer { workload, ended: None }, at, false)
    }

    /// A run ended.
    pub fn ended(&mut self, id: &WorkloadId, until: Timestamp) -> Vec<InventoryEvent> {
        self.first.remove(id);
        let known = self.known.get_mut(id).filter(|known| known.running);
        known.map(|known| known.end(until)).into_iter().collect()
    }

    /// The container itself is gone.
    pub fn gone(&mut self, id: &WorkloadId, at: Timestamp) -> Vec<InventoryEvent> {
        self.first.remove(id);
        let known = self.known.remove(id).filter(|known| known.ended.is_none());
        known.map(|mut known| known.end(at)).into_iter().collect()
    }

    /// A whole list, read from this time on. `again` reports also what has not changed.
    pub fn apply_list(&mut self, list: Vec<ObservedContainer>, at: Timestamp, again: bool) -> Vec<InventoryEvent> {
        let ids: BTreeSet<WorkloadId> = list.iter().map(|observed| observed.workload.id.clone()).collect();
        let events = list.into_iter().flat_map(|observed| self.apply(observed, at, again)).collect();
        // The first time its end is most likely on its way, and says when.
        self.known.retain(|id, known| ids.contains(id) || !std::mem::replace(&mut known.missing, true));
        self.first.retain(|id, first| ids.contains(id) || at.since(*first) <= STARTING);
        self.checkpoint = self.checkpoint.max(Some(at));
        events
    }

    /// What is known of a container.
    #[cfg(test)]
    pub fn get(&self, id: &WorkloadId) -> Option<&Workload> {
        self.known.get(id).map(|known| &known.workload)
    }

    /// Whose first process this is.
    pub fn by_pid(&self, pid: u32) -> Option<&WorkloadId> {
        self.known.iter().find(|(_, known)| known.running && known.workload.pid == Some(pid)).map(|(id, _)| id)
    }

    fn apply(&mut self, observed: ObservedContainer, at: Timestamp, again: bool) -> Vec<InventoryEvent> {
        let id = &observed.workload.id;
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(id) {
            self.counters.overflow.add(1);
            return Vec::new();
        }
        if let Some(known) = self.known.get_mut(id) {
            known.missing = false;
        }
        match observed.workload.state {
            WorkloadState::Created => self.apply_created(observed.workload, at, again),
            WorkloadState::Running | WorkloadState::Paused => self.apply_running(observed.workload, at, again),
            WorkloadState::Exited => self.apply_exited(observed, at),
        }
    }

    fn apply_created(&mut self, workload: Workload, at: Timestamp, again: bool) -> Vec<InventoryEvent> {
        let Some(known) = self.known.get_mut(&workload.id) else {
            self.known.insert(workload.id.clone(), KnownContainer::of(workload.clone(), false));
            return vec![InventoryEvent::Workload(Arc::new(workload))];
        };
        if known.running {
            return vec![known.end(at)];
        }
        let changed = again || known.workload != workload;
        known.workload = workload.clone();
        // Once it has run, its end stands until it runs again.
        if changed && known.ended.is_none() { vec![InventoryEvent::Workload(Arc::new(workload))] } else { Vec::new() }
    }

    fn apply_running(&mut self, mut workload: Workload, at: Timestamp, again: bool) -> Vec<InventoryEvent> {
        let first = self.first.remove(&workload.id);
        let mut events = Vec::new();
        let Some(known) = self.known.get_mut(&workload.id) else {
            workload.since = first_moment(first, workload.since, at);
            events.push(InventoryEvent::Workload(Arc::new(workload.clone())));
            self.known.insert(workload.id.clone(), KnownContainer::of(workload, true));
            return events;
        };
        let same = workload.pid.is_none() || known.workload.pid.is_none() || workload.pid == known.workload.pid;
        if !known.running && known.ended.is_some() && same && workload.pid.is_some() && known.workload.pid.is_some() {
            // An answer from before the end that was received.
            return events;
        }
        if known.running && same {
            workload.since = known.workload.since;
            workload.pid = workload.pid.or(known.workload.pid);
        } else {
            workload.since = first_moment(first, workload.since, at);
            events.extend(known.running.then(|| known.end(workload.since.unwrap_or(at))));
        }
        if again || !known.running || known.workload != workload {
            events.push(InventoryEvent::Workload(Arc::new(workload.clone())));
        }
        *known = KnownContainer::of(workload, true);
        events
    }

    fn apply_exited(&mut self, observed: ObservedContainer, at: Timestamp) -> Vec<InventoryEvent> {
        let ObservedContainer { mut workload, ended } = observed;
        let until = ended.unwrap_or(at);
        let first = self.first.remove(&workload.id);
        // Seen before this run, so it ran since; a list may show an end later than it was.
        let mut missed = self.checkpoint.is_some_and(|checkpoint| until > checkpoint);
        if let Some(known) = self.known.get_mut(&workload.id) {
            missed = true;
            if known.running {
                return vec![known.end(until)];
            }
            if known.ended.is_some_and(|before| ended.is_none_or(|ended| ended <= before)) {
                return Vec::new();
            }
        }
        workload.since = first_moment(first, workload.since, until).map(|since| since.min(until));
        let mut known = KnownContainer::of(Workload { pid: None, ..workload.clone() }, false);
        known.ended = Some(until);
        self.known.insert(workload.id.clone(), known);
        if !missed {
            return Vec::new();
        }
        workload.state = WorkloadState::Running;
        workload.pid = None;
        let id = workload.id.clone();
        vec![InventoryEvent::Workload(Arc::new(workload)), InventoryEvent::Stopped { id, until }]
    }
}

impl KnownContainer {
    const fn of(workload: Workload, running: bool) -> Self {
        Self { workload, running, ended: None, missing: false }
    }

    fn end(&mut self, until: Timestamp) -> InventoryEvent {
        let until = self.workload.since.filter(|_| self.running).map_or(until, |since| until.max(since));
        self.running = false;
        self.ended = Some(until);
        InventoryEvent::Stopped { id: self.workload.id.clone(), until }
    }
}

/// When its first packet can have left: its preparation, if that belongs to this run, or its start.
fn first_moment(first: Option<Timestamp>, since: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    let start = since.unwrap_or(at);
    first.filter(|first| start.since(*first) <= STARTING).into_iter().chain(since).min()
}

fn runs(workload: &Workload) -> bool {
    matches!(workload.state, WorkloadState::Running | WorkloadState::Paused)
}

#[cfg(test)]
mod tests;
