//! What each workload is to the contracts, remembered until the inventory changes.
//!
//! Contract: answers as the selectors do. Limits: one entry for each workload that the timeline remembers; the selectors decide about any other.
//! Design: a reported workload never changes, its next description is another one. So an entry is found by its place in memory, which the entry
//! keeps occupied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::input::{Workload, WorkloadId, WorkloadState};
use crate::inventory::Timeline;
use crate::path::{Contract, Hop, HopKind, Service};

type Seeded = foldhash::fast::RandomState;

/// What one workload is.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// The hops that it is, by number.
    hops: Vec<usize>,
    /// The contracts that select it, by number.
    selected_by: Vec<usize>,
    /// The contracts that select it, or whose sidecar it is.
    pub(super) may_cover: Vec<usize>,
    /// The contracts about what is sent, whose hop it is, sidecars left out: what it sends may be what they brought to it.
    sends_for: Vec<usize>,
    /// Those of them whose hop passes frames on: it sends from addresses that are not its own.
    passes_on_for: Vec<usize>,
    /// Whether it passes frames on for some contract.
    is_router: bool,
    /// Whether it is a mirror.
    is_mirror: bool,
}

impl Relations {
    /// The contracts for which it may send on what they brought to it, where it sends from its own address and where it does not.
    pub(super) fn sends_for(&self, from_own_address: bool) -> &[usize] {
        if from_own_address { &self.sends_for } else { &self.passes_on_for }
    }
}

#[derive(Debug)]
struct Known {
    workload: Arc<Workload>,
    relations: Relations,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// The hops of all contracts, each once.
    hops: Vec<Arc<Hop>>,
    /// The number of each hop, by its place in memory.
    numbers: hashbrown::HashMap<usize, usize, Seeded>,
    /// Contracts by service and the numbers of their hops, in the order in which they are tried.
    contracts: Vec<(Service, Vec<usize>)>,
    /// The revision of the timeline that this is about.
    revision: u64,
    known: hashbrown::HashMap<usize, Known, Seeded>,
    places: hashbrown::HashMap<WorkloadId, usize, Seeded>,
    /// The running workloads that are each hop, by number.
    running: Vec<BTreeMap<WorkloadId, Arc<Workload>>>,
    /// The running workloads that the host publishes each port for.
    publishing: BTreeMap<u16, BTreeMap<WorkloadId, Arc<Workload>>>,
}

fn place<T>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}

