//! What the kernel says of workloads' first processes, as it stands now, and what was mounted at the first look.
//!
//! Contract: the latest word of each; the first word on mounts stays while the process is the same. Limits: [`MAX_PROCESSES`]; beyond, newcomers are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::input::{NameFiles, ProcessMounts, ProcessRights, WorkloadId};

const MAX_PROCESSES: usize = 32_768;

/// What was mounted for a first process, and what is now.
#[derive(Clone, Debug)]
pub struct SeenMounts {
    /// At the first look.
    pub first: Arc<ProcessMounts>,
    /// At the last one.
    pub now: Arc<ProcessMounts>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct FirstProcesses {
    rights: BTreeMap<WorkloadId, Arc<ProcessRights>>,
    mounts: BTreeMap<WorkloadId, SeenMounts>,
    names: BTreeMap<WorkloadId, Arc<NameFiles>>,
}

impl FirstProcesses {
    /// Takes in what a process may do; whether there was room.
    pub(super) fn may(&mut self, rights: &Arc<ProcessRights>) -> bool {
        let has_room = self.rights.len() < MAX_PROCESSES || self.rights.contains_key(&rights.workload);
        if has_room {
            self.rights.insert(rights.workload.clone(), Arc::clone(rights));
        }
        has_room
    }

    /// Takes in what is mounted for a process; whether there was room.
    pub(super) fn sees(&mut self, mounts: &Arc<ProcessMounts>) -> bool {
        let has_room = self.mounts.len() < MAX_PROCESSES || self.mounts.contains_key(&mounts.workload);
        if !has_room {
            return false;
        }
        let seen = self.mounts.entry(mounts.workload.clone());
        let seen = seen.or_insert_with(|| SeenMounts { first: Arc::clone(mounts), now: Arc::clone(mounts) });
        if (seen.now.pid, seen.now.start) != (mounts.pid, mounts.start) {
            seen.first = Arc::clone(mounts);
        }
        seen.now = Arc::clone(mounts);
        true
    }

    /// Takes in what its files of names say; whether there was room.
    pub(super) fn finds_names_by(&mut self, files: &Arc<NameFiles>) -> bool {
        let has_room = self.names.len() < MAX_PROCESSES || self.names.contains_key(&files.workload);
        if has_room {
            self.names.insert(files.workload.clone(), Arc::clone(files));
        }
        has_room
    }

    pub(super) fn forget(&mut self, id: &WorkloadId) {
        self.rights.remove(id);
        self.mounts.remove(id);
        self.names.remove(id);
    }

    pub(super) fn rights(&self, id: &WorkloadId) -> Option<&Arc<ProcessRights>> {
        self.rights.get(id)
    }

    pub(super) fn names(&self, id: &WorkloadId) -> Option<&Arc<NameFiles>> {
        self.names.get(id)
    }

    pub(super) fn mounts(&self, id: &WorkloadId) -> Option<&SeenMounts> {
        self.mounts.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(pid: u32, omitted: u32) -> Arc<ProcessMounts> {
        Arc::new(ProcessMounts { workload: WorkloadId::new("web"), pid, start: 7, mounts: vec![], omitted })
    }

    #[test]
    fn the_first_look_stays_until_another_process_is_the_first() {
        let mut known = FirstProcesses::default();
        let words = |known: &FirstProcesses| {
            known.mounts(&WorkloadId::new("web")).map(|seen| (seen.first.omitted, seen.now.omitted))
        };
        for (pid, omitted, expected) in [(1, 0, (0, 0)), (1, 1, (0, 1)), (1, 2, (0, 2)), (2, 3, (3, 3))] {
            assert!(known.sees(&mounts(pid, omitted)));
            assert_eq!(words(&known), Some(expected));
        }
        known.forget(&WorkloadId::new("web"));
        assert_eq!(words(&known), None);
    }
}
