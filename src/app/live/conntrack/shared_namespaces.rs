//! Which network namespaces several workloads share: there a sidecar may redirect what another sends.
//!
//! Contract: by the network namespace of each workload's first process, looked at when a runtime tells of it and every [`LOOK`].
//! Limits: [`MAX_WORKLOADS`] are known, [`MAX_NAMESPACES`] namespaces are wanted; those that are heard stay. A workload that redirects
//! its own connections in a namespace of its own is not looked into; nor is one that another entered with a later process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::host::Netns;
use crate::input::{InventoryEvent, NetnsId, WorkloadId, WorkloadState};
use crate::time::Timestamp;

const MAX_WORKLOADS: usize = 4096;
/// Namespaces heard at once.
pub(super) const MAX_NAMESPACES: usize = 64;
/// How often is looked whether the processes are still where they were.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct SharedNamespaces {
    own: Option<NetnsId>,
    pids: BTreeMap<WorkloadId, u32>,
    wanted: BTreeSet<NetnsId>,
    looked: Timestamp,
    news: bool,
    /// That there are too many was said.
    crowded: bool,
}

impl SharedNamespaces {
    pub(super) fn new(own: Option<NetnsId>) -> Self {
        let (pids, wanted) = (BTreeMap::new(), BTreeSet::new());
        Self { own, pids, wanted, looked: Timestamp::MIN, news: false, crowded: false }
    }

    /// Takes a runtime's word.
    pub(super) fn hear(&mut self, event: &InventoryEvent) {
        let (id, pid) = match event {
            InventoryEvent::Workload(workload) => match (workload.state, workload.pid) {
                (WorkloadState::Running | WorkloadState::Paused, Some(pid)) => (&workload.id, Some(pid)),
                (WorkloadState::Running | WorkloadState::Paused, None) => return,
                (WorkloadState::Created | WorkloadState::Exited, _) => (&workload.id, None),
            },
            InventoryEvent::Stopped { id, .. } => (id, None),
            _ => return,
        };
        let before = match pid {
            Some(pid) if self.pids.len() < MAX_WORKLOADS || self.pids.contains_key(id) => {
                self.pids.insert(id.clone(), pid)
            }
            Some(_) => return,
            None => self.pids.remove(id),
        };
        self.news |= before != pid;
    }

    /// The namespaces to be heard, each with a process in it; absent when it is not time to look.
    pub(super) fn wanted(&mut self, now: Timestamp) -> Option<BTreeMap<NetnsId, u32>> {
        let waited = now.since(self.looked) >= LOOK || now < self.looked;
        if !self.news && !waited {
            return None;
        }
        (self.looked, self.news) = (now, false);
        let mut inside: BTreeMap<NetnsId, Vec<u32>> = BTreeMap::new();
        // A process that is gone was the workload's first: the runtime will tell.
        for pid in self.pids.values() {
            if let Some(netns) = Netns::id_of(*pid).filter(|netns| Some(*netns) != self.own) {
                inside.entry(netns).or_default().push(*pid);
            }
        }
        inside.retain(|_, pids| pids.len() > 1);
        let crowded = inside.len() > MAX_NAMESPACES;
        if crowded && !self.crowded {
            tracing::warn!(
                "{} network namespaces are shared; address translation is seen in {MAX_NAMESPACES}",
                inside.len()
            );
        }
        self.crowded = crowded;
        let mut order: Vec<_> = inside.into_iter().collect();
        order.sort_by_key(|(netns, _)| (!self.wanted.contains(netns), *netns));
        order.truncate(MAX_NAMESPACES);
        self.wanted = order.iter().map(|(netns, _)| *netns).collect();
        Some(order.into_iter().filter_map(|(netns, pids)| Some((netns, *pids.first()?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn running(id: &str, pid: u32) -> InventoryEvent {
        let text = format!(r#"{{"id": "{id}", "name": "", "image": "", "runtime": "test", "pid": {pid}}}"#);
        InventoryEvent::Workload(Arc::new(serde_json::from_str(&text).expect("a workload")))
    }

    #[test]
    fn two_workloads_in_one_namespace_share_it_until_one_stops() {
        let own = Netns::own().expect("the own namespace");
        let mut shared = SharedNamespaces::new(None);
        let (second, me) = (Timestamp::from_secs, std::process::id());
        shared.hear(&running("a", me));
        assert_eq!(shared.wanted(second(1)), Some(BTreeMap::new()), "one alone shares nothing");
        shared.hear(&running("b", me));
        assert_eq!(shared.wanted(second(1)), Some(BTreeMap::from([(own, me)])), "news are looked at at once");
        shared.hear(&running("b", me));
        assert_eq!(shared.wanted(second(1)), None, "nothing new");
        shared.hear(&InventoryEvent::Stopped { id: WorkloadId::new("a"), until: second(2) });
        assert_eq!(shared.wanted(second(1)), Some(BTreeMap::new()));
        let mut host = SharedNamespaces::new(Some(own));
        host.hear(&running("a", me));
        host.hear(&running("b", me));
        assert_eq!(host.wanted(second(1)), Some(BTreeMap::new()), "the host's own is heard anyway");
    }

    #[test]
    fn processes_that_are_gone_share_nothing_and_the_table_is_bounded() {
        let mut shared = SharedNamespaces::new(None);
        for number in 0..=MAX_WORKLOADS {
            shared.hear(&running(&number.to_string(), u32::MAX));
        }
        assert_eq!(shared.pids.len(), MAX_WORKLOADS);
        assert_eq!(shared.wanted(Timestamp::from_secs(1)), Some(BTreeMap::new()));
    }
}
