//! Which workloads the runtime attached to which host-side interface, by its latest word.
//!
//! Contract: an entry stands while its workload is remembered, running or not. Limits: those of the workloads and their attachments.

use std::collections::{BTreeSet, HashMap};

use crate::input::{Workload, WorkloadId};

#[derive(Debug, Default)]
pub(super) struct AtInterface {
    by_name: HashMap<String, BTreeSet<WorkloadId>>,
}

impl AtInterface {
    pub(super) fn attach(&mut self, workload: &Workload) {
        for name in host_interfaces(workload) {
            self.by_name.entry(name.to_owned()).or_default().insert(workload.id.clone());
        }
    }

    pub(super) fn detach(&mut self, workload: &Workload) {
        for name in host_interfaces(workload) {
            let Some(ids) = self.by_name.get_mut(name) else { continue };
            ids.remove(&workload.id);
            if ids.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    /// Those attached to an interface, in order of id.
    pub(super) fn attached_to(&self, name: &str) -> impl Iterator<Item = &WorkloadId> {
        self.by_name.get(name).into_iter().flatten()
    }
}

fn host_interfaces(workload: &Workload) -> impl Iterator<Item = &str> {
    workload.attachments.iter().filter_map(|attachment| attachment.host_interface.as_deref())
}
