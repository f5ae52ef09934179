//! Who owned an address at a time.
//!
//! Contract: the owner is decided by the time of the packet, not of delivery; an answer that rests on anything less than a
//! dated interval that covers that time says so. Limits: [`TimelineLimits`]; what they cost is in [`TimelineCounts`]. An
//! address is not split by network: two networks with the same range give ambiguous owners unless MAC or veth decides.
//! Design: [`lifecycles`] knows when each workload ran and in which namespace, [`index`] what it owned then, [`namespaces`] and [`sockets`] what
//! the kernel showed, [`networks`] what is the host's or nobody's; [`attribute`] puts them together.

mod at_interface;
mod candidates;
mod changes;
mod configurations;
mod decide_owner;
mod index;
mod key;
mod lifecycles;
mod namespaces;
mod networks;
mod owner_answer;
mod sockets;
mod touched;
mod visibility;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use self::configurations::Configurations;
use self::key::{ChangedKeys, Key};
use self::lifecycles::Lifecycles;
pub use self::lifecycles::TimelineCounts;
use self::namespaces::Namespaces;
use self::networks::Networks;
pub use self::owner_answer::{Attribution, AttributionMethod, AttributionQuery, Confidence, Doubt, Owner, SocketQuery};
use self::sockets::Sockets;
pub use self::touched::{Touched, Trace};
pub use self::visibility::{Unseen, Watched};
use super::KernelState;
use crate::input::{
    Attachment, Configuration, InventoryEvent, KernelFact, LinkEvent, MAX_RUNTIMES, Mac, NetnsId, ObservationPoint,
    ProcessNamespaces, RuntimeId, RuntimeNetwork, Workload, WorkloadId, WorkloadState,
};
use crate::time::Timestamp;

/// Bounds of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineLimits {
    /// Workloads remembered, the dead included.
    pub workloads: usize,
    /// How long the dead are remembered.
    pub remember: std::time::Duration,
}

/// The workloads and what they owned, over time.
#[derive(Debug)]
pub struct Timeline {
    limits: TimelineLimits,
    lifecycles: Lifecycles,
    configurations: Configurations,
    networks: Networks,
    kernel: KernelState,
    namespaces: Namespaces,
    sockets: Sockets,
    /// Runtimes that ever answered, and whether their word is complete.
    runtimes: BTreeMap<RuntimeId, RuntimeConnection>,
    snapshot: bool,
    /// See [`Self::is_complete`].
    complete: bool,
    /// See [`Self::facts`].
    facts: u64,
    /// What changed beside the owners of addresses.
    changed: ChangedKeys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuntimeConnection {
    /// Answers, but its first list is not complete.
    Connected,
    /// Answers, and its list was complete.
    Reconciled,
    /// Does not answer.
    Lost,
}

impl Timeline {
    /// An empty timeline.
    pub fn new(limits: TimelineLimits) -> Self {
        Self {
            limits,
            lifecycles: Lifecycles::new(limits),
            configurations: Configurations::default(),
            networks: Networks::default(),
            kernel: KernelState::default(),
            namespaces: Namespaces::default(),
            sockets: Sockets::default(),
            runtimes: BTreeMap::new(),
            snapshot: false,
            complete: false,
            facts: 0,
            changed: ChangedKeys::default(),
        }
    }

