//! How each container was set up when it was first seen in its present run.
//!
//! Contract: one configuration a container and start; it stays until the container stops or starts again. Limits: [`MAX_CONTAINERS`];
//! beyond, newcomers are not remembered and counted. Design: a container's own start is a baseline that needs no learning: most settings
//! cannot change while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::input::{Configuration, Workload, WorkloadId, WorkloadState};
use crate::time::Timestamp;

const MAX_CONTAINERS: usize = 65_536;

/// The first configuration of each container's run.
#[derive(Debug, Default)]
pub(super) struct Configurations {
    first: BTreeMap<WorkloadId, (Timestamp, Arc<Configuration>)>,
    pub(super) refused: u64,
}

impl Configurations {
    /// Takes in a container; one that runs since another time begins anew.
    pub(super) fn apply(&mut self, workload: &Workload) {
        if workload.state == WorkloadState::Exited {
            self.forget(&workload.id);
            return;
        }
        let (Some(since), Some(configuration)) = (workload.since, &workload.configuration) else { return };
        match self.first.get(&workload.id) {
            Some((known, _)) if *known == since => {}
            None if self.first.len() >= MAX_CONTAINERS => self.refused += 1,
            _ => drop(self.first.insert(workload.id.clone(), (since, Arc::clone(configuration)))),
        }
    }

    pub(super) fn forget(&mut self, id: &WorkloadId) {
        self.first.remove(id);
    }

    /// Forgets the containers that do not answer to this.
    pub(super) fn keep(&mut self, runs: impl Fn(&WorkloadId) -> bool) {
        self.first.retain(|id, _| runs(id));
    }

    pub(super) fn first(&self, id: &WorkloadId) -> Option<&Arc<Configuration>> {
        self.first.get(id).map(|(_, configuration)| configuration)
    }
}
