//! What the runtimes and the kernel reported, sorted for the tree.
//!
//! Contract: the latest word of each object. Limits: a chain of joined workloads is followed [`CHAIN`] steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::{
    Attachment, InventoryEvent, KernelFact, MissedKind, NamespaceView, NetnsId, NetworkMode, RuntimeId, RuntimeNetwork,
    Stray, Workload, WorkloadId, WorkloadState,
};

/// A workload that joined one that joined one …
const CHAIN: usize = 8;

/// Everything that was reported.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// `None` stands for the one that nobody named.
    pub(super) runtimes: BTreeSet<Option<RuntimeId>>,
    pub(super) workloads: Vec<&'a Workload>,
    /// The namespace of each workload's first process.
    pub(super) netns: BTreeMap<&'a WorkloadId, NetnsId>,
    pub(super) host: Option<NetnsId>,
    networks: Vec<(Option<RuntimeId>, &'a RuntimeNetwork)>,
    namespaces: BTreeMap<NetnsId, &'a NamespaceView>,
    strays: BTreeMap<&'a WorkloadId, &'a [Stray]>,
    missed: BTreeMap<MissedKind, u64>,
    owners: BTreeMap<&'a WorkloadId, &'a WorkloadId>,
    joined: BTreeMap<&'a WorkloadId, Vec<&'a Workload>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(events: &'a [InventoryEvent], facts: &'a [KernelFact]) -> Self {
        let mut known = Self::default();
        let mut workloads = BTreeMap::new();
        let mut speaking = None;
        for event in events {
            match event {
                InventoryEvent::Connected { runtime } => speaking = Some(*runtime),
                InventoryEvent::Network(network) => known.networks.push((speaking, network)),
                InventoryEvent::Workload(workload) => _ = workloads.insert(&workload.id, &**workload),
                InventoryEvent::Stopped { id, .. } => _ = workloads.remove(id),
                InventoryEvent::Reconciled { runtime, .. } => _ = known.runtimes.insert(Some(*runtime)),
                InventoryEvent::Disconnected { .. }
                | InventoryEvent::GivenUp { .. }
                | InventoryEvent::NetworkRemoved { .. }
                | InventoryEvent::Container(_) => {}
            }
        }
        known.workloads = workloads.into_values().filter(|workload| workload.state != WorkloadState::Exited).collect();
        known.workloads.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        known.runtimes.extend(known.workloads.iter().map(|workload| Some(workload.runtime)));
        known
            .runtimes
            .extend(known.networks.iter().filter(|(runtime, _)| runtime.is_some()).map(|(runtime, _)| *runtime));
        if known.runtimes.is_empty() && !known.networks.is_empty() {
            known.runtimes.insert(None);
        }
        known.follow_joins();
        for fact in facts {
            known.learn(fact);
        }
        known
    }

    fn learn(&mut self, fact: &'a KernelFact) {
        match fact {
            KernelFact::Namespace(view) => {
                if view.host {
                    self.host = Some(view.netns);
                }
                for id in &view.workloads {
                    self.netns.entry(id).or_insert(view.netns);
                }
                self.namespaces.insert(view.netns, view);
            }
            KernelFact::Processes(processes) => {
                self.netns.insert(&processes.workload, processes.netns);
                self.strays.insert(&processes.workload, &processes.strays);
            }
            KernelFact::Missed { what, count } => *self.missed.entry(*what).or_default() += count,
            _ => {}
        }
    }

    pub(super) fn of_runtime(&self, runtime: Option<RuntimeId>) -> impl Iterator<Item = &'a Workload> {
        self.workloads.iter().copied().filter(move |workload| Some(workload.runtime) == runtime)
    }

    /// Networks that a runtime reported; which one is known by the speaker, or by whose workloads are in it. One that nobody claims is
    /// the first runtime's.
    pub(super) fn networks_of(&self, runtime: Option<RuntimeId>) -> Vec<&'a RuntimeNetwork> {
        let of = |(speaking, network): &(Option<RuntimeId>, &'a RuntimeNetwork)| {
            let by_use =
                || self.workloads.iter().find(|w| w.attachments.iter().any(|a| is_in(a, network))).map(|w| w.runtime);
            speaking.or_else(by_use).or_else(|| self.runtimes.first().copied().flatten()) == runtime
        };
        // Of networks of the drivers host and none there is nothing to show but their workloads, which are shown elsewhere.
        let telling = |network: &&RuntimeNetwork| !matches!(network.driver.as_str(), "host" | "null");
        let mut networks: Vec<_> =
            self.networks.iter().filter(|entry| of(entry)).map(|(_, network)| *network).filter(telling).collect();
        networks.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        networks.dedup_by(|a, b| a.id == b.id);
        networks
    }

    /// Names of networks that workloads are in and no runtime described.
    pub(super) fn undescribed_networks(&self, runtime: Option<RuntimeId>) -> BTreeSet<&'a str> {
        let attachments = self.of_runtime(runtime).flat_map(|workload| &workload.attachments);
        let described = |attachment: &&Attachment| self.networks.iter().any(|(_, network)| is_in(attachment, network));
        attachments.filter(|attachment| !described(attachment)).map(|attachment| attachment.network.as_str()).collect()
    }

    /// Workloads in a network, and where they are in it.
    pub(super) fn attached(
        &self,
        runtime: Option<RuntimeId>,
        network: &RuntimeNetwork,
    ) -> Vec<(&'a Workload, &'a Attachment)> {
        let all = self.of_runtime(runtime).flat_map(|workload| workload.attachments.iter().map(move |a| (workload, a)));
        all.filter(|(_, attachment)| is_in(attachment, network)).collect()
    }

    /// Whose namespace a workload joined, at the end of the chain.
    pub(super) fn owner_of(&self, workload: &Workload) -> Option<&'a WorkloadId> {
        self.owners.get(&workload.id).copied()
    }

    /// Workloads that joined this one's namespace, directly or through another.
    pub(super) fn joined(&self, owner: &WorkloadId) -> &[&'a Workload] {
        self.joined.get(owner).map_or(&[], Vec::as_slice)
    }

    fn follow_joins(&mut self) {
        let modes: BTreeMap<&WorkloadId, &'a NetworkMode> =
            self.workloads.iter().map(|workload| (&workload.id, &workload.network_mode)).collect();
        for workload in &self.workloads {
            let mut mode = Some(&workload.network_mode);
            for _ in 0..CHAIN {
                let Some(NetworkMode::Container(next)) = mode else { break };
                self.owners.insert(&workload.id, next);
                mode = modes.get(next).copied();
            }
            if let Some(owner) = self.owners.get(&workload.id).filter(|owner| ***owner != workload.id) {
                self.joined.entry(owner).or_default().push(workload);
            }
        }
    }

    pub(super) fn name_of(&self, id: &WorkloadId) -> String {
        let found = self.workloads.iter().find(|workload| workload.id == *id);
        found.map_or_else(|| format!("{}, which is not known", id.short()), |workload| workload.name.clone())
    }

    pub(super) fn view_of(&self, id: &WorkloadId) -> Option<&'a NamespaceView> {
        self.netns.get(id).and_then(|netns| self.namespaces.get(netns)).copied()
    }

    pub(super) fn strays(&self, id: &WorkloadId) -> &'a [Stray] {
        self.strays.get(id).copied().unwrap_or_default()
    }

    /// Namespaces other than the host's in which no known workload is.
    pub(super) fn orphans(&self) -> impl Iterator<Item = &'a NamespaceView> {
        let used: BTreeSet<NetnsId> = self.workloads.iter().filter_map(|w| self.netns.get(&w.id)).copied().collect();
        self.namespaces.values().copied().filter(move |view| !view.host && !used.contains(&view.netns))
    }

    pub(super) fn missed(&self) -> impl Iterator<Item = (MissedKind, u64)> {
        self.missed.iter().map(|(what, count)| (*what, *count))
    }

    /// Interfaces of the host that are shown with a network.
    pub(super) fn host_ends(&self) -> impl Iterator<Item = &'a str> {
        let attachments = self.workloads.iter().flat_map(|workload| &workload.attachments);
        let bridges = self.networks.iter().filter_map(|(_, network)| network.bridge.as_deref());
        let inside = self.namespaces.values().flat_map(|view| &view.interfaces).filter(|inside| inside.kind == "veth");
        let by_kernel = inside.filter_map(|inside| inside.host_interface.as_deref());
        attachments.filter_map(|attachment| attachment.host_interface.as_deref()).chain(bridges).chain(by_kernel)
    }
}

/// Whether an attachment is to this network: by id where both have one, else by name.
fn is_in(attachment: &Attachment, network: &RuntimeNetwork) -> bool {
    if attachment.network_id.is_empty() || network.id.is_empty() {
        attachment.network == network.name
    } else {
        attachment.network_id == network.id
    }
}