    /// Takes in what a runtime reported at a time.
    pub fn apply(&mut self, at: Timestamp, event: &InventoryEvent) {
        self.facts += 1;
        self.lifecycles.advance(at);
        let was_complete = self.complete;
        self.note_changed(event);
        match event {
            InventoryEvent::Workload(workload) => {
                self.snapshot |= workload.since.is_none() && !matches!(workload.state, WorkloadState::Created);
                workload.attachments.iter().for_each(|attachment| self.networks.apply_gateways(attachment));
                self.lifecycles.apply(at, workload);
                self.configurations.apply(workload);
            }
            InventoryEvent::Stopped { id, until } => {
                self.lifecycles.stop(id, *until);
                self.configurations.forget(id);
                self.kernel.forget(id);
            }
            // What it changed is reported beside it.
            InventoryEvent::Container(_) => {}
            InventoryEvent::Network(network) => {
                let accepted = self.networks.apply(network);
                self.lifecycles.counts.networks_refused += u64::from(!accepted);
            }
            InventoryEvent::NetworkRemoved { id } => self.networks.remove(id),
            InventoryEvent::Connected { runtime } => self.receive(runtime, RuntimeConnection::Connected),
            InventoryEvent::Disconnected { runtime, .. } => self.receive(runtime, RuntimeConnection::Lost),
            InventoryEvent::GivenUp { runtime } => {
                self.runtimes.remove(runtime);
            }
            InventoryEvent::Reconciled { runtime, running } => {
                self.receive(runtime, RuntimeConnection::Reconciled);
                let revision = self.revision();
                self.lifecycles.reconcile(at, runtime, running);
                if self.revision() != revision {
                    self.changed.note_everything();
                }
                let lifecycles = &self.lifecycles;
                self.configurations.keep(|id| lifecycles.is_running(id));
            }
        }
        self.complete = self.all_have_reported();
        if self.complete != was_complete {
            self.changed.note_everything();
        }
    }

    /// Whether the host publishes other ports for a workload now: another one may answer at the host's addresses.
    fn publishes_anew(&self, workload: &Workload) -> bool {
        let before = self.workload(&workload.id).filter(|before| self.is_running(&before.id));
        let before = before.map(|before| &before.published[..]).unwrap_or_default();
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        before != if runs { &workload.published[..] } else { &[] }
    }

    /// Notes what an event changes beside the owners of addresses.
    fn note_changed(&mut self, event: &InventoryEvent) {
        match event {
            InventoryEvent::Workload(workload) => {
                self.changed.note(&Key::Joined(workload.id.clone()));
                if self.publishes_anew(workload) {
                    self.changed.note_everything();
                }
                let gateways = workload.attachments.iter().flat_map(|attachment| &attachment.gateways);
                let new = gateways.map(IpAddr::to_canonical).filter(|ip| !self.networks.is_host(*ip));
                new.for_each(|ip| self.changed.note(&Key::Ip(ip)));
            }
            InventoryEvent::Stopped { id, .. } => {
                self.changed.note(&Key::Joined(id.clone()));
                if self.lifecycles.get(id).is_some_and(|workload| !workload.published.is_empty()) {
                    self.changed.note_everything();
                }
            }
            InventoryEvent::Network(network) => {
                if self.networks.by_id_or_name(&network.id, &network.name) != Some(network) {
                    self.changed.note_everything();
                }
            }
            InventoryEvent::NetworkRemoved { .. } => self.changed.note_everything(),
            InventoryEvent::Container(_)
            | InventoryEvent::Connected { .. }
            | InventoryEvent::Disconnected { .. }
            | InventoryEvent::GivenUp { .. }
            | InventoryEvent::Reconciled { .. } => {}
        }
    }

    /// Takes in what the host says of an interface.
    pub fn apply_link(&mut self, link: &LinkEvent) {
        self.facts += 1;
        self.changed.note(&Key::Veth(link.point.clone()));
        let before = self.networks.link(&link.point).into_iter().flat_map(|link| &link.addresses);
        let addresses = link.addresses.iter().chain(before).map(IpAddr::to_canonical).map(Key::Ip);
        addresses.chain(link.mac.map(Key::Mac)).for_each(|key| self.changed.note(&key));
        let accepted = self.networks.apply_link(link);
        self.lifecycles.counts.networks_refused += u64::from(!accepted);
    }

    /// Takes in what the kernel showed at a time.
    pub fn apply_kernel(&mut self, at: Timestamp, fact: &KernelFact) {
        self.facts += 1;
        self.lifecycles.advance(at);
        self.kernel.apply(fact);
        let horizon = at.minus(self.limits.remember);
        self.namespaces.forget(horizon);
        self.sockets.forget(horizon);
        match fact {
            KernelFact::Namespace(view) => {
                if self.namespaces.is_another(view) {
                    self.forget_namespace(at, view.netns);
                }
                if let Some(ns) = self.namespaces.apply(at, view) {
                    self.lifecycles.residents(at, ns, &view.workloads);
                }
            }
            KernelFact::NamespaceGone { netns } => self.forget_namespace(at, *netns),
            KernelFact::Processes(processes) => self.membership(at, processes),
            KernelFact::SocketOpened(view) => {
                if let Some(ns) = self.namespaces.number(view.netns) {
                    self.sockets.open(at, ns, view);
                }
            }
            KernelFact::SocketClosed { netns, inode } => {
                if let Some(ns) = self.namespaces.known(*netns) {
                    self.sockets.close(at, ns, *inode);
                }
            }
            KernelFact::Agent(_)
            | KernelFact::Rights(_)
            | KernelFact::Mounts(_)
            | KernelFact::Names(_)
            | KernelFact::Sensor { .. }
            | KernelFact::SnifferOpened(_)
            | KernelFact::SnifferClosed { .. }
            | KernelFact::Missed { .. } => {}
        }
    }

