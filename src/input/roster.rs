//! Which workloads run, and with which first process, as the runtimes report it.
//!
//! Contract: the one fold of inventory events into "running"; a workload leaves when its end is reported, when a runtime's whole list
//! lacks it, or when its runtime is given up. Limits: at most as many workloads as it is made for; those refused beyond that are
//! counted and come in with a later report of theirs. Design: pure; a user of it that needs more of a workload keeps that beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::{InventoryEvent, RuntimeId, Workload, WorkloadId, WorkloadState};

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A workload runs with this first process, which is new.
    Started(WorkloadId, u32),
    /// A workload no longer runs.
    Stopped(WorkloadId),
}

#[derive(Clone, Debug)]
struct Running {
    pid: u32,
    runtime: RuntimeId,
}

/// The running workloads.
#[derive(Clone, Debug)]
pub struct Roster {
    most: usize,
    running: BTreeMap<WorkloadId, Running>,
    refused: u64,
}

impl Roster {
    /// For at most so many.
    pub const fn new(most: usize) -> Self {
        Self { most, running: BTreeMap::new(), refused: 0 }
    }

    /// Applies an event; what changed, in order of id.
    pub fn apply(&mut self, event: &InventoryEvent) -> Vec<Change> {
        match event {
            InventoryEvent::Workload(workload) => self.workload(workload).into_iter().collect(),
            InventoryEvent::Stopped { id, .. } => self.stop(id).into_iter().collect(),
            InventoryEvent::Reconciled { runtime, running } => {
                let running: BTreeSet<&WorkloadId> = running.iter().collect();
                self.retain(|id, known| known.runtime != *runtime || running.contains(id))
            }
            InventoryEvent::GivenUp { runtime } => self.retain(|_, known| known.runtime != *runtime),
            InventoryEvent::Container(_)
            | InventoryEvent::Network(_)
            | InventoryEvent::NetworkRemoved { .. }
            | InventoryEvent::Connected { .. }
            | InventoryEvent::Disconnected { .. } => Vec::new(),
        }
    }

    /// The first process of each, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = (&WorkloadId, u32)> {
        self.running.iter().map(|(id, running)| (id, running.pid))
    }

    /// Whether this workload runs.
    pub fn contains(&self, id: &WorkloadId) -> bool {
        self.running.contains_key(id)
    }

    /// How many starts found no room so far.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn workload(&mut self, workload: &Workload) -> Option<Change> {
        let Workload { id, runtime, .. } = workload;
        let pid = match (workload.state, workload.pid) {
            (WorkloadState::Running | WorkloadState::Paused, Some(pid)) => pid,
            // It runs; its process is reported later, or is the one that is known.
            (WorkloadState::Running | WorkloadState::Paused, None) => return None,
            (WorkloadState::Created | WorkloadState::Exited, _) => return self.stop(id),
        };
        let before = self.running.get(id).map(|running| running.pid);
        if before.is_none() && self.running.len() >= self.most {
            self.refused += 1;
            return None;
        }
        self.running.insert(id.clone(), Running { pid, runtime: *runtime });
        (before != Some(pid)).then(|| Change::Started(id.clone(), pid))
    }

    fn stop(&mut self, id: &WorkloadId) -> Option<Change> {
        self.running.remove(id).map(|_| Change::Stopped(id.clone()))
    }

    fn retain(&mut self, stays: impl Fn(&WorkloadId, &Running) -> bool) -> Vec<Change> {
        let gone = self.running.extract_if(.., |id, running| !stays(id, running));
        gone.map(|(id, _)| Change::Stopped(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::time::Timestamp;

    fn event(id: &str, runtime: &str, state: &str, pid: Option<u32>) -> InventoryEvent {
        let text = serde_json::json!({
            "id": id, "name": "", "image": "", "runtime": runtime, "state": state, "pid": pid,
        });
        InventoryEvent::Workload(Arc::new(serde_json::from_value(text).expect("a workload")))
    }

    fn running(id: &str, pid: u32) -> InventoryEvent {
        event(id, "docker", "running", Some(pid))
    }

    fn started(id: &str, pid: u32) -> Vec<Change> {
        vec![Change::Started(WorkloadId::new(id), pid)]
    }

    fn stopped(ids: &[&str]) -> Vec<Change> {
        ids.iter().map(|id| Change::Stopped(WorkloadId::new(id))).collect()
    }

    #[test]
    fn a_workload_starts_once_and_again_with_another_process() {
        let mut roster = Roster::new(10);
        assert_eq!(roster.apply(&running("a", 7)), started("a", 7));
        assert_eq!(roster.apply(&running("a", 7)), []);
        assert_eq!(roster.apply(&event("a", "docker", "paused", None)), [], "the process is the one that is known");
        assert_eq!(roster.apply(&running("a", 8)), started("a", 8));
        assert_eq!(roster.apply(&event("a", "docker", "exited", Some(8))), stopped(&["a"]));
        assert_eq!(roster.apply(&event("b", "docker", "created", None)), []);
    }

    #[test]
    fn ends_are_learned_from_events_from_whole_lists_and_from_a_runtime_that_is_given_up() {
        let mut roster = Roster::new(10);
        for id in ["a", "b", "c", "d"] {
            roster.apply(&running(id, 7));
        }
        roster.apply(&event("other", "podman", "running", Some(9)));
        let until = Timestamp::from_secs(1);
        assert_eq!(roster.apply(&InventoryEvent::Stopped { id: WorkloadId::new("a"), until }), stopped(&["a"]));
        let running = vec![WorkloadId::new("c")];
        let whole = InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running };
        assert_eq!(roster.apply(&whole), stopped(&["b", "d"]));
        assert_eq!(
            roster.apply(&InventoryEvent::GivenUp { runtime: crate::input::RuntimeId::DOCKER }),
            stopped(&["c"])
        );
        assert_eq!(roster.iter().collect::<Vec<_>>(), [(&WorkloadId::new("other"), 9)]);
    }

    #[test]
    fn beyond_its_bound_a_start_is_counted_and_comes_in_when_there_is_room() {
        let mut roster = Roster::new(1);
        roster.apply(&running("a", 7));
        assert_eq!(roster.apply(&running("b", 8)), []);
        assert_eq!(roster.refused(), 1);
        assert_eq!(roster.apply(&running("a", 9)), started("a", 9), "one that is known has its room");
        roster.apply(&InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running: Vec::new() });
        assert_eq!(roster.apply(&running("b", 8)), started("b", 8));
    }
}