impl Members {
    /// Nothing is known of any workload.
    pub(super) fn new<'a>(contracts: impl Iterator<Item = &'a Contract>) -> Self {
        let mut members = Self::default();
        for contract in contracts {
            let hops = contract.hops().map(|hop| members.number(hop)).collect();
            members.contracts.push((contract.service, hops));
        }
        members
    }

    fn number(&mut self, hop: &Arc<Hop>) -> usize {
        let Self { hops, numbers, running, .. } = self;
        *numbers.entry(place(&**hop)).or_insert_with(|| {
            hops.push(Arc::clone(hop));
            running.push(BTreeMap::new());
            hops.len() - 1
        })
    }

    /// Takes over what changed in the inventory; true when a hop may have changed.
    pub(super) fn catch_up<'a>(
        &mut self,
        timeline: &Timeline,
        contracts: &(impl Iterator<Item = &'a Contract> + Clone),
    ) -> bool {
        let revision = timeline.revision();
        if revision == self.revision {
            return false;
        }
        let changed = timeline.changed_since(self.revision);
        self.revision = revision;
        if let Some(changed) = changed {
            return changed.fold(false, |any, id| self.look_again(timeline, id, contracts.clone()) | any);
        }
        self.known.clear();
        self.places.clear();
        self.running.iter_mut().for_each(BTreeMap::clear);
        self.publishing.clear();
        for workload in timeline.workloads() {
            let relations = self.relations(workload, contracts.clone());
            self.remember(timeline, workload, relations);
        }
        true
    }

    /// Whether it was a hop, or is one now.
    fn look_again<'a>(
        &mut self,
        timeline: &Timeline,
        id: &WorkloadId,
        contracts: impl Iterator<Item = &'a Contract> + Clone,
    ) -> bool {
        let before = self.places.remove(id).and_then(|place| self.known.remove(&place));
        for number in before.iter().flat_map(|known| &known.relations.hops) {
            self.running.get_mut(*number).map(|running| running.remove(id));
        }
        for port in before.iter().flat_map(|known| &known.workload.published) {
            self.publishing.get_mut(&port.host_port).map(|publishing| publishing.remove(id));
        }
        let was_hop = before.as_ref().is_some_and(|known| !known.relations.hops.is_empty());
        let Some(workload) = timeline.workload(id) else { return was_hop };
        // What has ended is what it was.
        let unchanged = before.filter(|known| Arc::ptr_eq(&known.workload, workload)).map(|known| known.relations);
        let relations = unchanged.unwrap_or_else(|| self.relations(workload, contracts));
        self.remember(timeline, workload, relations) || was_hop
    }

    /// Whether it is a hop.
    fn remember(&mut self, timeline: &Timeline, workload: &Arc<Workload>, relations: Relations) -> bool {
        if timeline.is_running(&workload.id) && workload.state != WorkloadState::Exited {
            for number in &relations.hops {
                let running = self.running.get_mut(*number);
                running.map(|running| running.insert(workload.id.clone(), Arc::clone(workload)));
            }
        }
        for port in workload.published.iter().filter(|_| timeline.is_running(&workload.id)) {
            let publishing = self.publishing.entry(port.host_port).or_default();
            publishing.insert(workload.id.clone(), Arc::clone(workload));
        }
        let (place, is_hop) = (place(&**workload), !relations.hops.is_empty());
        self.places.insert(workload.id.clone(), place);
        self.known.insert(place, Known { workload: Arc::clone(workload), relations });
        is_hop
    }

    fn relations<'a>(&self, workload: &Workload, contracts: impl Iterator<Item = &'a Contract> + Clone) -> Relations {
        let hops = self.hops.iter().enumerate().filter(|(_, hop)| hop.is_workload(workload));
        let hops: Vec<(usize, HopKind)> = hops.map(|(number, hop)| (number, hop.kind)).collect();
        let is_router = |number: &usize| self.hops.get(*number).is_some_and(|hop| hop.passes_frames_on());
        let routers: Vec<usize> = hops.iter().map(|(number, _)| *number).filter(is_router).collect();
        let selects = |contract: &Contract| contract.workloads.iter().any(|selector| selector.matches(workload));
        let selecting = contracts.enumerate().filter(|(_, contract)| selects(contract));
        let mut relations = Relations {
            selected_by: selecting.map(|(number, _)| number).collect(),
            is_mirror: hops.iter().any(|(_, kind)| *kind == HopKind::Mirror),
            is_router: !routers.is_empty(),
            ..Relations::default()
        };
        for (number, (service, own)) in self.contracts.iter().enumerate() {
            let is_a = |sidecar: bool| {
                hops.iter().any(|(hop, kind)| (*kind == HopKind::Sidecar) == sidecar && own.contains(hop))
            };
            if relations.selected_by.binary_search(&number).is_ok() || (!hops.is_empty() && is_a(true)) {
                relations.may_cover.push(number);
            }
            if *service != Service::Ingress && !hops.is_empty() && is_a(false) {
                relations.sends_for.push(number);
                if own.iter().any(|hop| routers.contains(hop)) {
                    relations.passes_on_for.push(number);
                }
            }
        }
        relations.hops = hops.into_iter().map(|(number, _)| number).collect();
        relations
    }

    /// What a workload is; `None` where it is not one of those that the timeline remembers as they are now.
    pub(super) fn of(&self, workload: &Workload) -> Option<&Relations> {
        let known = self.known.get(&place(workload))?;
        debug_assert!(std::ptr::eq(&raw const *known.workload, workload), "the entry keeps the place occupied");
        Some(&known.relations)
    }

    /// Whether a workload is this hop.
    pub(super) fn is_hop(&self, hop: &Hop, workload: &Workload) -> bool {
        let remembered = self.of(workload).zip(self.numbers.get(&place(hop)));
        remembered.map_or_else(|| hop.is_workload(workload), |(own, number)| own.hops.binary_search(number).is_ok())
    }

    /// Whether a workload is a hop that passes frames on.
    pub(super) fn is_router(&self, workload: &Workload) -> bool {
        let mut routers = self.hops.iter().filter(|hop| hop.passes_frames_on());
        self.of(workload).map_or_else(|| routers.any(|hop| hop.is_workload(workload)), |own| own.is_router)
    }

    /// Whether a workload is a mirror.
    pub(super) fn is_mirror(&self, workload: &Workload) -> bool {
        let mut mirrors = self.hops.iter().filter(|hop| hop.kind == HopKind::Mirror);
        self.of(workload).map_or_else(|| mirrors.any(|hop| hop.is_workload(workload)), |own| own.is_mirror)
    }

    /// Whether a contract, by its number, selects a workload.
    pub(super) fn selects(&self, number: usize, contract: &Contract, workload: &Workload) -> bool {
        self.of(workload).map_or_else(
            || contract.workloads.iter().any(|selector| selector.matches(workload)),
            |own| own.selected_by.binary_search(&number).is_ok(),
        )
    }

    /// The running workloads that are a hop, in order of id.
    pub(super) fn running(&self, hop: &Hop) -> impl Iterator<Item = &Arc<Workload>> + use<'_> {
        let running = self.numbers.get(&place(hop)).and_then(|number| self.running.get(*number));
        running.into_iter().flat_map(BTreeMap::values)
    }

    /// The running workloads that the host publishes a port for, in order of id.
    pub(super) fn publishing(&self, port: u16) -> impl Iterator<Item = &Arc<Workload>> {
        self.publishing.get(&port).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether this is about the timeline as it is now.
    pub(super) fn is_about(&self, timeline: &Timeline) -> bool {
        self.revision == timeline.revision()
    }
}