    fn forget_namespace(&mut self, at: Timestamp, netns: NetnsId) {
        if let Some(ns) = self.namespaces.gone(at, netns) {
            self.sockets.gone(at, ns);
            self.lifecycles.residents(at, ns, &[]);
        }
    }

    fn membership(&mut self, at: Timestamp, processes: &ProcessNamespaces) {
        let home = self.namespaces.number(processes.netns);
        self.lifecycles.settle(at, &processes.workload, home);
        let strays = processes.strays.iter().map(|stray| stray.netns).filter(|netns| *netns != processes.netns);
        let strays: BTreeSet<u64> = strays.filter_map(|netns| self.namespaces.number(netns)).collect();
        self.lifecycles.stray(at, &processes.workload, strays);
    }

    /// What the kernel showed, as it stands.
    pub const fn kernel(&self) -> &KernelState {
        &self.kernel
    }

    /// A link as it was last reported, up or not.
    pub fn link(&self, point: &ObservationPoint) -> Option<&LinkEvent> {
        self.networks.link(point)
    }

    /// All links as they were last reported, up or not, in order of name.
    pub fn links(&self) -> impl Iterator<Item = &LinkEvent> {
        self.networks.links()
    }

    /// Whether the runtime answers and its list was complete.
    pub fn is_reconciled(&self, runtime: &RuntimeId) -> bool {
        self.runtimes.get(runtime) == Some(&RuntimeConnection::Reconciled)
    }

    /// A network by id, or else by name.
    pub fn network(&self, id: &str, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.networks.by_id_or_name(id, name)
    }

    /// Notes which MAC the host has at a point, as somebody saw it on frames; what a link reported goes before it.
    pub fn learn_host_mac(&mut self, point: &ObservationPoint, mac: Mac) {
        self.facts += 1;
        let learned = self.networks.learn_host_mac(point, mac);
        self.lifecycles.counts.networks_refused += u64::from(!learned);
    }

    /// The workload as it was last known.
    pub fn workload(&self, id: &WorkloadId) -> Option<&Arc<Workload>> {
        self.lifecycles.get(id)
    }

    /// How a container was set up when it was first seen in its present run.
    pub fn configuration_at_start(&self, id: &WorkloadId) -> Option<&Arc<Configuration>> {
        self.configurations.first(id)
    }

    /// Whether a workload runs now.
    pub fn is_running(&self, id: &WorkloadId) -> bool {
        self.lifecycles.is_running(id)
    }

    /// All workloads that run now, in order of id.
    pub fn running(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.lifecycles.running()
    }

    /// The first running workload, in order of id, that the runtime attached to a host-side interface.
    pub fn running_behind(&self, point: &ObservationPoint) -> Option<&Arc<Workload>> {
        self.lifecycles.running_behind(point.as_str())
    }

    /// Grows with everything that is taken in: while it stays the same, so do all answers.
    pub(crate) const fn facts(&self) -> u64 {
        self.facts
    }

    /// Grows whenever a workload is reported, ends or is forgotten.
    pub(crate) const fn revision(&self) -> u64 {
        self.lifecycles.changes.revision()
    }

    /// The workloads that were reported, ended or were forgotten since a revision; `None` where that is too long ago.
    pub(crate) fn changed_since(&self, revision: u64) -> Option<impl Iterator<Item = &WorkloadId>> {
        self.lifecycles.changes.since(revision)
    }

    /// Every workload that is remembered, in order of id.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.lifecycles.workloads()
    }

