//! Which network namespaces several workloads share: there a sidecar may redirect what another sends.
//!
//! Contract: by the network namespace of each workload's first process, checked when a runtime reports it and every [`LOOK`].
//! Limits: [`MAX_WORKLOADS`] are known, [`MAX_NAMESPACES`] namespaces are wanted; those that are read stay. A workload that redirects
//! its own connections in a namespace of its own is not looked into; nor is one that another entered with a later process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::host::Netns;
use crate::input::{InventoryEvent, NetnsId, Roster};
use crate::time::Timestamp;

const MAX_WORKLOADS: usize = 4096;
/// Namespaces read at once.
pub(super) const MAX_NAMESPACES: usize = 64;
/// How often is looked whether the processes are still where they were.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct SharedNamespaces {
    own: Option<NetnsId>,
    roster: Roster,
    wanted: BTreeSet<NetnsId>,
    looked: Timestamp,
    changed: bool,
    /// That there are too many workloads was logged.
    is_full: bool,
    /// That there are too many namespaces was logged.
    crowded: bool,
}

impl SharedNamespaces {
    pub(super) fn new(own: Option<NetnsId>) -> Self {
        Self {
            own,
            roster: Roster::new(MAX_WORKLOADS),
            wanted: BTreeSet::new(),
            looked: Timestamp::MIN,
            changed: false,
            is_full: false,
            crowded: false,
        }
    }

    /// Takes a runtime's event.
    pub(super) fn receive(&mut self, event: &InventoryEvent) {
        self.changed |= !self.roster.apply(event).is_empty();
        let refused = self.roster.refused();
        if refused > 0 && !self.is_full {
            tracing::warn!(
                most = MAX_WORKLOADS,
                "more workloads run than are looked at for shared network namespaces; address translation of the rest is not seen"
            );
        }
        self.is_full = refused > 0;
    }

    /// The namespaces to be read, each with a process in it; absent when it is not time to look.
    pub(super) fn wanted(&mut self, now: Timestamp) -> Option<BTreeMap<NetnsId, u32>> {
        let waited = now.since(self.looked) >= LOOK || now < self.looked;
        if !self.changed && !waited {
            return None;
        }
        (self.looked, self.changed) = (now, false);
        let mut inside: BTreeMap<NetnsId, Vec<u32>> = BTreeMap::new();
        // A process that is gone was the workload's first: the runtime will tell.
        for (_, pid) in self.roster.iter() {
            if let Some(netns) = Netns::id_of(pid).filter(|netns| Some(*netns) != self.own) {
                inside.entry(netns).or_default().push(pid);
            }
        }
        inside.retain(|_, pids| pids.len() > 1);
        let crowded = inside.len() > MAX_NAMESPACES;
        if crowded && !self.crowded {
            tracing::warn!(
                shared = inside.len(),
                seen = MAX_NAMESPACES,
                "address translation is not seen in every shared namespace"
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
    use crate::input::WorkloadId;

    fn running(id: &str, pid: u32) -> InventoryEvent {
        let text = format!(r#"{{"id": "{id}", "name": "", "image": "", "runtime": "docker", "pid": {pid}}}"#);
        InventoryEvent::Workload(Arc::new(serde_json::from_str(&text).expect("a workload")))
    }

    #[test]
    fn two_workloads_in_one_namespace_share_it_until_one_stops() {
        let own = Netns::own().expect("the own namespace");
        let mut shared = SharedNamespaces::new(None);
        let (second, me) = (Timestamp::from_secs, std::process::id());
        shared.receive(&running("a", me));
        assert_eq!(shared.wanted(second(1)), Some(BTreeMap::new()), "one alone shares nothing");
        shared.receive(&running("b", me));
        assert_eq!(shared.wanted(second(1)), Some(BTreeMap::from([(own, me)])), "news are looked at at once");
        shared.receive(&running("b", me));
        assert_eq!(shared.wanted(second(1)), None, "nothing new");
        shared.receive(&InventoryEvent::Stopped { id: WorkloadId::new("a"), until: second(2) });
        assert_eq!(shared.wanted(second(1)), Some(BTreeMap::new()));
        let mut host = SharedNamespaces::new(Some(own));
        host.receive(&running("a", me));
        host.receive(&running("b", me));
        assert_eq!(host.wanted(second(1)), Some(BTreeMap::new()), "the host's own is read anyway");
    }

    #[test]
    fn workloads_whose_end_no_event_reported_make_room() {
        let me = std::process::id();
        for event in [
            InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running: Vec::new() },
            InventoryEvent::GivenUp { runtime: crate::input::RuntimeId::DOCKER },
        ] {
            let mut shared = SharedNamespaces::new(None);
            for number in 0..MAX_WORKLOADS {
                shared.receive(&running(&number.to_string(), u32::MAX));
            }
            shared.receive(&event);
            shared.receive(&running("a", me));
            shared.receive(&running("b", me));
            let wanted = shared.wanted(Timestamp::from_secs(1)).expect("it is time");
            assert_eq!(wanted.into_values().collect::<Vec<_>>(), [me]);
        }
    }

    #[test]
    fn processes_that_are_gone_share_nothing_and_the_table_is_bounded() {
        let mut shared = SharedNamespaces::new(None);
        for number in 0..=MAX_WORKLOADS {
            shared.receive(&running(&number.to_string(), u32::MAX));
        }
        assert_eq!(shared.roster.iter().count(), MAX_WORKLOADS);
        assert_eq!(shared.wanted(Timestamp::from_secs(1)), Some(BTreeMap::new()));
    }
}