    /// How many workloads are remembered, by state.
    pub fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states = BTreeMap::from(WorkloadState::ALL.map(|state| (state.as_str(), 0)));
        for state in self.lifecycles.states() {
            *states.entry(state.as_str()).or_default() += 1;
        }
        states
    }

    /// The network whose bridge this observation point is (or whose veth, or, failing that, that holds the address).
    pub fn network_at(&self, point: &ObservationPoint, ip: IpAddr) -> Option<&Arc<RuntimeNetwork>> {
        self.network_of_point(point).or_else(|| self.networks.by_address(ip.to_canonical()))
    }

    /// The network whose bridge, or whose workload's host-side interface, this point is.
    pub fn network_of_point(&self, point: &ObservationPoint) -> Option<&Arc<RuntimeNetwork>> {
        self.networks.by_bridge(point.as_str()).or_else(|| self.network_of_veth(point))
    }

    /// The network that a workload is attached to.
    pub fn network_of(&self, attachment: &Attachment) -> Option<&Arc<RuntimeNetwork>> {
        self.networks.by_id_or_name(&attachment.network_id, &attachment.network)
    }

    fn network_of_veth(&self, point: &ObservationPoint) -> Option<&Arc<RuntimeNetwork>> {
        let span = self.lifecycles.index.newest(&Key::Veth(point.clone()))?;
        let is_here = |a: &&Attachment| a.host_interface.as_deref() == Some(point.as_str());
        let attachment = span.workload.attachments.iter().find(is_here)?;
        self.network_of(attachment)
    }

    /// Whether an address is the host's own.
    pub fn is_host_address(&self, ip: IpAddr) -> bool {
        self.networks.is_host(ip.to_canonical())
    }

    /// Whether a public address lies on this host: its own, or one of a container network's range.
    pub fn is_on_host(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.is_host(ip) || self.networks.is_in_public_range(ip)
    }

    /// The host's own MAC at an observation point, as reported or as learned from the gateway's frames.
    pub fn host_mac(&self, point: &ObservationPoint) -> Option<Mac> {
        let bridge = self.network_of_veth(point).and_then(|network| network.bridge.as_deref());
        let by_bridge = bridge.and_then(|bridge| self.networks.host_mac(&ObservationPoint::new(bridge)));
        by_bridge.or_else(|| self.networks.host_mac(point))
    }

    /// Whether what the runtimes report is complete now: at least one answered and none that ever answered is silent or still
    /// listing, or a snapshot was loaded. A user's own runtime (`podman-1000`) is not waited for: its user could silence what rests on this.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The runtimes that answered once and do not now, in order.
    pub fn silent_runtimes(&self) -> impl Iterator<Item = &RuntimeId> {
        let lost = self.runtimes.iter().filter(|(_, connection)| **connection == RuntimeConnection::Lost);
        lost.map(|(runtime, _)| runtime)
    }

    fn all_have_reported(&self) -> bool {
        let mut hosts = self.runtimes.iter().filter(|(runtime, _)| !runtime.is_users()).peekable();
        let any = hosts.peek().is_some()
            || self.runtimes.values().any(|connection| *connection == RuntimeConnection::Reconciled);
        self.snapshot || (any && hosts.all(|(_, connection)| *connection == RuntimeConnection::Reconciled))
    }

    /// How many workloads are remembered, the dead included.
    pub fn len(&self) -> usize {
        self.lifecycles.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the bounds cost so far.
    pub const fn counts(&self) -> TimelineCounts {
        let mut counts = self.lifecycles.counts;
        counts.namespaces_refused += self.namespaces.refused();
        counts.refused += self.configurations.refused;
        (counts.sockets_evicted, counts.sockets_refused) = self.sockets.costs();
        counts
    }

    fn receive(&mut self, runtime: &RuntimeId, connection: RuntimeConnection) {
        let known = self.runtimes.contains_key(runtime);
        // One that never answered is absent, and what it would say is not waited for.
        if known || (connection != RuntimeConnection::Lost && self.runtimes.len() < MAX_RUNTIMES) {
            self.runtimes.insert(*runtime, connection);
        }
    }
}

/// Addresses that no single machine owns, or that mean something else on each link.
fn is_no_host(ip: IpAddr) -> bool {
    let odd = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    odd || ip.is_unspecified() || ip.is_multicast()
}

#[cfg(test)]
mod tests;
